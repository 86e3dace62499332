"""List accounts, page by page."""

import sys
from collections.abc import Iterator

from anyscale.comparison.comparison_calls import ComparisonCalls
from anyscale.domain.models.users import User
from anyscale.domain.phrases import quantity
from anyscale.domain.schemas.users import USER_PAGE, UserPage
from anyscale.domain.user_query import UserQuery, query_fault
from anyscale.errors import ConfigError, RequestInvalid

#: how the id of a user begins
USER_ID_PREFIX = "usr_"


def list_users(
    transport: ComparisonCalls, query: UserQuery, max_items: int | None, page_size: int
) -> Iterator[User]:
    """Iterate over users, page by page: see `UserCalls.list`.

    Raises:
        ConfigError: the query is invalid.
    """
    if fault := query_fault(query):
        raise ConfigError(fault)
    cursor, remaining = "", sys.maxsize if max_items is None else max_items
    unindexed = 0
    while remaining > 0:
        page = _page(transport, query, cursor, min(page_size, USER_PAGE, remaining))
        unindexed = unindexed or page.unindexed or 0
        yield from page.users
        remaining -= len(page.users)
        # A page without users may have a cursor: the control plane has not found any yet.
        if not page.cursor:
            return
        cursor = page.cursor
    # An id is found by itself: the index of words does not matter.
    if unindexed and not (query.search or "").startswith(USER_ID_PREFIX):
        transport.on_notice(_unindexed(unindexed))


def _page(transport: ComparisonCalls, query: UserQuery, cursor: str, limit: int) -> UserPage:
    try:
        return transport.users.list(query, cursor, limit)
    except RequestInvalid as error:
        if cursor:
            raise
        raise ConfigError(str(error)) from None  # the arguments are all that the first call has


def _unindexed(count: int) -> str:
    accounts = f"{quantity(count, 'account')} {'is' if count == 1 else 'are'}"
    return (
        f"Better matches may come after those listed, since {accounts} new to the search: list "
        "more, or search again later."
    )
