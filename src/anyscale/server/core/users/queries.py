"""Finding accounts by their emails and ids."""

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Final, TypeVar

from anyscale.domain.emails import email_key
from anyscale.domain.models.users import AdminCreatedUser, User
from anyscale.domain.schemas.users import FoundUser
from anyscale.domain.times import from_milliseconds
from anyscale.server.store.records.users import UserRecord
from anyscale.server.store.transaction import Store

__all__ = ["UserQueries", "created_user_of", "email_key_or_empty", "user_of"]

Shown = TypeVar("Shown", User, FoundUser, AdminCreatedUser)


class UserQueries:
    """Finds accounts by their emails and ids."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def with_emails(self, emails: Sequence[str]) -> list[FoundUser | None]:
        """Return the account of each email, in any spelling; None where there is none."""
        keys = list(map(email_key_or_empty, emails))
        with self._store.read() as tx:
            found = tx.users.list_with_emails([key for key in keys if key])
        users = {email_key_or_empty(record.email): _found_user_of(record) for record in found}
        return [users.get(key) for key in keys]

    def with_ids(self, user_ids: Sequence[str]) -> list[User]:
        """Return the accounts with some ids, in the order of the ids; others are left out."""
        with self._store.read() as tx:
            return [user_of(record) for record in tx.users.list_with_ids(user_ids)]

    def find_id(self, text: str) -> str | None:
        """Return the id of the account whose email, in any spelling, or whose id a text is."""
        with self._store.read() as tx:
            found = tx.found_users.get(email_key_or_empty(text), text.lower())
        return found[0].user_id if found else None


def email_key_or_empty(email: str) -> str:
    """Return the key of an email; if it is not one, a text that is the key of no account."""
    if email.isascii():
        return email.lower()  # an ASCII address has the same key, in a tenth of the time
    try:
        return email_key(email)
    except ValueError:
        return ""


def _converter(kind: type[Shown]) -> Callable[[UserRecord], Shown]:
    """Return a function that makes a model of a record, which has all of its fields.

    It takes the fields by name, without code for each of them: a million accounts may be compared
    with a file.
    """
    names = kind.__struct_fields__
    values = attrgetter(*names)
    times = [at for at, name in enumerate(names) if name.endswith("_at")]

    def convert(record: UserRecord) -> Shown:
        fields = list(values(record))
        for at in times:
            if fields[at] is not None:
                fields[at] = from_milliseconds(fields[at])
        return kind(*fields)

    return convert


#: returns an account as clients see it
user_of: Final = _converter(User)

_found_user_of = _converter(FoundUser)

#: returns an account as the result of its batch lists it
created_user_of: Final = _converter(AdminCreatedUser)
