"""Listing and searching accounts, page by page."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, NamedTuple, TypeVar

from msgspec import Struct, structs

from anyscale.domain.emails import email_key_or_empty
from anyscale.domain.schemas.users import UserPage
from anyscale.domain.times import start_of
from anyscale.domain.user_query import UserQuery, query_fault
from anyscale.errors import RequestInvalid
from anyscale.server.core.search.cursor import (
    Key,
    PagePosition,
    decode_cursor,
    encode_cursor,
    key_of,
)
from anyscale.server.core.search.pages import Step, StepBlock, read_page
from anyscale.server.core.search.query import SearchText
from anyscale.server.core.search.tiers import passes, search_steps
from anyscale.server.core.transactions import Transactions
from anyscale.server.store.records.search import (
    Filters,
    FoundUserRecord,
    IndexPlace,
    Scan,
)
from anyscale.server.store.records.user_models import user_of
from anyscale.server.store.records.users import UserRecord
from anyscale.server.store.transaction import Transaction
from anyscale.server.store.words import fold

Found = TypeVar("Found", bound=UserRecord)

#: Rows of a block in a list with filters. As many as the page has would take too many blocks: two
#: filters may leave none of a million accounts.
BLOCK_ROWS = 2_000

#: field of a query -> parameter of `GET /v1/users` with another name
_PARAMETERS = {"newest_first": "order"}


class NarrowedQuery(UserQuery, frozen=True):
    """Which accounts the console lists."""

    #: one of `SignIn`; empty for any
    sign_in: str = ""
    #: the batch that created the account; empty for any
    batch_id: str = ""
    #: Of a list: by `created` or by `email`, and with `-` before it in the reverse order. A search
    #: has an order of its own.
    order: str = "-created"

    def place_of(self, user: FoundUserRecord) -> str:
        """Return the place of an account in a list of this order."""
        return user.email_key if self.order.endswith("email") else user.user_id


class FoundPage(Struct, frozen=True):
    """A page of accounts, each with how its user can sign in."""

    users: list[FoundUserRecord]
    #: Where the next page of a search begins; None if there is none.
    cursor: str | None = None
    #: accounts that a search finds last, as in `UserPage`
    unindexed: int = 0
    #: The place of the last row that a page of a list has looked at, if it took too long to find
    #: all accounts that it has room for.
    looked_up_to: str | None = None
    #: whether a page of a list is not the last one in its direction
    has_more: bool = False


class FoundPart(NamedTuple):
    """Some of the accounts that a list or a search has in all."""

    users: Sequence[FoundUserRecord]
    #: where the next ones begin; None at the end
    place: str | None


class UserListing:
    """Lists and searches accounts page by page.

    Args:
        transactions: of the control plane.
        clock: returns seconds, from any moment on.
    """

    def __init__(
        self, transactions: Transactions, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._transactions = transactions
        self._clock = clock

    def check(self, query: UserQuery) -> None:
        """Raise `RequestInvalid` if a query is invalid, before anything is read."""
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
            RequestInvalid: the cursor is none of this query, or the query is invalid.
        """
        text = _search_text(query)
        position = decode_cursor(cursor, query) if cursor else None
        with self._transactions.read() as tx:
            position = position or _first_position(tx, text)
            steps: Sequence[Step[UserRecord]] = (
                _search_steps(text, query, position) if text else _list_steps(query)
            )
            users, end = read_page(tx, steps, position, limit, self._clock)
        page = UserPage([user_of(user) for user in users], _cursor_of(end, query))
        return page if not text else structs.replace(page, unindexed=position.unindexed)

    def search(
        self, query: NarrowedQuery, cursor: str, limit: int, *, is_brief: bool = False
    ) -> FoundPage:
        """Return a page of a search as `page` does, each account with how its user can sign in.

        A brief page reads no more than the first one.
        """
        text = _search_text(query)
        if text is None:
            raise ValueError("this query is not a search")
        position = decode_cursor(cursor, query) if cursor else None
        with self._transactions.read() as tx:
            position = position or _first_position(tx, text)
            steps = _search_steps(text, query, position)
            users, end = read_page(tx, steps, position, limit, self._clock, is_brief=is_brief)
        return FoundPage(users, cursor=_cursor_of(end, query), unindexed=position.unindexed)

    def ordered(
        self, query: NarrowedQuery, *, after: str = "", backwards: bool = False, limit: int
    ) -> FoundPage:
        """Return a page of a list in the order of its query.

        Args:
            query: which accounts, without a search.
            after: the place of the account next to the page; empty for the first page.
            backwards: whether the page is before that account; without one, it is the last page.
            limit: how many accounts to return at most, from 1 on.
        """
        step = _ordered_step(query, is_reverse=query.order.startswith("-") != backwards)
        position = PagePosition(key=(after,) if after else ())
        with self._transactions.read() as tx:
            found, end = read_page(tx, [step], position, limit + 1, self._clock)
        has_more, users = len(found) > limit, found[:limit]
        return FoundPage(
            users[::-1] if backwards else users,
            looked_up_to=str(end.key[0]) if end and not has_more else None,
            has_more=has_more,
        )

    def part(self, query: NarrowedQuery, place: str, limit: int) -> FoundPart:
        """Return a part of all accounts of a list or a search, after a place."""
        if query.search:
            searched = self.search(query, place, limit)
            return FoundPart(searched.users, searched.cursor)
        page = self.ordered(query, after=place, limit=limit)
        following = query.place_of(page.users[-1]) if page.has_more else page.looked_up_to
        return FoundPart(page.users, following)

    def parts(self, query: NarrowedQuery, limit: int) -> Iterator[Sequence[FoundUserRecord]]:
        """Iterate over all accounts of a list or a search, in parts of at most `limit`."""
        place: str | None = ""
        while place is not None:
            found = self.part(query, place, limit)
            yield found.users
            place = found.place


def _filters(query: UserQuery) -> Filters:
    return Filters(
        email=fold(query.email or ""),
        name=fold(query.name or ""),
        suspended=query.suspended,
        role=query.role or "",
        sso=query.sso,
        without_credentials=query.without_credentials,
        without_second_factor=query.without_second_factor,
        not_since=None if query.not_since is None else start_of(query.not_since),
        sign_in=query.sign_in if isinstance(query, NarrowedQuery) else "",
        batch_id=query.batch_id if isinstance(query, NarrowedQuery) else "",
    )


def _cursor_of(position: PagePosition | None, query: UserQuery) -> str | None:
    return None if position is None else encode_cursor(position, query)


def _search_steps(
    text: SearchText, query: UserQuery, position: PagePosition
) -> Sequence[Step[FoundUserRecord]]:
    return search_steps(text, _filters(query), IndexPlace(*position.watermark))


def _list_steps(query: UserQuery) -> Sequence[Step[UserRecord]]:
    """Return the steps of a query without a search."""
    filters, email = _filters(query), query.email or ""
    if query.exact:
        return [_NameStep(query.name) if query.name else _EmailStep(email, filters)]
    scan = Scan(filters, newest_first=query.newest_first)
    if "@" not in email or query.name:
        return [_ListStep(UserRecord, scan)]
    # A whole email finds its account before the list looks at all of them.
    return [_EmailStep(email, filters), _ListStep(UserRecord, scan, without=email)]


def _ordered_step(query: NarrowedQuery, *, is_reverse: bool) -> Step[FoundUserRecord]:
    filters = _filters(query)
    if query.order.endswith("email"):
        return _ByEmailStep(filters, is_reverse=is_reverse)
    return _ListStep(FoundUserRecord, Scan(filters, newest_first=is_reverse))


def _search_text(query: UserQuery) -> SearchText | None:
    """Return the text of a search, or raise `RequestInvalid` if a query is invalid."""
    if fault := query_fault(query, lambda field: _PARAMETERS.get(field, field)):
        raise RequestInvalid(fault)
    return None if query.search is None else SearchText.parse(query.search)


def _first_position(tx: Transaction, text: SearchText | None) -> PagePosition:
    if not text:
        return PagePosition()
    # The watermark of the first page is that of the whole search: an account must not change its
    # tier between two pages.
    watermark = tx.words.get_state().watermark
    return PagePosition(watermark=watermark, unindexed=tx.unindexed.count(watermark))


class _EmailStep:
    """The account with an email in any spelling, by the unique index of the emails."""

    is_slow = False

    def __init__(self, email: str, filters: Filters) -> None:
        self._key = email_key_or_empty(email)
        self._filters = filters

    def read(self, tx: Transaction, key: Key, limit: int) -> StepBlock[UserRecord]:  # noqa: ARG002 - as in Step
        users = tx.searched_users.get(self._key, "")
        found = [((user.user_id,), user) for user in users if passes(user, self._filters)]
        return StepBlock(found, None)


class _NameStep:
    """The accounts with exactly a name, in the order of their creation."""

    is_slow = True

    def __init__(self, name: str) -> None:
        self._name = name

    def read(self, tx: Transaction, key: Key, limit: int) -> StepBlock[UserRecord]:
        (after,) = key_of(tuple[str], key) if key else ("",)
        # One more shows whether there is another page: each one reads all accounts.
        users = tx.users.list_named(self._name, after, limit + 1)
        return StepBlock([((user.user_id,), user) for user in users], None)


class _ListStep(Generic[Found]):
    """The accounts that match, in the order of their creation or the newest first.

    Args:
        record: what to read of an account.
        scan: which accounts.
        without: the email of an account that an earlier step has returned.
    """

    is_slow = True

    def __init__(self, record: type[Found], scan: Scan, *, without: str = "") -> None:
        self._record = record
        self._scan = scan
        self._without = email_key_or_empty(without)

    def read(self, tx: Transaction, key: Key, limit: int) -> StepBlock[Found]:
        rows = limit if self._scan.filters == Filters() else BLOCK_ROWS
        (after,) = key_of(tuple[str], key) if key else ("",)
        block = tx.user_scan.read(self._record, self._scan, after, rows=rows, limit=limit)
        end = None if block.end is None else (block.end,)
        found = [((user.user_id,), user) for user in block.users if self._is_listed(user)]
        return StepBlock(found, end)

    def _is_listed(self, user: Found) -> bool:
        return not self._without or email_key_or_empty(user.email) != self._without


class _ByEmailStep:
    """The accounts that match, by email."""

    is_slow = True

    def __init__(self, filters: Filters, *, is_reverse: bool) -> None:
        self._filters = filters
        self._is_reverse = is_reverse

    def read(self, tx: Transaction, key: Key, limit: int) -> StepBlock[FoundUserRecord]:
        rows = limit if self._filters == Filters() else BLOCK_ROWS
        (after,) = key_of(tuple[str], key) if key else ("",)
        block = tx.users_by_email.read(
            self._filters, after, is_reverse=self._is_reverse, rows=rows, limit=limit
        )
        end = None if block.end is None else (block.end,)
        return StepBlock([((user.email_key,), user) for user in block.users], end)
