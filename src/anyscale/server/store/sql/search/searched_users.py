"""Accounts as a search looks at them: by email, by id, and by the beginning of the email."""

from collections.abc import Sequence

import msgspec

from anyscale.server.store.records.search import FoundUserRecord
from anyscale.server.store.sql.connection import Table
from anyscale.server.store.sql.search.user_scan import Block, found_columns

_USER = f"select {found_columns(FoundUserRecord)} from live_users"

# Of several emails of an account in the range, it is returned with the first one.
_FORMER = f"""
    select former_key, {found_columns(FoundUserRecord)}
    from (
        select email_key as former_key, user_id as former_id from former_emails
        where (email_key, user_id) > (?, ?) {{end}}
    ) as former join live_users on user_id = former_id
    where not exists (
        select 1 from former_emails as earlier where earlier.user_id = former_id
        and earlier.email_key >= ? and earlier.email_key < former_key
    )
    order by former_key, former_id limit ?
"""


class SearchedUsers(Table):
    """The accounts that a search finds without the index of words."""

    def get(self, email_key: str, user_id: str, external_id: str = "") -> Sequence[FoundUserRecord]:
        """Return the account with an email, the one with an id, and the one with an external id."""
        wanted = {"email_key": email_key, "user_id": user_id, "external_id": external_id}
        return [
            user
            for column, value in wanted.items()
            if value
            for user in self._connection.all(FoundUserRecord, f"{_USER} where {column} = ?", value)
        ]

    def by_former_email(
        self, first: str, end: str | None, after: tuple[str, str], rows: int
    ) -> Sequence[tuple[str, FoundUserRecord]]:
        """Return accounts by the emails that they had before, each once, with that email's key.

        Args:
            first: the first key.
            end: the first key that may not be returned; None for no end.
            after: the key and the `user_id` of the last account that was returned; two empty texts
                for the first call.
            rows: how many to return at most.
        """
        to_end, ends = ("", ()) if end is None else (" and email_key < ?", (end,))
        sql = _FORMER.replace("{end}", to_end)
        found = self._connection.rows(sql, *max(after, (first, "")), *ends, first, rows)
        return [(row[0], msgspec.convert(row[1:], FoundUserRecord, strict=False)) for row in found]

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
