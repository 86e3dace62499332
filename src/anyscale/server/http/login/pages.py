"""HTML pages with plain forms: sign in and out, change the password, set it by a link."""

from contextlib import suppress
from functools import partial
from typing import Any

from litestar import Response, Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromQuery

from anyscale.errors import (
    AnyscaleError,
    LinkInvalid,
    NotAuthenticated,
    PasswordChangeNeeded,
    PasswordRefused,
)
from anyscale.server.core.login.password_change import PasswordService
from anyscale.server.core.login.sessions import LoginResult
from anyscale.server.core.users.password_links import secret_of
from anyscale.server.http.account.page import HANDLERS as ACCOUNT
from anyscale.server.http.authentication import (
    RECORD_DENIALS,
    SESSION_AUTHENTICATION,
    Authenticator,
)
from anyscale.server.http.cookies import SESSION, expired_cookie, login_cookies, read_cookie
from anyscale.server.http.dependencies import AnyRequest, UserRequest
from anyscale.server.http.login.routes import SMALL_BODY
from anyscale.server.http.login.sign_in import LoginFlows
from anyscale.server.http.thread_pools import ThreadPools
from anyscale.server.http.web.forms import read_form, refusal
from anyscale.server.http.web.templating import redirect, render_page
from anyscale.server.settings import LoginOptions

__all__ = ["ROUTERS"]

Page = Response[str]

#: What the sign-in page says, by the parameter `note` of its address.
_NOTES = {
    "signed_out": "You have signed out.",
    "ended": "Your session is over. Please sign in again.",
}

#: Why single sign-on failed, by the parameter `sso`.
_SSO_PROBLEMS = {
    "expired": "Signing in took too long, or you started it in another window. Please try again.",
    "cancelled": "You did not finish signing in. You can try again.",
    "unavailable": "Single sign-on does not answer now. Please try again in a few minutes.",
    "refused": (
        "Single sign-on worked, but it leads to no account here. "
        "Please ask your administrator to give you access."
    ),
}

_DIFFER = "The two new passwords are not the same. Please type the new one twice."


@get("/sign-in")
async def show_sign_in(
    request: AnyRequest,
    authenticator: NamedDependency[Authenticator],
    login_options: NamedDependency[LoginOptions],
    note: FromQuery[str] = "",
    sso: FromQuery[str] = "",
) -> Page:
    with suppress(NotAuthenticated):
        await authenticator.by_session(request)
        return redirect("/")
    problem = _SSO_PROBLEMS.get(sso, _SSO_PROBLEMS["refused"]) if sso else ""
    return _form_page("sign_in", login_options, problem=problem, note=_NOTES.get(note, ""))


@post("/sign-in")
async def sign_in(
    request: AnyRequest,
    login: NamedDependency[LoginFlows],
    login_options: NamedDependency[LoginOptions],
) -> Page:
    email, password = await read_form(request, "email", "password")
    show = partial(_form_page, "sign_in", login_options, email=email, wrong="email")
    if not email or not password:
        return show(problem="Please enter your email and your password.", status=400)
    try:
        result = await login.by_password(request, email, password)
    except AnyscaleError as error:
        return show(**refusal(error))
    return redirect("/password" if result.must_change_password else "/", *login_cookies(result))


def _form_page(template: str, options: LoginOptions, **values: Any) -> Page:
    """Render a page with a form; `wrong` is the field that the problem is about."""
    shown = {"email": "", "note": "", "wrong": "", **values}
    return render_page(template, script=True, options=options, **shown)


@post("/sign-out")
async def sign_out(request: AnyRequest, login: NamedDependency[LoginFlows]) -> Page:
    await login.sign_out(request)
    return redirect("/sign-in?note=signed_out", expired_cookie(SESSION))


@get("/password")
async def show_password(request: UserRequest, login_options: NamedDependency[LoginOptions]) -> Page:
    return _form_page("password", login_options, user=request.user)


@post("/password")
async def change_password(
    request: UserRequest,
    login: NamedDependency[LoginFlows],
    login_options: NamedDependency[LoginOptions],
) -> Page:
    current, new, again = await read_form(request, "current", "new", "again")
    show = partial(_form_page, "password", login_options, user=request.user)
    if new != again:
        return show(problem=_DIFFER, wrong="new", status=400)
    try:
        result = await login.change_password(request, request.user, current, new)
    except AnyscaleError as error:
        wrong = "new" if isinstance(error, PasswordRefused) else "current"
        return show(wrong=wrong, **refusal(error))
    return redirect("/?note=password_changed", *login_cookies(result))


@get("/set-password")
async def show_set_password(login_options: NamedDependency[LoginOptions]) -> Page:
    return _form_page("set_password", login_options)


@post("/set-password")
async def set_password(
    request: AnyRequest,
    login: NamedDependency[LoginFlows],
    login_options: NamedDependency[LoginOptions],
    passwords: NamedDependency[PasswordService],
    pools: NamedDependency[ThreadPools],
) -> Page:
    text, new, again = await read_form(request, "link", "new", "again")
    link = secret_of(text)
    try:
        result = await _set(request, login, link, new, again)
    except AnyscaleError as error:
        email = await _email_of(link, passwords, pools)
        wrong = "link" if isinstance(error, LinkInvalid) else "new"
        shown = {"link": link, "email": email, "wrong": wrong, **refusal(error)}
        return _form_page("set_password", login_options, **shown)
    return redirect("/?note=password_set", *login_cookies(result))


async def _set(
    request: AnyRequest, login: LoginFlows, link: str, new: str, again: str
) -> LoginResult:
    if new != again:
        raise PasswordRefused(_DIFFER)
    return await login.by_link(request, link, new)


async def _email_of(link: str, passwords: PasswordService, pools: ThreadPools) -> str:
    """Return the email of the account of a link; only its holder has the link."""
    try:
        account = await pools.read.run(passwords.link_account, link)
    except AnyscaleError:
        return ""
    return account.email


def _to_sign_in(request: AnyRequest, _: NotAuthenticated) -> Page:
    return redirect("/sign-in?note=ended" if read_cookie(request, SESSION) else "/sign-in")


def _to_password(_: AnyRequest, __: PasswordChangeNeeded) -> Page:
    return redirect("/password")


_SHARED: Any = {"include_in_schema": False, "request_max_body_size": SMALL_BODY}

ROUTERS = [
    Router(
        "/",
        route_handlers=[show_sign_in, sign_in, sign_out, show_set_password, set_password],
        **_SHARED,
    ),
    Router(
        "/",
        route_handlers=[show_password, change_password, *ACCOUNT],
        middleware=[SESSION_AUTHENTICATION],
        # A user who comes back after the weekend is no incident.
        opt={RECORD_DENIALS: False},
        exception_handlers={NotAuthenticated: _to_sign_in, PasswordChangeNeeded: _to_password},
        **_SHARED,
    ),
]
