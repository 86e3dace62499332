"""/console/sign-in-again: an owner signs in again before what cannot be undone.

A route with the guard `require_recent_sign_in` needs a sign-in of the last 15 minutes. The page
that asks ("Delete jane?") and the form that it sends both have the guard and one path: the browser
goes on at the page, since the fields of a form are lost.
"""

from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

from litestar import Response
from litestar.di import NamedDependency
from litestar.handlers import BaseRouteHandler
from litestar.params import FromQuery, RawBody
from msgspec import structs

from anyscale.errors import AnyscaleError, NotFound, Overloaded, ProviderUnavailable, SsoRefused
from anyscale.server.core.login.return_paths import ReturnPaths
from anyscale.server.core.sso.sso_login import SsoLogin
from anyscale.server.http.console.rendering import Page, refused_form, render_console_page
from anyscale.server.http.cookies import HostCookie
from anyscale.server.http.dependencies import AnyRequest, Connection, UserRequest
from anyscale.server.http.login.sign_in import LoginFlows
from anyscale.server.http.login.sso import is_forced, log_refusal
from anyscale.server.http.login.sso_cookie import COOKIE, COOKIE_SECONDS, create_cookie_value
from anyscale.server.http.login.sso_problems import sso_problem
from anyscale.server.http.request_context import request_id
from anyscale.server.http.route_handlers import get, post
from anyscale.server.http.thread_pools import ThreadPools
from anyscale.server.http.web.forms import read_form
from anyscale.server.http.web.templating import redirect
from anyscale.server.paths import SIGN_IN_AGAIN

__all__ = [
    "HANDLERS",
    "RETURN_PATH",
    "SignInAgain",
    "redirect_to_sign_in_again",
    "require_recent_sign_in",
    "require_recent_sign_in_of_owner",
]

#: The option of a route (`opt`) for the page at which the owner goes on, if it has another path. It
#: may name parameters of the route, like `/console/users/{user_id}`.
RETURN_PATH = "return_path"

#: where an owner goes on whose session has no such page
_DEFAULT = "/console"

#: Characters of a path with its query, such as that of many selected accounts, that the cookie of
#: SSO takes. Browsers drop a cookie of 4,096 octets, and nginx refuses so long headers.
_LONGEST_IN_COOKIE = 1_500


class SignInAgain(Exception):
    """The owner has to sign in again; its argument is the sealed path that follows."""


async def require_recent_sign_in(connection: Connection, _: BaseRouteHandler) -> None:
    """Raise `SignInAgain` unless the owner has signed in within the last 15 minutes."""
    caller = connection.user
    if caller.has_recent_sign_in:
        return
    state, session_id = connection.app.state, caller.session.session_id
    sealed = await state.pools.auth.run(
        state.return_paths.seal, session_id, _path_of_route(connection)
    )
    raise SignInAgain(sealed)


async def require_recent_sign_in_of_owner(
    connection: Connection, handler: BaseRouteHandler
) -> None:
    """Do so for owners alone, on pages that are for all users."""
    if connection.user.account.permission_level == "owner":
        await require_recent_sign_in(connection, handler)


def _path_of_route(connection: Connection) -> str:
    """Return the path of the route with its parameters, and the query of a page.

    It is composed from our own template, so it never leads to another host.
    """
    scope: Any = connection.scope
    template = connection.route_handler.opt.get(RETURN_PATH) or scope["path_template"]
    parameters = {name: quote(str(value), safe="") for name, value in scope["path_params"].items()}
    path = str(template).format(**parameters)
    query = urlencode(parse_qsl(scope["query_string"].decode("ascii", "replace")))
    return f"{path}?{query}" if query and scope["method"] == "GET" else path


def redirect_to_sign_in_again(_: AnyRequest, needed: SignInAgain) -> Response[str]:
    """Redirect to the page on which the owner signs in again."""
    return redirect(f"{SIGN_IN_AGAIN}?to={needed.args[0]}")


@get("/sign-in-again", pool="auth")
def show(
    request: UserRequest,
    return_paths: NamedDependency[ReturnPaths],
    to: FromQuery[str] = "",
    sso: FromQuery[str] = "",
    number: FromQuery[str] = "",
) -> Page:
    if request.user.has_recent_sign_in:
        return redirect(return_paths.unseal(request.auth.session_id, to, _DEFAULT))
    return _page(request, to, problems=[(sso_problem(sso, number), "")] if sso else [])


@post("/sign-in-again")
async def sign_in_again(
    request: UserRequest,
    body: RawBody,
    login: NamedDependency[LoginFlows],
    pools: NamedDependency[ThreadPools],
    return_paths: NamedDependency[ReturnPaths],
) -> Page:
    password, to = read_form(request, body, "password", "to")
    if not password:
        return _page(request, to, problems=[("Enter your password.", "password")], status=400)
    try:
        await login.again_by_password(request, request.user, password)
    except AnyscaleError as error:
        return _page(request, to, **refused_form(error, "password"))
    session_id = request.auth.session_id
    return redirect(await pools.auth.run(return_paths.unseal, session_id, to, _DEFAULT))


@get("/sign-in-again/sso", pool="identity_provider.start")
def start_sso(
    request: UserRequest,
    sso_login: NamedDependency[SsoLogin | None],
    return_paths: NamedDependency[ReturnPaths],
    to: FromQuery[str] = "",
) -> Response[str]:
    if sso_login is None:
        raise NotFound("there is no sign-in at an identity provider here")
    if is_forced(request):
        return redirect(SIGN_IN_AGAIN)
    session_id = request.auth.session_id
    path = return_paths.unseal(session_id, to, _DEFAULT)
    if len(path) > _LONGEST_IN_COOKIE:
        path = path.partition("?")[0]
    try:
        url, started = sso_login.provider.begin(max_age=0)
    except (SsoRefused, ProviderUnavailable, Overloaded) as error:
        log_refusal(error, str(error))
        problem = sso_problem("unavailable", request_id.get())
        return _page(request, to, problems=[(problem, "")], status=error.status)
    started = structs.replace(started, session_id=session_id, return_path=path)
    cookie = HostCookie(COOKIE, create_cookie_value(sso_login, started), COOKIE_SECONDS)
    return redirect(url, cookie)


def _page(request: UserRequest, to: str, **shown: Any) -> Page:
    """Render the page; `to` is the sealed path, as it came."""
    options, account = request.app.state.login_options, request.user.account
    values: dict[str, Any] = {
        "to": to,
        "by_password": options.has_passwords and account.password_hash is not None,
        "by_sso": options.has_sso and account.is_sso_user,
    }
    return render_console_page(request, "sign_in_again", "", **values | shown)


HANDLERS = [show, sign_in_again, start_sso]
