"""Reading accounts in the order of their creation, a block at a time.

A block is bounded by the rows that it looks at, and not by those that it finds, so that it takes a
few milliseconds whatever is asked for. Rows of batches that are not published are jumped over.
"""

from collections.abc import Iterator, Sequence
from typing import Generic, NamedTuple, TypeVar

from msgspec import Struct

from anyscale.server.store.records import UserRecord
from anyscale.server.store.sql.connection import Table, columns

__all__ = ["Block", "Filters", "Scan", "UserScan"]

Found = TypeVar("Found", bound=UserRecord)

#: Before the first and behind the last `user_id`: the digits behind `usr_` are hexadecimal.
_FIRST, _LAST = "", "usr_g"


class Filters(Struct, frozen=True):
    """Which accounts to read; each field that is set leaves fewer of them."""

    #: a casefolded part of the email, as it is shown or as its key is
    email: str = ""
    #: a casefolded part of the name
    name: str = ""
    suspended: bool = False
    #: `owner` or `collaborator`
    role: str = ""
    #: only SSO users
    sso: bool = False
    without_credentials: bool = False
    #: Whether there is an identity provider, with which SSO users sign in without a password.
    has_provider: bool = False


class Scan(Struct, frozen=True):
    """A way through the accounts."""

    filters: Filters = Filters()
    #: Texts that the account has, each of them in its email, its name or its last name. For each
    #: one its casefolded spellings, of which one is enough.
    parts: Sequence[Sequence[str]] = ()
    newest_first: bool = False


class Block(NamedTuple, Generic[Found]):
    """Accounts in the order of the scan."""

    users: Sequence[Found]
    #: Behind which `user_id` the next block begins; None if there is none.
    end: str | None


class UserScan(Table):
    """The accounts in the order of their creation, or the newest first."""

    def read(
        self, record: type[Found], scan: Scan, after: str, *, rows: int, limit: int
    ) -> Block[Found]:
        """Look at rows behind a `user_id`, and return accounts among them.

        Args:
            record: what to read of an account.
            scan: which accounts, and in which order.
            after: the `end` of the previous block, or the last `user_id` that was used of it; empty
                for the first block.
            rows: how many rows to look at, or about twice as many.
            limit: how many accounts to return at most.
        """
        after = after or (_LAST if scan.newest_first else _FIRST)
        last = self._last_of_block(scan, after, rows)
        users = self._matches(record, scan, after, last, limit)
        if len(users) == limit:
            return Block(users, users[-1].user_id)
        return Block(users, None if last is None else self._behind(last, scan))

    def _last_of_block(self, scan: Scan, after: str, rows: int) -> str | None:
        """Return the last `user_id` of a block; None if fewer rows are left."""
        compare, order, nearest = (">", "", min) if not scan.newest_first else ("<", "desc", max)
        ends: list[str] = []
        for driver in _drivers(scan.filters):
            sql = (
                f"select user_id from users where user_id {compare} ?{driver}"
                f" order by user_id {order} limit 1 offset ?"
            )
            ends += self._connection.column(sql, after, rows - 1)
        return nearest(ends) if ends else None

    def _matches(
        self, record: type[Found], scan: Scan, after: str, last: str | None, limit: int
    ) -> Sequence[Found]:
        low, high, order = ("> ?", "<= ?", "") if not scan.newest_first else (">= ?", "< ?", "desc")
        bounds = (after, last or _LAST) if not scan.newest_first else (last or _FIRST, after)
        conditions = list(_conditions(scan))
        where = "".join(f" and {condition}" for condition, _ in conditions)
        sql = (
            f"select {columns(record)} from live_users where user_id {low} and user_id {high}"
            f"{where} order by user_id {order} limit ?"
        )
        values = [text for _, texts in conditions for text in texts]
        return self._connection.all(record, sql, *bounds, *values, limit)

    def _behind(self, user_id: str, scan: Scan) -> str:
        """Return the same id, or the end of its batch if that is not published."""
        sql = (
            "select batch_id from users join batches on batches.id = users.batch"
            " where user_id = ? and published_at is null"
        )
        for batch_id in self._connection.column(sql, user_id):
            prefix = f"usr_{batch_id[4:]}"
            return prefix if scan.newest_first else f"{prefix}g"
        return user_id


_NO_CREDENTIAL = "password_hash is null and suspended_at is null"


def _drivers(filters: Filters) -> Sequence[str]:
    """Return the condition of the index that a block counts its rows in.

    It is the index of one filter alone, so that a block ends after a number of its rows. The index
    of accounts without a password has those of SSO users apart from the others.
    """
    if filters.role == "owner":
        return [" and permission_level = 'owner'"]
    if filters.suspended:
        return [" and suspended_at is not null"]
    if filters.without_credentials:
        kinds = ["{false}"] if filters.has_provider else ["{false}", "{true}"]
        return [f" and {_NO_CREDENTIAL} and is_sso_user = {kind}" for kind in kinds]
    return [" and is_sso_user = {true}"] if filters.sso else [""]


def _conditions(scan: Scan) -> Iterator[tuple[str, Sequence[str]]]:
    """Generate conditions on accounts, each with its values."""
    filters = scan.filters
    if filters.role:
        # Not as a value: the index of owners is used for the constant alone.
        yield f"permission_level = '{_ROLES[filters.role]}'", ()
    if filters.suspended:
        yield "suspended_at is not null", ()
    if filters.sso:
        yield "is_sso_user = {true}", ()
    if filters.without_credentials:
        kinds = "{false}" if filters.has_provider else "{false}, {true}"
        yield f"{_NO_CREDENTIAL} and is_sso_user in ({kinds})", ()
    if filters.email:
        yield f"({_CONTAINED_IN_EMAIL})", [filters.email] * 2
    if filters.name:
        yield "{strpos}(name_folded, ?) > 0", [filters.name]
    for spellings in scan.parts:
        anywhere = " or ".join([_CONTAINED] * len(spellings))
        yield f"({anywhere})", [text for text in spellings for _ in range(4)]


_ROLES = {"owner": "owner", "collaborator": "collaborator"}

_CONTAINED_IN_EMAIL = "{strpos}(email_key, ?) > 0 or {strpos}(email_folded, ?) > 0"

_CONTAINED = (
    f"{_CONTAINED_IN_EMAIL} or {{strpos}}(name_folded, ?) > 0"
    " or {strpos}(coalesce(lastname_folded, lower(lastname)), ?) > 0"
)
