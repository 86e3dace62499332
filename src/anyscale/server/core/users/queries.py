"""Listing and finding accounts."""

from collections.abc import Sequence
from typing import TypeVar

from anyscale.domain.emails import email_key
from anyscale.domain.models.users import User
from anyscale.domain.schemas.users import FoundUser
from anyscale.domain.times import from_milliseconds
from anyscale.server.store.records.users import AccountRecord, UserRecord
from anyscale.server.store.transaction import Store

__all__ = ["UserQueries", "user_of"]

Shown = TypeVar("Shown", User, FoundUser)

#: how many accounts of one name an error lists at most
_NAMESAKES = 10_000


class UserQueries:
    """Lists and finds accounts."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def page(
        self, *, email: str, name: str, suspended: bool = False, after: str, limit: int
    ) -> list[User]:
        """Return accounts by `user_id`, after one, as `Users.list` of the store does.

        `email` and `name` are any part of these, without regard to case.
        """
        with self._store.read() as tx:
            found = tx.users.list(
                email=email.casefold(),
                name=name.casefold(),
                suspended=suspended,
                after=after,
                limit=limit,
            )
        return [user_of(record) for record in found]

    def with_email(self, email: str) -> list[User]:
        """Return the account with an email, in any spelling that has the same key."""
        if not (key := _key(email)):
            return []
        with self._store.read() as tx:
            account = tx.accounts.find(key)
        return [user_of(account)] if account else []

    def with_emails(self, emails: Sequence[str]) -> list[FoundUser | None]:
        """Return the account of each email, in any spelling; None where there is none."""
        keys = list(map(_key, emails))
        with self._store.read() as tx:
            found = tx.users.list_with_emails([key for key in keys if key])
        users = {_key(record.email): _shown(FoundUser, record) for record in found}
        return [users.get(key) for key in keys]

    def with_name(self, name: str) -> list[User]:
        """Return the first accounts with exactly this name."""
        with self._store.read() as tx:
            return [user_of(record) for record in tx.users.list_named(name, _NAMESAKES)]


def _key(email: str) -> str:
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
