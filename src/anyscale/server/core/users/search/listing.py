"""Listing and searching accounts, page by page."""

import time
from collections.abc import Callable, Sequence

from msgspec import structs

from anyscale.domain.schemas.users import UserPage, UserQuery
from anyscale.errors import RequestInvalid
from anyscale.server.core.users.queries import user_of
from anyscale.server.core.users.search.cursor import (
    Key,
    PagePosition,
    decode_cursor,
    encode_cursor,
    key_of,
)
from anyscale.server.core.users.search.pages import Step, StepBlock, read_page
from anyscale.server.core.users.search.query import SearchText
from anyscale.server.core.users.search.tiers import search_steps
from anyscale.server.store.records.search import Filters, Place, Scan
from anyscale.server.store.records.users import UserRecord
from anyscale.server.store.transaction import Store, Transaction

__all__ = ["BLOCK_ROWS", "UserListing"]

#: Rows of a block in a list with filters. As many as the page has would take too many blocks: two
#: filters may leave none of a million accounts.
BLOCK_ROWS = 2_000


class UserListing:
    """Lists and searches accounts page by page.

    Args:
        store: of the control plane.
        clock: returns seconds, from any moment on.
    """

    def __init__(self, store: Store, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock

    def check(self, query: UserQuery) -> None:
        """Raise `RequestInvalid` if a query makes no sense, before anything is read."""
        _search_text(query)

    def page(self, query: UserQuery, cursor: str, limit: int) -> UserPage:
        """Return up to `limit` accounts, and the cursor of the next page.

        A search returns accounts by tier, and with each page how many accounts were not in the
        index of words when it began: these are found last.

        Args:
            query: which accounts.
            cursor: of the previous page; empty for the first one.
            limit: how many accounts to return at most, from 1 on.

        Raises:
            RequestInvalid: the cursor is none of this query, or the query makes no sense.
        """
        text = _search_text(query)
        position = decode_cursor(cursor, query) if cursor else None
        with self._store.read() as tx:
            position = position or _first_position(tx, text)
            steps = self._steps(query, text, Place(*position.watermark))
            users, end = read_page(tx, steps, position, limit, self._clock)
            page = UserPage(
                [user_of(user) for user in users],
                None if end is None else encode_cursor(end, query),
            )
            return page if not text else structs.replace(page, unindexed=position.unindexed)

    def _steps(self, query: UserQuery, text: SearchText | None, watermark: Place) -> Sequence[Step]:
        filters = Filters(
            email=query.email.casefold(),
            name=query.name.casefold(),
            suspended=query.suspended,
            role=query.role or "",
            sso=query.sso,
            without_credentials=query.without_credentials,
        )
        if text:
            return search_steps(text, filters, watermark)
        return [_ListStep(Scan(filters, newest_first=query.newest_first))]


def _search_text(query: UserQuery) -> SearchText | None:
    if not query.search:
        return None
    if query.email or query.name or query.newest_first:
        raise RequestInvalid("a search has its own order: it takes no email, name or order")
    return SearchText.parse(query.search)


def _first_position(tx: Transaction, text: SearchText | None) -> PagePosition:
    if not text:
        return PagePosition()
    # The watermark of the first page is that of the whole search: an account must not change its
    # tier between two pages.
    watermark = tx.words.get_state().watermark
    return PagePosition(watermark=watermark, unindexed=tx.unindexed.count(watermark))


class _ListStep:
    """The accounts that match, in the order of their creation or the newest first."""

    is_slow = True

    def __init__(self, scan: Scan) -> None:
        self._scan = scan

    def read(self, tx: Transaction, key: Key, limit: int) -> StepBlock:
        rows = limit if self._scan.filters == Filters() else BLOCK_ROWS
        (after,) = key_of(tuple[str], key) if key else ("",)
        block = tx.user_scan.read(UserRecord, self._scan, after, rows=rows, limit=limit)
        end = None if block.end is None else (block.end,)
        return StepBlock([((user.user_id,), user) for user in block.users], end)
