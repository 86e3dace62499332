"""Accounts as a search looks at them: by email, by id, and by the beginning of the email."""

from collections.abc import Sequence

from anyscale.server.store.records.search import FoundUserRecord
from anyscale.server.store.sql.connection import Table
from anyscale.server.store.sql.search.user_scan import Block, found_columns

__all__ = ["SearchedUsers"]

_USER = f"select {found_columns(FoundUserRecord)} from live_users"


class SearchedUsers(Table):
    """The accounts that a search finds without the index of words."""

    def get(self, email_key: str, user_id: str) -> Sequence[FoundUserRecord]:
        """Return the account with an email, and the one with an id."""
        by_email = self._connection.all(FoundUserRecord, f"{_USER} where email_key = ?", email_key)
        by_id = self._connection.all(FoundUserRecord, f"{_USER} where user_id = ?", user_id)
        return [*by_email, *by_id]

    def by_email(
        self, first: str, end: str | None, after: str, rows: int
    ) -> Block[FoundUserRecord]:
        """Look at rows by `email_key`, and return the accounts among them.

        Args:
            first: the first key.
            end: the first key that may not be returned; None for no end.
            after: the `end` of the previous block, or the last key that was used of it; empty for
                the first block.
            rows: how many rows to look at, of batches that are not published too.
        """
        start = "email_key > ?" if after else "email_key >= ?"
        bounds, to_end = [after or first], ""
        if end is not None:
            bounds, to_end = [*bounds, end], " and email_key < ?"
        keys = f"select email_key from users where {start}{to_end} order by email_key"
        last = self._connection.column(f"{keys} limit 1 offset ?", *bounds, rows - 1)
        if last:  # it replaces the other end: SQLite reads an index up to one end
            bounds, to_end = [bounds[0], last[0]], " and email_key <= ?"
        sql = f"{_USER} where {start}{to_end} order by email_key"
        users = self._connection.all(FoundUserRecord, sql, *bounds)
        return Block(users, last[0] if last else None)
