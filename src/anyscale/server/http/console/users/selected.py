"""Changes of the accounts that an owner has selected on a page of the list: suspend, links.

The page that asks and the form that it sends have one path. The ids are in the address of the page,
and in the fields of the form.
"""

from collections.abc import Sequence
from typing import Annotated, Any
from urllib.parse import urlencode

from litestar import Response
from litestar.di import NamedDependency, Provide
from litestar.params import FromQuery, QueryParameter, RawBody

from anyscale.domain.models.users import User
from anyscale.domain.names import full_name
from anyscale.errors import (
    AlreadyReplaced,
    AnyscaleError,
    NotAuthenticated,
    NotFound,
    NotPermitted,
    RequestInvalid,
)
from anyscale.server.core.accounts.lifecycle import UserLifecycle
from anyscale.server.core.accounts.queries import UserQueries
from anyscale.server.core.login.links import PasswordLinkService
from anyscale.server.http.console.users.filters import PATH, UserFilters, read_filters
from anyscale.server.http.console.users.listing import PAGE_USERS
from anyscale.server.http.dependencies import UserRequest
from anyscale.server.http.login.sign_in_again import require_recent_sign_in
from anyscale.server.http.route_handlers import get, post
from anyscale.server.http.web.console_page import (
    NOT_OF_THE_FORM,
    Page,
    Problem,
    refused_form,
    render_console_page,
)
from anyscale.server.http.web.forms import read_form, read_number, read_texts, user_message
from anyscale.server.http.web.records_file import BY_MAIL, LINK_NOTES, link_rows, links_file
from anyscale.server.http.web.templating import redirect

__all__ = ["HANDLERS"]

_FILTERS = {"filters": Provide(read_filters, sync_to_thread=False)}

#: the accounts of a page
UserIds = Annotated[list[str] | None, QueryParameter(name="user_id", max_items=PAGE_USERS)]


@get("/users/suspend", pool="read", dependencies=_FILTERS)
def ask_to_suspend(
    request: UserRequest,
    users: NamedDependency[UserQueries],
    filters: NamedDependency[UserFilters],
    user_ids: UserIds = None,
) -> Page:
    return _question(request, "suspend", users, filters, user_ids or [])


@get("/users/links", pool="read", dependencies=_FILTERS, guards=[require_recent_sign_in])
def ask_for_links(
    request: UserRequest,
    users: NamedDependency[UserQueries],
    links: NamedDependency[PasswordLinkService],
    filters: NamedDependency[UserFilters],
    user_ids: UserIds = None,
    note: FromQuery[str] = "",
) -> Page:
    note = LINK_NOTES.get(note, "")
    return _links_question(request, users, links, filters, user_ids or [], note=note)


@post("/users/suspend", pool="write", dependencies=_FILTERS)
def suspend_selected(
    request: UserRequest,
    body: RawBody,
    lifecycle: NamedDependency[UserLifecycle],
    users: NamedDependency[UserQueries],
    filters: NamedDependency[UserFilters],
) -> Page:
    user_ids, failed = _selected(request, body), dict[str, Problem]()
    _require_recent_sign_in(request, users.with_ids(user_ids))  # before any account is suspended
    for user_id in user_ids:
        try:
            lifecycle.suspend(user_id, request.user)
        except NotFound:
            pass  # it was deleted
        except NOT_OF_THE_FORM:
            raise  # the caller's own account is suspended now
        except AnyscaleError as error:
            failed[user_id] = (user_message(error), "")
    if failed:
        problems = [*failed.values(), ("All other accounts are suspended.", "")]
        return _question(
            request, "suspend", users, filters, list(failed), problems=problems, status=409
        )
    return redirect(filters.address(note="suspended"))


@post("/users/links", pool="write", dependencies=_FILTERS)
def create_links(
    request: UserRequest,
    body: RawBody,
    links: NamedDependency[PasswordLinkService],
    users: NamedDependency[UserQueries],
    filters: NamedDependency[UserFilters],
) -> Response[Any]:
    """Create links, and send them as a file: no address and no later page has them.

    Or request that they are mailed. A form that arrives twice does neither: it names the newest
    link that its user has seen.
    """
    user_ids = _selected(request, body)
    (text,) = read_form(request, body, "format")
    newest = read_number(request, body, "newest")
    try:
        if text == BY_MAIL:
            links.mail(user_ids, request.user, newest)
            return redirect(filters.address(note="mailed"))
        created = links.create(user_ids, request.user, newest)
    except AlreadyReplaced:
        query = urlencode([("user_id", user_id) for user_id in user_ids])
        return redirect(f"{filters.address(f'{PATH}/links', note='repeated')}&{query}")
    except (NotAuthenticated, NotPermitted):
        raise
    except AnyscaleError as error:
        shown = refused_form(error)
        return _links_question(request, users, links, filters, user_ids, **shown)
    return links_file(text).response(link_rows(created, users.with_ids(user_ids)))


def _selected(request: UserRequest, body: bytes) -> list[str]:
    user_ids = list(dict.fromkeys(read_texts(request, body, "user_id")))
    if not user_ids or len(user_ids) > PAGE_USERS:
        raise RequestInvalid(f"select 1 to {PAGE_USERS} accounts")
    return user_ids


def _require_recent_sign_in(request: UserRequest, found: Sequence[User]) -> None:
    """Raise `SignInTooOld` as the change of an owner's account would."""
    if any(user.permission_level == "owner" for user in found):
        request.user.require_recent_sign_in()


def _links_question(
    request: UserRequest,
    users: UserQueries,
    links: PasswordLinkService,
    filters: UserFilters,
    user_ids: list[str],
    **shown: Any,
) -> Page:
    unused, module = links.unused(user_ids), "download.js"
    return _question(
        request, "links", users, filters, user_ids, unused=unused, module=module, **shown
    )


def _question(
    request: UserRequest,
    action: str,
    users: UserQueries,
    filters: UserFilters,
    user_ids: list[str],
    **shown: Any,
) -> Page:
    found = users.with_ids(user_ids)
    _require_recent_sign_in(request, found)
    if not found:
        shown = {"problems": [("Select at least one account.", "")], "status": 400} | shown
    return render_console_page(
        request,
        "users/selected",
        PATH,
        action=action,
        path=filters.address(f"{PATH}/{action}"),
        back=filters.address(),
        accounts=[(user, full_name(user.name, user.lastname)) for user in found],
        **shown,
    )


HANDLERS = [ask_to_suspend, ask_for_links, suspend_selected, create_links]
