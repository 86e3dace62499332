"""Listing accounts page by page, in bounded time.

A page looks at accounts for `BUDGET` and then returns what it has found, with the cursor by which
the next call goes on. So no list, however few accounts match, takes a thread of the server for
long. docs/decisions/0017-search.md explains it.
"""

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from msgspec import structs

from anyscale.api_schemas import UserPage, UserQuery
from anyscale.server.core.users.cursor import (
    Key,
    Position,
    decode_cursor,
    encode_cursor,
    key_of,
)
from anyscale.server.core.users.queries import user_of
from anyscale.server.store.interface import Store, Transaction
from anyscale.server.store.records import UserRecord
from anyscale.server.store.sql.user_scan import Filters, Scan

__all__ = ["BLOCK_ROWS", "BUDGET", "Block", "ScanStep", "Step", "UserListing", "filters_of"]

#: Seconds after which a page looks at no more accounts. A block takes up to 10 ms more.
BUDGET = 0.04

#: rows of a block when texts are searched in each of them
BLOCK_ROWS = 2_000


class Block(NamedTuple):
    """Accounts that a step found in a short time, each with the key behind which it goes on."""

    found: Sequence[tuple[Key, UserRecord]]
    #: Behind what the next block begins; None if the step is done.
    end: Key | None


class Step(Protocol):
    """A way to find accounts, block by block."""

    def read(self, tx: Transaction, key: Key, limit: int) -> Block:
        """Return the block behind a key, which is empty for the first one.

        Args:
            tx: the transaction.
            key: of an earlier block.
            limit: how many accounts the page has room for; a block may have more.
        """


class ScanStep:
    """All accounts that match, in the order of their creation or the newest first."""

    def __init__(self, scan: Scan) -> None:
        self._scan = scan

    def read(self, tx: Transaction, key: Key, limit: int) -> Block:
        filters = self._scan.filters
        rows = BLOCK_ROWS if filters.email or filters.name else limit
        (after,) = key_of(tuple[str], key) if key else ("",)
        block = tx.user_scan.read(UserRecord, self._scan, after, rows=rows, limit=limit)
        end = None if block.end is None else (block.end,)
        return Block([((user.user_id,), user) for user in block.users], end)


class UserListing:
    """Lists accounts page by page.

    Args:
        store: of the control plane.
        has_provider: whether there is an identity provider.
        clock: returns seconds, from any moment on.
    """

    def __init__(
        self, store: Store, *, has_provider: bool, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._has_provider = has_provider
        self._clock = clock

    def page(self, query: UserQuery, cursor: str, limit: int) -> UserPage:
        """Return up to `limit` accounts, and the cursor of the next page.

        Args:
            query: which accounts.
            cursor: of the previous page; empty for the first one.
            limit: how many accounts to return at most, from 1 on.

        Raises:
            RequestInvalid: the cursor is none of this query.
        """
        position = decode_cursor(cursor, query) if cursor else Position()
        filters = filters_of(query, has_provider=self._has_provider)
        steps = [ScanStep(Scan(filters, newest_first=query.newest_first))]
        with self._store.read() as tx:
            users, end = self._read(tx, steps, position, limit)
        return UserPage(
            [user_of(user) for user in users],
            None if end is None else encode_cursor(end, query),
        )

    def _read(
        self, tx: Transaction, steps: Sequence[Step], position: Position, limit: int
    ) -> tuple[list[UserRecord], Position | None]:
        """Return accounts behind a position, and where they end; None behind the last one."""
        deadline = self._clock() + BUDGET
        users: list[UserRecord] = []
        while position.step < len(steps):
            room = limit - len(users)
            block = steps[position.step].read(tx, position.key, room)
            users += [user for _, user in block.found[:room]]
            position = _behind(block, room, position)
            if len(users) == limit or self._clock() >= deadline:
                break
        return users, position if position.step < len(steps) else None


def _behind(block: Block, room: int, position: Position) -> Position:
    """Return the position behind the accounts of a block for which a page has room."""
    end = block.end if len(block.found) <= room else block.found[room - 1][0]
    if end is None:
        return structs.replace(position, step=position.step + 1, key=())
    return structs.replace(position, key=end)


def filters_of(query: UserQuery, *, has_provider: bool) -> Filters:
    """Return the filters of a query as the store compares them."""
    return Filters(
        email=query.email.casefold(),
        name=query.name.casefold(),
        suspended=query.suspended,
        role=query.role or "",
        sso=query.sso,
        without_credentials=query.without_credentials,
        has_provider=has_provider,
    )
