"""Links for accounts of the list, in one file or by mail: see `selected`."""

from collections.abc import AsyncIterator, Sequence
from typing import Any, Final
from urllib.parse import urlencode

from litestar import Response
from litestar.di import NamedDependency
from litestar.params import FromQuery, RawBody

from anyscale.errors import AlreadyReplaced, AnyscaleError, NotAuthenticated, NotPermitted
from anyscale.server.core.callers import SessionCaller
from anyscale.server.core.login.links import MOST, PasswordLinkService
from anyscale.server.http.console.users.choice import (
    CHOICE,
    Choice,
    Confirmations,
    UserIds,
    read_selected,
)
from anyscale.server.http.dependencies import UserRequest
from anyscale.server.http.login.sign_in_again import require_recent_sign_in
from anyscale.server.http.route_handlers import get, post
from anyscale.server.http.thread_pools import ThreadPools
from anyscale.server.http.web.console_page import Page, refused_form
from anyscale.server.http.web.forms import read_form, read_number
from anyscale.server.http.web.records_file import BY_MAIL, LINK_NOTES, Rows, link_rows, links_file
from anyscale.server.http.web.templating import redirect

#: as the form says
_SKIPPED: Final = "inactive and owners"

#: An account that was deleted since has none: the others stay selected.
_OWN_PAGES = (NotAuthenticated, NotPermitted)


@get("/users/links", pool="read", dependencies=CHOICE, guards=[require_recent_sign_in])
def ask_for_links(
    request: UserRequest,
    confirmations: NamedDependency[Confirmations],
    choice: NamedDependency[Choice],
    user_ids: UserIds = None,
    note: FromQuery[str] = "",
) -> Page:
    note = LINK_NOTES.get(note, "")
    if choice.is_all:
        return confirmations.ask_for_all(request, "links", choice, note=note)
    return confirmations.ask(request, "links", choice, user_ids or [], note=note)


@post("/users/links", dependencies=CHOICE)
async def create_links(
    request: UserRequest,
    body: RawBody,
    links: NamedDependency[PasswordLinkService],
    confirmations: NamedDependency[Confirmations],
    pools: NamedDependency[ThreadPools],
    choice: NamedDependency[Choice],
) -> Response[Any]:
    """Create links, and send them as a file: no address and no later page has them.

    Or request that they are mailed. A form that arrives twice does neither: it names the newest
    link that its user has seen.
    """
    if choice.is_all:
        return await _create_for_all(request, body, links, confirmations, pools, choice)
    return await pools.write.run(_create_selected, request, body, links, confirmations, choice)


def _create_selected(
    request: UserRequest,
    body: bytes,
    links: PasswordLinkService,
    confirmations: Confirmations,
    choice: Choice,
) -> Response[Any]:
    user_ids = read_selected(request, body)
    (text,) = read_form(request, body, "format")
    newest = read_number(request, body, "newest")
    try:
        if text == BY_MAIL:
            links.mail(request.user, user_ids, newest)
            return redirect(choice.filters.address(note="mailed", number=len(user_ids)))
        users = confirmations.users.with_ids(user_ids)  # one may be deleted after that
        created = links.create(request.user, user_ids, newest)
    except AlreadyReplaced:
        query = urlencode([("user_id", user_id) for user_id in user_ids])
        return redirect(f"{choice.path('links', note='repeated')}&{query}")
    except AnyscaleError as error:
        shown = refused_form(error, own_pages=_OWN_PAGES)
        return confirmations.ask(request, "links", choice, user_ids, **shown)
    return links_file(text).response(link_rows(created, users))


async def _create_for_all(
    request: UserRequest,
    body: bytes,
    links: PasswordLinkService,
    confirmations: Confirmations,
    pools: ThreadPools,
    choice: Choice,
) -> Response[Any]:
    request.user.require_recent_sign_in()
    text, digest, typed = read_form(request, body, "format", "digest", "number")
    newest = read_number(request, body, "newest")
    matches = await pools.read.run(confirmations.find, "links", choice)
    user_ids = matches.user_ids
    if problem := confirmations.problem_of("links", matches, digest, typed):
        status = 409 if digest != matches.digest else 400
        return await pools.read.run(
            confirmations.ask_for_all, request, "links", choice, problems=[problem], status=status
        )
    try:
        if text == BY_MAIL:
            await pools.write.run(_mail_all, links, user_ids, request.user, newest)
            return redirect(choice.filters.address(note="mailed", number=len(user_ids)))
        part = user_ids[:MOST]
        first = await pools.write.run(_create, confirmations, part, request.user, newest)
    except AlreadyReplaced:
        return redirect(choice.path("links", note="repeated"))
    except AnyscaleError as error:
        shown = refused_form(error, own_pages=_OWN_PAGES)
        return await pools.read.run(confirmations.ask_for_all, request, "links", choice, **shown)
    pages = _pages(confirmations, pools, first, user_ids[MOST:], request.user)
    return links_file(text).stream(pages)


def _mail_all(
    links: PasswordLinkService, user_ids: Sequence[str], caller: SessionCaller, newest: int
) -> None:
    """Request the mails, a part at a time. Those that are due already are sent once."""
    for start in range(0, len(user_ids), MOST):
        seen = None if start else newest
        links.mail(caller, user_ids[start : start + MOST], seen, skip=_SKIPPED)


def _create(
    confirmations: Confirmations,
    user_ids: Sequence[str],
    caller: SessionCaller,
    newest: int | None = None,
) -> Rows:
    users = confirmations.users.with_ids(user_ids)  # one may be deleted after that
    created = confirmations.links.create(caller, user_ids, newest, skip=_SKIPPED)
    return link_rows(created, users)


async def _pages(
    confirmations: Confirmations,
    pools: ThreadPools,
    first: Rows,
    user_ids: Sequence[str],
    caller: SessionCaller,
) -> AsyncIterator[Rows]:
    yield first
    for start in range(0, len(user_ids), MOST):
        part = user_ids[start : start + MOST]
        # The file must be complete, so a full pool ends nothing.
        yield await pools.write.run_when_free(_create, confirmations, part, caller)


HANDLERS = [ask_for_links, create_links]
