"""/sign-in-again: a user signs in again before what cannot be undone, or changes how to sign in.

The services of `core` refuse such a change without a sign-in of the last 15 minutes. The pages that
ask first ("Delete jane?") refuse too, by the guard `require_recent_sign_in`, and have the path of
the form that they send: the browser continues at the page, which has the fields of the form again.
"""

from functools import partial
from typing import Any

from litestar import Response
from litestar.di import NamedDependency
from litestar.handlers import BaseRouteHandler
from litestar.params import FromQuery, RawBody
from msgspec import structs

from anyscale.errors import AnyscaleError, Overloaded, ProviderUnavailable, SsoRefused
from anyscale.server.core.callers import SignInTooOld, has_permission
from anyscale.server.core.login.return_paths import sign_path, unsign_path
from anyscale.server.core.permissions import Permission
from anyscale.server.core.sso.sso_login import SsoLogin
from anyscale.server.core.steps import Step
from anyscale.server.http.authentication import ALLOWED_STEPS
from anyscale.server.http.cookies import SESSION, read_cookie
from anyscale.server.http.dependencies import AnyRequest, Connection, UserRequest
from anyscale.server.http.login.refused_passkeys import passkey_refusal
from anyscale.server.http.login.second_factor import show_second_factor
from anyscale.server.http.login.sign_in import LoginFlows
from anyscale.server.http.login.sso import is_forced, log_refusal, path_for_cookie, require_sso
from anyscale.server.http.login.sso_cookie import create_cookie
from anyscale.server.http.login.sso_problems import sso_problem
from anyscale.server.http.request_context import request_id
from anyscale.server.http.route_handlers import get, post
from anyscale.server.http.web.forms import read_form
from anyscale.server.http.web.kept_forms import may_keep_form, return_path, send_form_again
from anyscale.server.http.web.templating import redirect, render_page
from anyscale.server.paths import SIGN_IN_AGAIN

Page = Response[str]


async def require_recent_sign_in(connection: Connection, _: BaseRouteHandler) -> None:
    """Raise `SignInTooOld` unless the user has signed in within the last 15 minutes."""
    connection.user.require_recent_sign_in()


def redirect_to_sign_in_again(request: AnyRequest, _: SignInTooOld) -> Response[str]:
    """Redirect to the page where the user signs in again, and then continues."""
    path = return_path(request)
    if may_keep_form(request):
        return send_form_again(path, again="yes")
    return redirect(f"{SIGN_IN_AGAIN}?to={sign_path(read_cookie(request, SESSION), path)}")


@get(SIGN_IN_AGAIN, opt={ALLOWED_STEPS: {Step.SECOND_FACTOR}})
async def show(
    request: UserRequest,
    login: NamedDependency[LoginFlows],
    to: FromQuery[str] = "",
    sso: FromQuery[str] = "",
    number: FromQuery[str] = "",
) -> Page:
    if request.user.has_recent_sign_in:
        return redirect(_path_of(request, to))
    problem = sso_problem(sso, number) if sso else ""
    return await _with_passkeys(request, login, to, problem=problem)


@post(SIGN_IN_AGAIN, opt={ALLOWED_STEPS: {Step.SECOND_FACTOR}})
async def sign_in_again(
    request: UserRequest,
    body: RawBody,
    login: NamedDependency[LoginFlows],
) -> Page:
    password, passkey, to = read_form(request, body, "password", "passkey", "to")
    show = partial(_with_passkeys, request, login, to)
    if not (password or passkey):
        return await show(problem="Enter your password.", wrong="password", status=400)
    try:
        if passkey:
            passkeys = login.require_passkeys()
            half = await login.sign_in(
                "passkey",
                request,
                lambda client: passkeys.sign_in_again(request.user, passkey, client.session),
            )
        else:
            call = partial(login.password_login.sign_in_again, request.user, password)
            half = await login.sign_in("password", request, call)
    except AnyscaleError as error:
        wrong = "" if passkey else "password"
        return await show(wrong=wrong, **await passkey_refusal(request, error))
    path = _path_of(request, to)
    return await show_second_factor(login, half, path) if half else redirect(path)


@get(
    f"{SIGN_IN_AGAIN}/sso",
    pool="identity_provider.start",
    opt={ALLOWED_STEPS: {Step.SECOND_FACTOR}},
)
def start_sso(
    request: UserRequest,
    sso_login: NamedDependency[SsoLogin | None],
    to: FromQuery[str] = "",
) -> Response[str]:
    service = require_sso(sso_login)
    if is_forced(request):
        return redirect(SIGN_IN_AGAIN)
    path = path_for_cookie(_path_of(request, to))
    try:
        url, started = service.provider.begin(max_age=0)
    except (SsoRefused, ProviderUnavailable, Overloaded) as error:
        log_refusal(error, str(error))
        problem = sso_problem("unavailable", request_id.get())
        return _page(request, to, problem=problem, status=error.status)
    started = structs.replace(started, session_id=request.auth.session_id, return_path=path)
    return redirect(url, create_cookie(service, started))


def _path_of(request: UserRequest, to: str) -> str:
    """Return the path that is signed in `to`, or the default one."""
    return unsign_path(read_cookie(request, SESSION), to, _home(request))


def _home(request: UserRequest) -> str:
    """Return where a user continues whose session has no such page."""
    return "/console" if has_permission(request.user, Permission.USE_CONSOLE) else "/"


async def _with_passkeys(request: UserRequest, login: LoginFlows, to: str, **shown: Any) -> Page:
    """Render the page, which offers the passkeys of the user first."""
    options = None
    if login.passkeys:
        session = read_cookie(request, SESSION)
        call = login.passkeys.options_again
        options = await login.pools.look_ups.run(call, request.user, session)
    return _page(request, to, passkey_options=options, **shown)


def _page(request: UserRequest, to: str, **shown: Any) -> Page:
    """Render the page; `to` is the signed path, as it came."""
    options, account = request.app.state.login_options, request.user.account
    values: dict[str, Any] = {
        "to": to,
        "passkey_options": None,
        "home": _home(request),
        "wrong": "",
        "by_password": options.has_passwords and account.password_hash is not None,
        "by_sso": options.has_sso and account.is_sso_user,
    }
    return render_page(
        "sign_in_again", options=options, script=True, user=request.user, **values | shown
    )


HANDLERS = [show, sign_in_again, start_sso]
