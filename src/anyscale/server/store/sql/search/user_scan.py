"""Reading accounts in the order of their creation, a block at a time.

A block is bounded by the rows that it looks at, and not by those that it finds, so that it takes a
few milliseconds whatever the filters are. It skips the rows of batches that are not published.
"""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Generic, NamedTuple, TypeVar

from anyscale.server.store.records.search import Filters, Scan
from anyscale.server.store.records.users import UserRecord
from anyscale.server.store.sql.connection import Table, columns
from anyscale.server.store.sql.factors import without_second_factor
from anyscale.server.store.sql.sign_in_methods import (
    ADMIN_LINK,
    SSO_USER,
    WITHOUT_CREDENTIALS,
    indexes_without_credentials,
    sign_in,
)
from anyscale.server.store.user_ids import FIRST_ID, IDS_END, end_of_batch, id_prefix

Found = TypeVar("Found", bound=UserRecord)


class Block(NamedTuple, Generic[Found]):
    """Accounts in the order of a key."""

    users: Sequence[Found]
    #: The key after which the next block begins; None if there is none.
    end: str | None


class ScanIndex(NamedTuple):
    """Where a block counts its rows, in the order of their `user_id`."""

    condition: str = ""
    table: str = "users"

    def where(self, bounds: str) -> str:
        """Return the condition on an account that it is in the index, within bounds of its id."""
        if self.table == "users":
            return f"{bounds}{also(self.condition)}"
        condition = also(self.condition)
        return f"user_id in (select user_id from {self.table} where {bounds}{condition})"


class UserScan(Table):
    """The accounts in the order of their creation, or the newest first."""

    def read(
        self, record: type[Found], scan: Scan, after: str, *, rows: int, limit: int
    ) -> Block[Found]:
        """Look at rows after a `user_id`, and return accounts among them.

        Args:
            record: what to read of an account.
            scan: which accounts, and in which order.
            after: the `end` of the previous block, or the `user_id` of its last account that the
                caller used; empty for the first block.
            rows: how many rows to look at in an index; some filters have two indexes.
            limit: how many accounts to return at most.
        """
        first, end = _range(scan)
        after = after or (end if scan.newest_first else first)
        indexes = indexes_of(scan.filters, has_provider=self._connection.has_provider)
        lasts = [self._last_of_block(scan, index, after, rows) for index in indexes]
        last = _nearest(lasts, scan)
        found = [self._matches(record, scan, index, after, last, limit) for index in indexes]
        users = sorted(chain(*found), key=lambda user: user.user_id, reverse=scan.newest_first)
        if len(users) >= limit:
            return Block(users[:limit], users[limit - 1].user_id)
        return Block(users, None if last is None else self._skip_unpublished(last, scan))

    def _last_of_block(self, scan: Scan, index: ScanIndex, after: str, rows: int) -> str | None:
        """Return the last `user_id` of a block in an index; None if fewer rows are left."""
        bounds, order = bounds_between(scan, after), "desc" if scan.newest_first else ""
        sql = (
            f"select user_id from {index.table} where {bounds.condition}{also(index.condition)}"
            f" order by user_id {order} limit 1 offset ?"
        )
        found = self._connection.column(sql, *bounds.values, rows - 1)
        return str(found[0]) if found else None

    def _matches(
        self,
        record: type[Found],
        scan: Scan,
        index: ScanIndex,
        after: str,
        last: str | None,
        limit: int,
    ) -> Sequence[Found]:
        where, values = filtered(scan)
        bounds, order = bounds_between(scan, after, last), "desc" if scan.newest_first else ""
        within = index.where(bounds.condition)
        sql = (
            f"select {found_columns(record)} from live_users where {within}{where}"
            f" order by user_id {order} limit ?"
        )
        return self._connection.all(record, sql, *bounds.values, *values, limit)

    def _skip_unpublished(self, user_id: str, scan: Scan) -> str:
        """Return the end of the batch of an id if it is not published; else the same id."""
        sql = (
            "select batch_id from users join batches on batches.id = users.batch"
            " where user_id = ? and published_at is null"
        )
        batch_id = next(iter(self._connection.column(sql, user_id)), None)
        if batch_id is None:
            return user_id
        return id_prefix(batch_id) if scan.newest_first else end_of_batch(batch_id)


def indexes_of(filters: Filters, *, has_provider: bool) -> Sequence[ScanIndex]:
    """Return the indexes where a block counts its rows.

    They are those of one filter: no index has the conditions of several, and the database would
    look for the end of a block among all rows.
    """
    if filters.role == "owner":
        return [ScanIndex("permission_level = 'owner'")]
    if filters.suspended or filters.sign_in == "suspended":
        return [ScanIndex("suspended_at is not null")]
    if filters.sign_in == "link":
        return [ScanIndex(ADMIN_LINK, table="links")]
    if filters.without_credentials or filters.sign_in == "none":
        return [ScanIndex(one) for one in indexes_without_credentials(has_provider=has_provider)]
    return [ScanIndex(SSO_USER if filters.sso or filters.sign_in == "sso" else "")]


class Bounds(NamedTuple):
    """A range of a key with one bound at each end: SQLite reads an index up to one."""

    condition: str
    values: tuple[str, str]


def bounds_between(
    scan: Scan, after: str, last: str | None = None, *, column: str = "user_id"
) -> Bounds:
    """Return the bounds of the rows after an id, up to the last one of a block or of the scan."""
    first, end = _range(scan)
    if scan.newest_first:
        return Bounds(f"{column} >= ? and {column} < ?", (last or first, min(after, end)))
    return Bounds(f"{column} > ? and {column} <= ?", (max(after, first), last or end))


def _range(scan: Scan) -> tuple[str, str]:
    """Return a text before all ids of a scan, and one after them."""
    if batch_id := scan.filters.batch_id:
        return id_prefix(batch_id), end_of_batch(batch_id)
    return FIRST_ID, IDS_END


def found_columns(record: type[UserRecord]) -> str:
    """Return the columns of a record of an account, from `live_users`."""
    return columns(
        record,
        without_credentials=WITHOUT_CREDENTIALS,
        without_second_factor=without_second_factor("live_users"),
        sign_in=sign_in("live_users"),
    )


def _nearest(lasts: Sequence[str | None], scan: Scan) -> str | None:
    """Return the first of the ends that a block has in several indexes; None if it has none."""
    ends = [last for last in lasts if last is not None]
    if not ends:
        return None
    return max(ends) if scan.newest_first else min(ends)


def also(*conditions: str) -> str:
    """Return conditions, but for empty ones, to add to others."""
    return "".join(f" and {condition}" for condition in conditions if condition)


def filtered(scan: Scan, table: str = "live_users") -> tuple[str, Sequence[str | int]]:
    """Return the conditions of the filters, to add to others, and their values."""
    conditions = list(_conditions(scan, table))
    values = [value for _, values in conditions for value in values]
    return also(*(condition for condition, _ in conditions)), values


def _conditions(scan: Scan, table: str) -> Iterator[tuple[str, Sequence[str | int]]]:
    """Generate conditions on accounts, each with its values."""
    filters = scan.filters
    if filters.role:
        yield "permission_level = ?", [filters.role]
    if filters.suspended:
        yield _without_index("suspended_at is not null"), ()
    if filters.sso:
        yield _without_index(SSO_USER), ()
    if filters.without_credentials:
        yield _without_index(WITHOUT_CREDENTIALS), ()
    if filters.without_second_factor:
        yield _without_index(without_second_factor(table)), ()
    if filters.not_since is not None:
        yield "(last_sign_in is null or last_sign_in < ?)", [filters.not_since]
    if filters.sign_in:
        yield f"({sign_in(table)}) = ?", [filters.sign_in]
    yield from _texts(filters, scan.parts)


def _texts(filters: Filters, parts: Sequence[str]) -> Iterator[tuple[str, Sequence[str]]]:
    """Generate conditions on the texts of accounts, each with its values."""
    if filters.email:
        yield f"({_CONTAINED_IN_EMAIL})", [filters.email] * 2
    if filters.name:
        yield "{strpos}(name_folded, ?) > 0", [filters.name]
    for part in parts:
        yield f"({_CONTAINED})", [part] * 4


def _without_index(condition: str) -> str:
    """Return a condition for which the databases do not read the index of its filter.

    They must read the index where the block counts its rows: that of another filter may have a
    million rows in the same range.
    """
    return f"coalesce({condition}, {{false}})"


_CONTAINED_IN_EMAIL = "{strpos}(email_key, ?) > 0 or {strpos}(email_folded, ?) > 0"

#: whether an account has a text, which is a value four times
_CONTAINED = (
    f"{_CONTAINED_IN_EMAIL} or {{strpos}}(name_folded, ?) > 0"
    " or {strpos}(coalesce(lastname_folded, lower(lastname)), ?) > 0"
)
