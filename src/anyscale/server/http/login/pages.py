"""Pages for people: sign in and out, change the password, set it by a link. Plain forms."""

from contextlib import suppress
from functools import partial
from typing import Any

from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromQuery

from anyscale.errors import (
    AnyscaleError,
    LinkInvalid,
    NotAuthenticated,
    Overloaded,
    PasswordChangeNeeded,
    PasswordRefused,
)
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.login.password_login import LoginResult
from anyscale.server.core.login.sessions import AuthenticatedUser
from anyscale.server.core.users.password_links import secret_of
from anyscale.server.http.account.page import HANDLERS as ACCOUNT
from anyscale.server.http.authentication import (
    RECORD_DENIALS,
    SESSION_AUTHENTICATION,
    Authenticator,
)
from anyscale.server.http.cookies import SESSION, expired_cookie, login_cookies, read_cookie
from anyscale.server.http.dependencies import GivenMember, GivenPlane, GivenPools
from anyscale.server.http.login import sign_in as doors
from anyscale.server.http.login.routes import SMALL_BODY
from anyscale.server.http.thread_pools import ThreadPools
from anyscale.server.http.web.forms import form_of, sentence
from anyscale.server.http.web.templating import redirect, rendered

__all__ = ["routers"]

AnyRequest = Request[Any, Any, Any]
Page = Response[str]

#: What the sign-in page is told by its address.
_NOTES = {
    "signed_out": "You have signed out.",
    "ended": "Your session is over. Please sign in again.",
}

#: What went wrong on the way to the identity provider and back.
_SSO = {
    "expired": "Signing in took too long, or was begun in another window. Please try again.",
    "cancelled": "You did not finish signing in. You can try again.",
    "unavailable": "Single sign-on does not answer now. Please try again in a few minutes.",
    "refused": (
        "Single sign-on worked, but it leads to no account here. "
        "Please ask your administrator to give you access."
    ),
}


@get("/sign-in")
async def show_sign_in(
    request: AnyRequest,
    plane: GivenPlane,
    authenticator: NamedDependency[Authenticator],
    note: FromQuery[str] = "",
    sso: FromQuery[str] = "",
) -> Page:
    with suppress(NotAuthenticated):
        await authenticator.by_session(request)
        return redirect("/")
    problem = _SSO.get(sso, _SSO["refused"]) if sso else ""
    return _sign_in_page(plane, problem=problem, note=_NOTES.get(note, ""), at="")


@post("/sign-in")
async def sign_in(request: AnyRequest, plane: GivenPlane) -> Page:
    email, password = await form_of(request, "email", "password")
    if not email or not password:
        problem = "Please enter your email and your password."
        return _sign_in_page(plane, problem=problem, email=email, status=400)
    try:
        signed_in = await doors.by_password(request, email, password)
    except AnyscaleError as error:
        return _sign_in_page(plane, email=email, **_refusal(error))
    return redirect(
        "/password" if signed_in.must_change_password else "/", *login_cookies(signed_in)
    )


def _sign_in_page(
    plane: ControlPlane, *, email: str = "", note: str = "", at: str = "email", **words: Any
) -> Response[str]:
    settings = plane.settings
    return rendered(
        "sign_in",
        script=True,
        email=email,
        note=note,
        wrong=at,
        sso=settings.sso,
        passwords=not settings.policy.sso_only,
        **words,
    )


@post("/sign-out")
async def sign_out(request: AnyRequest) -> Page:
    await doors.leave(request)
    return redirect("/sign-in?note=signed_out", expired_cookie(SESSION))


def _to_sign_in(request: AnyRequest, _: NotAuthenticated) -> Page:
    # No refusal to be noted: people come back after the weekend.
    return redirect("/sign-in?note=ended" if read_cookie(request, SESSION) else "/sign-in")


def _to_password(_: AnyRequest, __: PasswordChangeNeeded) -> Page:
    return redirect("/password")


@get("/password")
async def show_password(plane: GivenPlane, member: GivenMember) -> Page:
    return _password_page(plane, member)


@post("/password")
async def change_password(request: AnyRequest, plane: GivenPlane, member: GivenMember) -> Page:
    current, new, again = await form_of(request, "current", "new", "again")
    if new != again:
        return _password_page(plane, member, problem=_DIFFER, status=400, at="new")
    try:
        signed_in = await doors.change_password(request, member, current, new)
    except AnyscaleError as error:
        at = "new" if isinstance(error, PasswordRefused) else "current"
        return _password_page(plane, member, at=at, **_refusal(error))
    return redirect("/?note=password_changed", *login_cookies(signed_in))


_DIFFER = "The two new passwords are not the same. Please type the new one twice."


def _password_page(
    plane: ControlPlane, member: AuthenticatedUser, *, at: str = "", problem: str = "", **words: Any
) -> Response[str]:
    return rendered(
        "password",
        script=True,
        member=member,
        minimum=plane.settings.policy.password_min_length,
        passwords=not plane.settings.policy.sso_only,
        wrong=at,
        problem=problem,
        **words,
    )


@get("/set-password")
async def show_set_password(plane: GivenPlane) -> Page:
    return _link_page(plane, link="")


@post("/set-password")
async def set_password(request: AnyRequest, plane: GivenPlane, pools: GivenPools) -> Page:
    link, new, again = await form_of(request, "link", "new", "again")
    link = secret_of(link)
    try:
        signed_in = await _set(request, link, new, again)
    except AnyscaleError as error:
        at = "link" if isinstance(error, LinkInvalid) else "new"
        email = await _email_of(plane, pools, link)
        return _link_page(plane, link=link if email else "", email=email, at=at, **_refusal(error))
    return redirect("/?note=password_set", *login_cookies(signed_in))


async def _set(request: AnyRequest, link: str, new: str, again: str) -> LoginResult:
    if new != again:
        raise PasswordRefused(_DIFFER)
    return await doors.by_link(request, link, new)


async def _email_of(plane: ControlPlane, pools: ThreadPools, link: str) -> str:
    """Give whose link it is, to nobody but who has it."""
    try:
        account = await pools.read.run(partial(plane.sign_in.link_account, link))
    except AnyscaleError:
        return ""
    return account.email


def _link_page(
    plane: ControlPlane,
    *,
    link: str,
    email: str = "",
    at: str = "",
    problem: str = "",
    **words: Any,
) -> Response[str]:
    return rendered(
        "set_password",
        script=True,
        link=link,
        email=email,
        minimum=plane.settings.policy.password_min_length,
        passwords=not plane.settings.policy.sso_only,
        wrong=at,
        problem=problem,
        **words,
    )


def _refusal(error: AnyscaleError) -> dict[str, Any]:
    """Give what a page says of a refusal.

    Raises:
        AnyscaleError: the same, if it is no answer to a form: it gets a page of its own.
    """
    if error.status >= _FAULT:
        raise error
    headers = {}
    if isinstance(error, Overloaded):
        headers["Retry-After"] = f"{error.retry_after_seconds:.0f}"
    return {"problem": sentence(error), "status": error.status, "headers": headers}


#: from which on it is the server that is at fault (RFC 9110, 15.6)
_FAULT = 500

_SHARED: Any = {"include_in_schema": False, "request_max_body_size": SMALL_BODY}


def routers() -> list[Router]:
    """Give the pages: for whoever comes, and for whoever is signed in."""
    open_to_all = [show_sign_in, sign_in, sign_out, show_set_password, set_password]
    return [
        Router("/", route_handlers=open_to_all, **_SHARED),
        Router(
            "/",
            route_handlers=[show_password, change_password, *ACCOUNT],
            middleware=[SESSION_AUTHENTICATION],
            opt={RECORD_DENIALS: False},
            exception_handlers={
                NotAuthenticated: _to_sign_in,
                PasswordChangeNeeded: _to_password,
            },
            **_SHARED,
        ),
    ]
