"""HTML pages with plain forms: sign in and out, change the password, set it by a link."""

from contextlib import suppress
from functools import partial
from typing import Any

from litestar import Response, Router
from litestar.di import NamedDependency
from litestar.params import FromQuery, RawBody

from anyscale.errors import (
    AnyscaleError,
    InvalidCredentials,
    LinkInvalid,
    NotAuthenticated,
    NotFound,
    PasswordRefused,
    RequestInvalid,
)
from anyscale.server.background.file_runs import FileRuns
from anyscale.server.core.link_secrets import secret_of
from anyscale.server.core.login.password_resets import PasswordResets
from anyscale.server.core.login.return_paths import sign_path
from anyscale.server.core.login.sessions import SessionService
from anyscale.server.core.steps import ANY_STEP, Step
from anyscale.server.http.authentication import ALLOWED_STEPS, Authenticator
from anyscale.server.http.bodies import SMALL_BODY
from anyscale.server.http.cookies import SESSION, client_info, expired_cookie, read_cookie
from anyscale.server.http.dependencies import AnyRequest, UserRequest
from anyscale.server.http.login import passkeys
from anyscale.server.http.login.passkeys import sign_in_page
from anyscale.server.http.login.second_factor import PAGES, continue_sign_in
from anyscale.server.http.login.sign_in import LoginFlows
from anyscale.server.http.login.sso_problems import sso_problem
from anyscale.server.http.openid.authorize import REQUEST_EXPIRED
from anyscale.server.http.openid.continuation import (
    LOST_REQUEST_NOTES,
    Continuation,
    Continuations,
)
from anyscale.server.http.refusals import count_refusal
from anyscale.server.http.route_handlers import get, post
from anyscale.server.http.web.forms import read_form, refusal
from anyscale.server.http.web.kept_forms import COOKIE as KEPT_FORM
from anyscale.server.http.web.kept_forms import keep_fields, own_page
from anyscale.server.http.web.session_pages import session_pages
from anyscale.server.http.web.templating import redirect, render_page
from anyscale.server.login_options import LoginOptions
from anyscale.server.paths import FORGOT_PASSWORD, KEEP_FORM, LINK_PAGE, SIGN_IN_AGAIN
from anyscale.server.store.records.users import AccountRecord

Page = Response[str]

#: Messages of the sign-in page, by the parameter `note` of its address.
_NOTES = {
    "signed_out": "You have signed out.",
    "half_expired": "Signing in took too long, or your account was changed. Please sign in again.",
    "session_expired": "You are not signed in any more. Please sign in again.",
    **LOST_REQUEST_NOTES,
}

_DIFFER = "The two new passwords are not the same."


@get("/sign-in", opt={ALLOWED_STEPS: ANY_STEP})
async def show_sign_in(
    request: AnyRequest,
    authenticator: NamedDependency[Authenticator],
    login: NamedDependency[LoginFlows],
    login_options: NamedDependency[LoginOptions],
    continuations: NamedDependency[Continuations],
    note: FromQuery[str] = "",
    sso: FromQuery[str] = "",
    number: FromQuery[str] = "",
    authorization: FromQuery[str] = "",
    to: FromQuery[str] = "",
) -> Page:
    # After a refusal of the identity provider, the user can continue in another way.
    find = continuations.newest(request) if sso else continuations.get(request, authorization)
    following = await find
    if not following.stored:  # an application may require a new sign-in
        with suppress(NotAuthenticated):
            await authenticator.by_session(request)
            lost = note if note in LOST_REQUEST_NOTES else ""
            return redirect(following.path(own_page(to) or "/", note=lost))
    return sign_in_page(
        request,
        login,
        login_options,
        following,
        problem=sso_problem(sso, number) if sso else "",
        note=_NOTES.get(REQUEST_EXPIRED if following.is_lost else note, ""),
        email=following.login_hint,
        to=own_page(to),
    )


@post("/sign-in")
async def sign_in(
    request: AnyRequest,
    body: RawBody,
    login: NamedDependency[LoginFlows],
    login_options: NamedDependency[LoginOptions],
    continuations: NamedDependency[Continuations],
) -> Page:
    email, password, request_id, to = read_form(
        request, body, "email", "password", "authorization", "to"
    )
    following = await continuations.get(request, request_id)
    show = partial(
        sign_in_page, request, login, login_options, following, email=email, to=own_page(to)
    )
    if not email:
        return show(problem="Enter your email.", wrong="email", status=400)
    if not password:
        return show(problem="Enter your password.", wrong="password", status=400)
    try:
        result = await login.by_password(request, email, password)
    except AnyscaleError as error:
        wrong = "password" if isinstance(error, InvalidCredentials) else ""
        return show(wrong=wrong, **refusal(error))
    return await continue_sign_in(login, result, following, own_page(to) or "/")


def _form_page(
    template: str, options: LoginOptions, following: Continuation, **values: Any
) -> Page:
    """Render a page with a form; `wrong` is the field that the problem is about, if it is one."""
    shown = {"email": "", "note": "", "wrong": "", "following": following, **values}
    return render_page(template, script=True, options=options, **shown)


@post(KEEP_FORM)
async def keep_form(
    request: AnyRequest, body: RawBody, to: FromQuery[str] = "", again: FromQuery[str] = ""
) -> Page:
    """Keep a form that needs a sign-in first, and go to its page, which needs it too.

    `again` is for a form whose owner has to sign in again, which its page may not need.
    """
    path, cookies = keep_fields(request, body, own_page(to) or "/")
    if again:
        path = f"{SIGN_IN_AGAIN}?to={sign_path(read_cookie(request, SESSION), path)}"
    return redirect(path, *cookies)


@post("/sign-out", pool="read", status_code=200)
def sign_out(
    request: AnyRequest,
    body: RawBody,
    sessions: NamedDependency[SessionService],
    file_runs: NamedDependency[FileRuns],
    login_options: NamedDependency[LoginOptions],
) -> Page:
    """Sign out. A run of the console that would stop with the session is named first."""
    if secret := read_cookie(request, SESSION):
        with suppress(NotAuthenticated, NotFound):  # it has expired, or was revoked
            caller = sessions.authenticate(secret)
            running = file_runs.of_session(caller.session.session_id)
            if running and bytes(body) != b"confirmed=yes":
                return render_page(
                    "sign_out", options=login_options, script=True, user=caller, runs=running
                )
            sessions.revoke(caller, caller.session.session_id)
    # What was typed into a form may wait in the browser: it is not for the next user.
    cookies = expired_cookie(SESSION), expired_cookie(KEPT_FORM)
    return redirect("/sign-in?note=signed_out", *cookies)


@get("/password", pool="read", opt={ALLOWED_STEPS: {Step.PASSWORD}})
def show_password(
    request: UserRequest,
    login_options: NamedDependency[LoginOptions],
    continuations: NamedDependency[Continuations],
    authorization: FromQuery[str] = "",
    note: FromQuery[str] = "",
) -> Page:
    following = continuations.find(request, authorization)
    shown = LOST_REQUEST_NOTES.get(REQUEST_EXPIRED if following.is_lost else note, "")
    return _form_page("password", login_options, following, user=request.user, note=shown)


@post("/password", opt={ALLOWED_STEPS: {Step.PASSWORD}})
async def change_password(
    request: UserRequest,
    body: RawBody,
    login: NamedDependency[LoginFlows],
    login_options: NamedDependency[LoginOptions],
    continuations: NamedDependency[Continuations],
) -> Page:
    current, new, again, request_id = read_form(
        request, body, "current", "new", "again", "authorization"
    )
    following = await continuations.get(request, request_id)
    show = partial(_form_page, "password", login_options, following, user=request.user)
    if new != again:
        return show(**await _differing(login, new, request.user.account), status=400)
    try:
        result = await login.run(
            request,
            partial(login.password_changes.change_password, request.user, current, new),
        )
    except AnyscaleError as error:
        return show(wrong=_wrong_field(error), **refusal(error))
    return await continue_sign_in(login, result, following, note="password_changed")


@get(FORGOT_PASSWORD)
async def show_forgot_password(
    login_options: NamedDependency[LoginOptions],
    password_resets: NamedDependency[PasswordResets],
    note: FromQuery[str] = "",
) -> Page:
    password_resets.require_available()
    return _forgot_page(login_options, is_requested=note == "requested")


@post(FORGOT_PASSWORD)
async def request_link(
    request: AnyRequest,
    body: RawBody,
    login: NamedDependency[LoginFlows],
    login_options: NamedDependency[LoginOptions],
    password_resets: NamedDependency[PasswordResets],
) -> Page:
    """Request a link by mail. The answer is the same whether the email has an account or not."""
    password_resets.require_available()
    email = read_form(request, body, "email")[0].strip()
    show = partial(_forgot_page, login_options, email=email)
    if not email:
        return show(problem="Enter your email.", wrong="email", status=400)
    try:
        # The networks of the clients share the places of unknown ones.
        address = client_info(request).address
        call = partial(password_resets.request, email, address)
        await login.pools.run(call, address, is_known=False)
    except AnyscaleError as error:
        wrong = "email" if isinstance(error, RequestInvalid) else ""
        return show(wrong=wrong, **refusal(error))
    # A page that is loaded again does not send the form again.
    return redirect(f"{FORGOT_PASSWORD}?note=requested")


def _forgot_page(options: LoginOptions, **values: Any) -> Page:
    shown = {"email": "", "problem": "", "wrong": "", "is_requested": False, **values}
    return render_page("forgot_password", script=True, options=options, **shown)


@get(LINK_PAGE)
async def show_set_password(
    request: AnyRequest,
    login_options: NamedDependency[LoginOptions],
    continuations: NamedDependency[Continuations],
) -> Page:
    return _form_page("set_password", login_options, await continuations.newest(request))


@post(LINK_PAGE)
async def set_password(
    request: AnyRequest,
    body: RawBody,
    login: NamedDependency[LoginFlows],
    login_options: NamedDependency[LoginOptions],
    continuations: NamedDependency[Continuations],
) -> Page:
    """Show the form of a link, which stays valid, or set the password by it."""
    text, new, again, opens, request_id = read_form(
        request, body, "link", "new", "again", "open", "authorization"
    )
    link, following = secret_of(text), await continuations.get(request, request_id)
    show = partial(_form_page, "set_password", login_options, following, link=link)
    email = ""
    try:
        account = await login.pools.look_ups.run(login.password_changes.link_account, link)
        email = account.email
        if opens:
            return show(email=email)
        if new != again:
            return show(email=email, **await _differing(login, new, account), status=422)
        result = await login.by_link(request, link, new)
    except LinkInvalid as error:
        count_refusal(error)
        return render_page("dead_link", options=login_options, status=error.status)
    except AnyscaleError as error:
        return show(email=email, wrong=_wrong_field(error), **refusal(error))
    return await continue_sign_in(login, result, following, note="password_set")


async def _differing(login: LoginFlows, new: str, account: AccountRecord) -> dict[str, str]:
    """Return all that is wrong with a new password that was typed in two ways, and the field."""
    if fault := await login.pools.look_ups.run(login.password_changes.fault_of, new, account):
        return {"problem": f"{_DIFFER} {fault}", "wrong": "new"}
    return {"problem": _DIFFER, "wrong": "again"}


def _wrong_field(error: AnyscaleError) -> str:
    if isinstance(error, PasswordRefused):
        return "new"
    return "current" if isinstance(error, InvalidCredentials) else ""


ROUTERS = [
    Router(
        "/",
        route_handlers=[
            show_sign_in,
            sign_in,
            *passkeys.HANDLERS,
            keep_form,
            sign_out,
            show_set_password,
            set_password,
            show_forgot_password,
            request_link,
            *PAGES,
        ],
        include_in_schema=False,
        request_max_body_size=SMALL_BODY,
    ),
    session_pages([show_password, change_password]),
]
