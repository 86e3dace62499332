"""Reading accounts in the order of their emails, a block at a time.

The index of the emails has no filters. So few accounts that pass a filter are found by its own
index and sorted, and many are found soon by looking at the emails one after the other.
"""

from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

from anyscale.server.store.records.search import Filters, FoundUserRecord, Scan
from anyscale.server.store.sql.connection import Table
from anyscale.server.store.sql.search.user_scan import (
    Block,
    Bounds,
    ScanIndex,
    also,
    bounds_between,
    filtered,
    found_columns,
    indexes_of,
)

#: Rows of the index of a filter that are sorted for each page. If a million accounts have more, a
#: page of 50 looks at about 5,000 emails.
FEW_ROWS = 10_000

#: a text after all keys of emails
_LAST = "\U0010ffff"

#: the columns in a form for which no index is read
_KEY, _ID = "coalesce(email_key, '')", "coalesce(user_id, '')"


class _Place(NamedTuple):
    """The place after which a block begins, and the direction."""

    #: a key of an email; empty for the first block
    after: str
    is_reverse: bool

    @property
    def order(self) -> str:
        return "desc" if self.is_reverse else ""

    def bounds(self, column: str, last: str | None = None) -> Bounds:
        """Return the bounds of the keys that follow, up to the last one of a block or of all."""
        if self.is_reverse:
            return Bounds(f"{column} < ? and {column} >= ?", (self.after or _LAST, last or ""))
        return Bounds(f"{column} > ? and {column} <= ?", (self.after, last or _LAST))


class UsersByEmail(Table):
    """The accounts in the order of their emails, or in the reverse one."""

    def read(
        self, filters: Filters, after: str, *, is_reverse: bool, rows: int, limit: int
    ) -> Block[FoundUserRecord]:
        """Look at rows after a key of an email, and return accounts among them.

        Args:
            filters: which accounts.
            after: the `end` of the previous block, or the key of its last account that the caller
                used; empty for the first block.
            is_reverse: whether the last email comes first.
            rows: how many emails to look at.
            limit: how many accounts to return at most.
        """
        place, scan = _Place(after, is_reverse), Scan(filters)
        indexes = indexes_of(filters, has_provider=self._connection.has_provider)
        if self._are_few(scan, indexes):
            last, found = None, [self._sorted(scan, one, place, limit) for one in indexes]
        else:
            last = self._last_of_block(place, rows)
            found = [self._matches(scan, place, last, limit)]
        users = sorted(chain(*found), key=lambda user: user.email_key, reverse=is_reverse)
        if len(users) >= limit:
            return Block(users[:limit], users[limit - 1].email_key)
        return Block(users, last)

    def _are_few(self, scan: Scan, indexes: Sequence[ScanIndex]) -> bool:
        """Whether the indexes of the filters have few rows; the index of all accounts has many."""
        if not scan.filters.batch_id and indexes == [ScanIndex()]:
            return False
        bounds, rows = bounds_between(scan, ""), 0
        for index in indexes:
            within = f"{bounds.condition}{also(index.condition)}"
            counted = f"select 1 as one from {index.table} where {within} limit ?"
            sql = f"select count(*) from ({counted}) as counted"
            rows += sum(self._connection.column(sql, *bounds.values, FEW_ROWS))
        return rows < FEW_ROWS

    def _sorted(
        self, scan: Scan, index: ScanIndex, place: _Place, limit: int
    ) -> Sequence[FoundUserRecord]:
        """Return accounts by an index of their filters."""
        ids, keys = bounds_between(scan, ""), place.bounds(_KEY)
        conditions, values = filtered(scan)
        sql = (
            f"select {found_columns(FoundUserRecord)} from live_users"
            f" where {index.where(ids.condition)}{conditions}{also(keys.condition)}"
            f" order by {_KEY} {place.order} limit ?"
        )
        return self._connection.all(FoundUserRecord, sql, *ids.values, *values, *keys.values, limit)

    def _last_of_block(self, place: _Place, rows: int) -> str | None:
        """Return the last key of a block; None if fewer rows are left."""
        keys = place.bounds("email_key")
        sql = (
            f"select email_key from users where {keys.condition}"
            f" order by email_key {place.order} limit 1 offset ?"
        )
        found = self._connection.column(sql, *keys.values, rows - 1)
        return str(found[0]) if found else None

    def _matches(
        self, scan: Scan, place: _Place, last: str | None, limit: int
    ) -> Sequence[FoundUserRecord]:
        """Return accounts by the index of the emails."""
        keys, ids = place.bounds("email_key", last), bounds_between(scan, "", column=_ID)
        conditions, values = filtered(scan)
        sql = (
            f"select {found_columns(FoundUserRecord)} from live_users"
            f" where {keys.condition}{also(ids.condition)}{conditions}"
            f" order by email_key {place.order} limit ?"
        )
        return self._connection.all(FoundUserRecord, sql, *keys.values, *ids.values, *values, limit)
