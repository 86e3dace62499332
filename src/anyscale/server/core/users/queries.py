"""Looking accounts up."""

from collections.abc import Sequence
from typing import Any

from anyscale.server.store.interface import Store
from anyscale.user.emails import email_key
from anyscale.user.models import User, from_milliseconds

__all__ = ["UserQueries"]

#: how many of the same name an error lists at most
_NAMESAKES = 10_000


class UserQueries:
    """What can be asked of the accounts."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def page(
        self, *, email: str, name: str, suspended: bool = False, after: str, limit: int
    ) -> list[User]:
        """Give accounts in the order of their ids, which is that of their creation.

        Args:
            email: part of the email, without regard to case; empty for any.
            name: part of the name, likewise.
            suspended: only those that are suspended.
            after: the `user_id` that the last page ended with, or an empty text.
            limit: how many.
        """
        with self._store.read() as rows:
            found = rows.live_users(
                email_contains=email.casefold(),
                name_contains=name.casefold(),
                suspended=suspended,
                after=after,
                limit=limit,
            )
        return _users(found)

    def with_email(self, email: str) -> list[User]:
        """Give the account with an email, in any spelling by which it is the same one."""
        try:
            key = email_key(email)
        except ValueError:
            return []
        with self._store.read() as rows:
            return _users(rows.users_like(email_key=key, limit=1))

    def with_name(self, name: str) -> list[User]:
        """Give the accounts with exactly this name, up to some."""
        with self._store.read() as rows:
            return _users(rows.users_like(name=name, limit=_NAMESAKES))


def _users(found: Sequence[tuple[Any, ...]]) -> list[User]:
    return [
        User(
            email,
            name,
            from_milliseconds(created_at),
            permission_level,
            user_id,
            None if suspended_at is None else from_milliseconds(suspended_at),
        )
        for email, name, created_at, permission_level, user_id, suspended_at in found
    ]
