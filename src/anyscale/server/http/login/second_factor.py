"""The second part of a sign-in: `/sign-in/second-factor` and `/v1/sessions/second-factor`.

A cookie, which nothing but these two reads, names what the user has shown so far.
"""

from functools import partial
from typing import Any
from urllib.parse import urlencode

from litestar import Response
from litestar.di import NamedDependency
from litestar.params import FromQuery, RawBody

from anyscale.errors import (
    AnyscaleError,
    HalfSignInExpired,
    NotAuthenticated,
    RequestInvalid,
    SecondFactorNeeded,
)
from anyscale.server.core.login.half_sign_in import HalfSignIn
from anyscale.server.core.login.return_paths import sign_path
from anyscale.server.core.login.second_factor_login import PendingSignIn
from anyscale.server.core.login.sessions import LoginResult
from anyscale.server.core.second_factor.recovery_codes import recovery_code_hash
from anyscale.server.core.steps import Step
from anyscale.server.http.bodies import decode
from anyscale.server.http.cookies import (
    HALF_SIGN_IN,
    SESSION,
    expired_cookie,
    half_cookie,
    login_cookies,
    read_cookie,
)
from anyscale.server.http.dependencies import AnyRequest
from anyscale.server.http.errors import error_responses, refusal_response
from anyscale.server.http.login.refused_passkeys import passkey_refusal
from anyscale.server.http.login.schemas import LoginResponse, SecondFactorRequest
from anyscale.server.http.login.sign_in import LoginFlows
from anyscale.server.http.openid.authorize import resumed_id
from anyscale.server.http.openid.continuation import Continuation
from anyscale.server.http.route_handlers import get, post
from anyscale.server.http.web.forms import read_form, refusal
from anyscale.server.http.web.kept_forms import own_page
from anyscale.server.http.web.session_pages import STEP_PAGES
from anyscale.server.http.web.templating import redirect, render_page
from anyscale.server.login_options import LoginOptions
from anyscale.server.paths import RECOVERED, SECOND_FACTOR

Page = Response[str]

#: characters of a stored path: of a longer one the query is left out
_LONGEST_PATH = 1_500

#: what the page of the second part is opened for
_BY_CODE, _BY_RECOVERY_CODE = "code", "recovery_code"


async def continue_sign_in(
    login: LoginFlows,
    result: LoginResult | HalfSignIn,
    following: Continuation,
    default: str = "/",
    note: str = "",
) -> Page:
    """Redirect to the page that follows a sign-in, or first to that of the second factor.

    Args:
        login: signs users in.
        result: of the sign-in.
        following: what waits for it.
        default: the page of ours that follows if nothing waits.
        note: what that page shows.
    """
    if isinstance(result, HalfSignIn):
        return await show_second_factor(login, result, following.path(default, note=note))
    page = STEP_PAGES.get(result.pending, default)
    return redirect(following.path(page, note=note), *login_cookies(result))


async def show_second_factor(login: LoginFlows, half: HalfSignIn, path: str) -> Page:
    """Redirect to the page of the second factor, which leads to a path of ours."""
    path = path if len(path) <= _LONGEST_PATH else path.partition("?")[0]
    if path != "/":
        await login.pools.applications.run(login.second_factor.set_path, half.secret, path)
    return redirect(SECOND_FACTOR, half_cookie(half.secret))


async def respond_to_sign_in(
    request: AnyRequest, login: LoginFlows, result: LoginResult | HalfSignIn
) -> Response[Any]:
    """Respond to a call: with the cookies of a session, or with what the account can show next."""
    if isinstance(result, LoginResult):
        return _login_response(result)
    pending = await login.pools.look_ups.run(login.second_factor.pending, result.secret)
    factors = [*sorted(pending.kinds), *(["recovery_code"] if pending.has_recovery_codes else [])]
    error = SecondFactorNeeded("show a second factor: POST /v1/sessions/second-factor")
    response = refusal_response(request, error, factors=factors)
    response.set_cookie(half_cookie(result.secret))
    return response


def _login_response(login: LoginResult) -> Response[LoginResponse]:
    body = LoginResponse(login.user_id, login.pending is Step.PASSWORD)
    return Response(body, cookies=login_cookies(login))


@get(SECOND_FACTOR)
async def show(
    request: AnyRequest,
    login: NamedDependency[LoginFlows],
    login_options: NamedDependency[LoginOptions],
    by: FromQuery[str] = "",
) -> Page:
    try:
        pending = await _pending(request, login)
    except HalfSignInExpired:
        return _start_again()
    return _page(login_options, pending, _chosen(pending, by))


@post(SECOND_FACTOR)
async def complete(
    request: AnyRequest,
    body: RawBody,
    login: NamedDependency[LoginFlows],
    login_options: NamedDependency[LoginOptions],
) -> Page:
    code, recovery_code, by, passkey = read_form(
        request, body, _BY_CODE, _BY_RECOVERY_CODE, "by", "passkey"
    )
    try:
        pending = await _pending(request, login)
    except HalfSignInExpired:
        return _start_again()
    chosen = _chosen(pending, by)
    if passkey:
        return await _complete_by_passkey(request, login, login_options, pending, passkey)
    if chosen == _BY_CODE and pending.has_recovery_codes and recovery_code_hash(code):
        chosen, recovery_code = _BY_RECOVERY_CODE, code  # in the wrong field
    if not (recovery_code if chosen == _BY_RECOVERY_CODE else code):
        return _page(login_options, pending, chosen, problem="Enter a code.", status=400)
    given = {_BY_RECOVERY_CODE: recovery_code} if chosen == _BY_RECOVERY_CODE else {"code": code}
    try:
        result = await login.by_second_factor(request, pending.half, **given)
    except (HalfSignInExpired, NotAuthenticated):
        return _start_again()
    except AnyscaleError as error:
        return _page(login_options, pending, chosen, **refusal(error))
    session = result.session if result else read_cookie(request, SESSION)
    path = pending.half.path
    if chosen == _BY_RECOVERY_CODE:
        path = f"{RECOVERED}?to={sign_path(session, path)}"
    cookies = login_cookies(result) if result else []
    return redirect(path, expired_cookie(HALF_SIGN_IN), *cookies)


async def _complete_by_passkey(
    request: AnyRequest,
    login: LoginFlows,
    options: LoginOptions,
    pending: PendingSignIn,
    answer: str,
) -> Page:
    try:
        cookie = read_cookie(request, HALF_SIGN_IN)
        call = partial(login.second_factor.by_passkey, pending.half, answer, cookie)
        result = await login.sign_in("passkey", request, call)
    except (HalfSignInExpired, NotAuthenticated):
        return _start_again()
    except AnyscaleError as error:
        shown = await passkey_refusal(request, error)
        return _page(options, pending, _BY_CODE, wrong="", **shown)
    cookies = login_cookies(result) if result else []
    return redirect(pending.half.path, expired_cookie(HALF_SIGN_IN), *cookies)


async def _pending(request: AnyRequest, login: LoginFlows) -> PendingSignIn:
    cookie = read_cookie(request, HALF_SIGN_IN)
    return await login.pools.look_ups.run(login.second_factor.pending, cookie)


def _chosen(pending: PendingSignIn, by: str) -> str:
    """Return what the page asks for: recovery codes only on request, and if there are any."""
    wants_recovery = by == _BY_RECOVERY_CODE and pending.has_recovery_codes
    return _BY_RECOVERY_CODE if wants_recovery else _BY_CODE


def _page(options: LoginOptions, pending: PendingSignIn, chosen: str, **shown: Any) -> Page:
    values = {"problem": "", "wrong": chosen if shown.get("problem") else "", **shown}
    values["sign_in"] = _sign_in_page(pending.half.path)
    return render_page(
        "second_factor", script=True, options=options, pending=pending, chosen=chosen, **values
    )


def _sign_in_page(path: str) -> str:
    """Return the address where somebody else signs in, and continues where this user would."""
    if request_id := resumed_id(path):
        return f"/sign-in?{urlencode({'authorization': request_id})}"
    is_page = path.partition("?")[0] != "/"  # the note of the account page is for this user
    return f"/sign-in?{urlencode({'to': path})}" if is_page and own_page(path) else "/sign-in"


def _start_again() -> Page:
    return redirect("/sign-in?note=half_expired", expired_cookie(HALF_SIGN_IN))


@post(
    "/sessions/second-factor",
    operation_id="completeSignIn",
    summary=(
        "Complete a sign-in by a one-time code or a recovery code. It takes the cookie "
        "`__Host-second-factor` of the first part, and sets the cookie `__Host-session`."
    ),
    status_code=200,
    responses=error_responses(413),
)
async def complete_sign_in(
    request: AnyRequest, login: NamedDependency[LoginFlows]
) -> Response[LoginResponse]:
    given = decode(await request.body(), SecondFactorRequest)
    if bool(given.code) == bool(given.recovery_code):
        raise RequestInvalid("the body needs either `code` or `recovery_code`")
    pending = await _pending(request, login)
    if pending.half.session_id:
        raise HalfSignInExpired("this sign-in began on a page: complete it there")
    result = await login.by_second_factor(
        request, pending.half, code=given.code, recovery_code=given.recovery_code
    )
    assert result
    response = _login_response(result)
    response.set_cookie(expired_cookie(HALF_SIGN_IN))
    return response


PAGES = [show, complete]
CALLS = [complete_sign_in]
