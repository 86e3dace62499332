"""/console/users: search accounts, and page through them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

from litestar.di import NamedDependency, Provide
from litestar.params import FromQuery, QueryParameter
from msgspec import Struct, structs

from anyscale.domain.names import full_name
from anyscale.domain.phrases import quantity
from anyscale.domain.times import day_of, from_milliseconds
from anyscale.errors import RequestInvalid
from anyscale.server.core.accounts.account_count import AccountCount
from anyscale.server.core.accounts.bulk_changes import BulkChanges, StateChange
from anyscale.server.core.accounts.queries import UserQueries
from anyscale.server.core.batches.service import BatchService
from anyscale.server.core.search import MAX_CURSOR, FoundPage, UserListing
from anyscale.server.http.console.users.filters import (
    PATH,
    SIGN_IN,
    UserFilters,
    account_path,
    read_filters,
)
from anyscale.server.http.dependencies import UserRequest
from anyscale.server.http.route_handlers import get
from anyscale.server.http.web.console_page import Page, refused_form, render_console_page
from anyscale.server.http.web.forms import OptionalFormKey
from anyscale.server.http.web.templating import redirect

#: accounts on a page
PAGE_USERS = 50

_NOTES = {
    "deleted": "The account is deleted.",
    "linked": "{accounts} got a link, in the file that your browser has saved.",
    "mailed": "{accounts} will get a link by mail. Their pages, and Mails, show what is due or has "
    "failed.",
}

#: note of many that were changed together -> what was done, and what undoes it
_CHANGES: Mapping[str, tuple[StateChange, StateChange]] = {
    "suspended": ("suspend", "restore"),
    "restored": ("restore", "suspend"),
}

#: lists of users who can sign in only by a link
_WITHOUT_CREDENTIALS = UserFilters(state="none"), UserFilters(state="link")

Cursor = Annotated[str, QueryParameter(max_length=MAX_CURSOR)]


class PageLinks(Struct, frozen=True):
    """The addresses of the pages around a page; empty where there is none."""

    first: str = ""
    previous: str = ""
    next: str = ""
    last: str = ""
    #: whether the page looked only at a part of the accounts, in the time that it has
    is_partial: bool = False


class Changed(Struct, frozen=True):
    """The note after a form for many accounts, with its undo."""

    done: str
    count: int
    #: the address of the form that undoes it
    undo: str


def _changed(
    note: str,
    change: tuple[StateChange, StateChange],
    key: str,
    bulk_changes: BulkChanges,
    filters: UserFilters,
) -> Changed:
    done, back = change
    undo = filters.address(f"{PATH}/{back}", undo=key)
    return Changed(note, len(bulk_changes.changed(done, key)), undo)


@get("/users", pool="read", dependencies={"filters": Provide(read_filters, sync_to_thread=False)})
def show_users(
    request: UserRequest,
    listing: NamedDependency[UserListing],
    users: NamedDependency[UserQueries],
    account_count: NamedDependency[AccountCount],
    bulk_changes: NamedDependency[BulkChanges],
    filters: NamedDependency[UserFilters],
    batches: NamedDependency[BatchService],
    after: Cursor = "",
    before: Cursor = "",
    last: FromQuery[bool] = False,
    none_before: FromQuery[bool] = False,
    note: FromQuery[str] = "",
    number: Annotated[int, QueryParameter(ge=0)] = 0,
    changed: OptionalFormKey = "",
) -> Page:
    if (
        filters.unsorted == UserFilters(filters.q)
        and filters.q
        and (found := users.find_id(filters.q))
    ):
        return redirect(account_path(found))
    accounts = quantity(number, "account")
    shown: dict[str, Any] = {"note": _NOTES.get(note, "").format(accounts=accounts)}
    if change := _CHANGES.get(note):
        shown = {"changed": _changed(note, change, changed, bulk_changes, filters)}
    batch = batches.names([filters.batch]).get(filters.batch) if filters.batch else None
    try:
        if filters.q:
            page = _search(listing, filters, after)
            links = _around_search(page, filters, is_first=not after or none_before)
        elif before or last:
            page, links = _list_backwards(listing, filters, before, is_last=last)
        else:
            page, links = _list(listing, filters, after, is_first=not after or none_before)
    except RequestInvalid as error:
        page, links, shown = FoundPage([]), PageLinks(), refused_form(error, "q")
    return _render(request, filters, page, links, count=account_count, batch=batch, **shown)


def _search(listing: UserListing, filters: UserFilters, after: str) -> FoundPage:
    page = listing.search(filters.query, after, PAGE_USERS)
    if page.users and page.cursor:
        # A page ends before a slow step, which may find nothing: then it is the last page.
        rest = listing.search(filters.query, page.cursor, 1, is_brief=True)
        if not rest.users:
            return structs.replace(page, cursor=rest.cursor)
    return page


def _list(
    listing: UserListing, filters: UserFilters, after: str, *, is_first: bool
) -> tuple[FoundPage, PageLinks]:
    page = listing.ordered(filters.query, after=after, limit=PAGE_USERS)
    return page, _around_forwards(page, filters, is_first=is_first)


def _list_backwards(
    listing: UserListing, filters: UserFilters, before: str, *, is_last: bool
) -> tuple[FoundPage, PageLinks]:
    page = listing.ordered(filters.query, after=before, backwards=True, limit=PAGE_USERS)
    if page.has_more or page.looked_up_to:
        return page, _around_backwards(page, filters, is_last=is_last)
    # It is the first page, and may have too few accounts: read it from its beginning.
    return _list(listing, filters, "", is_first=True)


def _further(filters: UserFilters, after: str, page: FoundPage, *, is_first: bool) -> str:
    """Return the address of the next page, which is the first one if nobody was found yet."""
    none = "true" if is_first and not page.users else ""
    return filters.address(after=after, none_before=none) if after else ""


def _ends(page: FoundPage, filters: UserFilters) -> tuple[str, str]:
    """Return the places of the first and the last user of a page; empty without users."""
    if not page.users:
        return "", ""
    place_of = filters.query.place_of
    return place_of(page.users[0]), place_of(page.users[-1])


def _around_forwards(page: FoundPage, filters: UserFilters, *, is_first: bool) -> PageLinks:
    first, last = _ends(page, filters)
    following = page.looked_up_to or (last if page.has_more else "")
    return PageLinks(
        first="" if is_first else filters.address(),
        previous=filters.address(before=first) if first and not is_first else "",
        next=_further(filters, following, page, is_first=is_first),
        last=filters.address(last="true") if following else "",
        is_partial=page.looked_up_to is not None,
    )


def _around_backwards(page: FoundPage, filters: UserFilters, *, is_last: bool) -> PageLinks:
    first, last = _ends(page, filters)
    return PageLinks(
        first=filters.address(),
        previous=filters.address(before=page.looked_up_to or first),
        next=filters.address(after=last) if last and not is_last else "",
        last="" if is_last else filters.address(last="true"),
        is_partial=page.looked_up_to is not None,
    )


def _around_search(page: FoundPage, filters: UserFilters, *, is_first: bool) -> PageLinks:
    return PageLinks(
        first="" if is_first else filters.address(),
        next=_further(filters, page.cursor or "", page, is_first=is_first),
        is_partial=page.cursor is not None and len(page.users) < PAGE_USERS,
    )


def _render(
    request: UserRequest,
    filters: UserFilters,
    page: FoundPage,
    links: PageLinks,
    count: AccountCount,
    **shown: Any,
) -> Page:
    found, found_at = _number_found(filters, page, links, count)
    return render_console_page(
        request,
        "users/list",
        PATH,
        filters=filters,
        narrowed=filters.narrowed,
        all_found=UserFilters(filters.q).address(),
        has_filters=filters.unsorted != UserFilters(),
        is_without_credentials=filters.unsorted in _WITHOUT_CREDENTIALS,
        states=[
            ("", "Any way to sign in"),
            *((name, words.text) for name, words in SIGN_IN.items()),
        ],
        rows=_rows(page),
        unindexed=page.unindexed,
        links=links,
        found=found,
        found_at=found_at,
        **{"changed": None} | shown,
    )


def _number_found(
    filters: UserFilters, page: FoundPage, links: PageLinks, count: AccountCount
) -> tuple[int, datetime | None]:
    """Return how many users match, and when they were counted; 0 if nobody has counted them.

    A count of any filters would look at every account.
    """
    if not (links.first or links.previous or links.next or links.is_partial):
        return len(page.users), None
    by_sign_in = count.by_sign_in or {}
    counted = {
        UserFilters(): count.value,
        UserFilters(factor="none"): count.without_second_factor,
        UserFilters(factor="none", role="owner"): count.owners_without_second_factor,
        **{UserFilters(state=one): by_sign_in.get(one) for one in SIGN_IN},
    }
    return counted.get(filters.unsorted) or 0, from_milliseconds(count.at)


def _rows(page: FoundPage) -> Sequence[dict[str, Any]]:
    return [
        {
            "user_id": user.user_id,
            "name": full_name(user.name, user.lastname),
            "email": user.email,
            "title": user.title,
            "external_id": user.external_id,
            "is_owner": user.permission_level == "owner",
            "sign_in": SIGN_IN[user.sign_in],
            "created": from_milliseconds(user.created_at),
            "last_sign_in": day_of(user.last_sign_in),
        }
        for user in page.users
    ]


HANDLERS = [show_users]
