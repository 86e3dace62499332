"""Finding accounts by their emails."""

from collections.abc import Sequence
from typing import TypeVar

from anyscale.domain.emails import email_key
from anyscale.domain.models.users import User
from anyscale.domain.schemas.users import FoundUser
from anyscale.domain.times import from_milliseconds
from anyscale.server.store.records.users import AccountRecord, UserRecord
from anyscale.server.store.transaction import Store

__all__ = ["UserQueries", "email_key_or_empty", "user_of"]

Shown = TypeVar("Shown", User, FoundUser)


class UserQueries:
    """Finds accounts by their emails."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def with_emails(self, emails: Sequence[str]) -> list[FoundUser | None]:
        """Return the account of each email, in any spelling; None where there is none."""
        keys = list(map(email_key_or_empty, emails))
        with self._store.read() as tx:
            found = tx.users.list_with_emails([key for key in keys if key])
        users = {email_key_or_empty(record.email): _shown(FoundUser, record) for record in found}
        return [users.get(key) for key in keys]


def email_key_or_empty(email: str) -> str:
    """Return the key of an email; if it is not one, a text that is the key of no account."""
    if email.isascii():
        return email.lower()  # an ASCII address has the same key, in a tenth of the time
    try:
        return email_key(email)
    except ValueError:
        return ""


def user_of(record: UserRecord | AccountRecord) -> User:
    """Return an account as clients see it."""
    return _shown(User, record)


def _shown(kind: type[Shown], record: UserRecord | AccountRecord) -> Shown:
    suspended = record.suspended_at
    return kind(
        record.email,
        record.name,
        from_milliseconds(record.created_at),
        record.permission_level,
        record.user_id,
        None if suspended is None else from_milliseconds(suspended),
        record.lastname,
        record.title,
        record.is_sso_user,
    )
