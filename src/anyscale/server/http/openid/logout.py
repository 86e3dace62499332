"""Signing out for an application (OpenID Connect RP-Initiated Logout 1.0)."""

from contextlib import suppress
from typing import Any
from urllib.parse import urlencode

from litestar import Response
from litestar.di import NamedDependency
from litestar.params import RawBody

from anyscale.errors import NotAuthenticated, NotFound
from anyscale.server.core.callers import SessionCaller
from anyscale.server.core.login.sessions import SessionService
from anyscale.server.core.openid.authorization_parameters import once
from anyscale.server.core.openid.logout import LogoutRequest
from anyscale.server.core.openid.protocol import OAuthError
from anyscale.server.core.openid.provider import OpenIdProvider
from anyscale.server.http.bodies import SMALL_BODY
from anyscale.server.http.cookies import SESSION, expired_cookie, read_cookie
from anyscale.server.http.dependencies import AnyRequest
from anyscale.server.http.openid.parameters import with_parameters
from anyscale.server.http.openid.refusal_log import log_refusal
from anyscale.server.http.route_handlers import get, post
from anyscale.server.http.web.forms import query_pairs, read_pairs
from anyscale.server.http.web.leave_page import leave_page
from anyscale.server.http.web.templating import redirect, render_page
from anyscale.server.login_options import LoginOptions
from anyscale.server.paths import LOGOUT

Page = Response[str]

_CONFIRM = f"{LOGOUT}/confirm"
_SIGNED_OUT = "/sign-in?note=signed_out"


@get(LOGOUT, pool="login.applications", include_in_schema=False)
def ask_or_sign_out(
    request: AnyRequest,
    provider: NamedDependency[OpenIdProvider],
    sessions: NamedDependency[SessionService],
    login_options: NamedDependency[LoginOptions],
) -> Page:
    pairs = query_pairs(request)
    checked, caller = _check(provider, sessions, request, pairs)
    if checked.redirect_uri is None and "post_logout_redirect_uri" in dict(pairs):
        detail = "post_logout_redirect_uri is not registered for the application that was named"
        log_refusal("invalid_request", detail, pairs)
    if caller and not checked.is_confirmed:
        return render_page(
            "logout",
            options=login_options,
            script=True,
            name=checked.application,
            action=_CONFIRM,
            pairs=pairs,
        )
    if caller:
        _sign_out(sessions, caller)
    return redirect(_return_url(checked) or _SIGNED_OUT, expired_cookie(SESSION))


@post(
    _CONFIRM, pool="login.applications", include_in_schema=False, request_max_body_size=SMALL_BODY
)
def sign_out(
    request: AnyRequest,
    body: RawBody,
    provider: NamedDependency[OpenIdProvider],
    sessions: NamedDependency[SessionService],
) -> Page:
    """Sign out, and continue at a page: a redirect that follows a form may not leave the server."""
    pairs = read_pairs(request, body)
    checked, caller = _check(provider, sessions, request, pairs)
    if caller:
        _sign_out(sessions, caller)
    path = f"{_CONFIRM}?{urlencode(pairs)}" if checked.redirect_uri else _SIGNED_OUT
    return redirect(path, expired_cookie(SESSION))


@get(_CONFIRM, pool="login.applications", include_in_schema=False)
def show_signed_out(
    request: AnyRequest,
    provider: NamedDependency[OpenIdProvider],
    sessions: NamedDependency[SessionService],
    login_options: NamedDependency[LoginOptions],
) -> Page:
    """Continue to the application from which the user has signed out."""
    checked, _ = _check(provider, sessions, request, query_pairs(request))
    if url := _return_url(checked):
        return leave_page(checked.application or "", url, login_options)
    return redirect(_SIGNED_OUT)


def _check(
    provider: OpenIdProvider,
    sessions: SessionService,
    request: AnyRequest,
    pairs: list[tuple[str, str]],
) -> tuple[LogoutRequest, SessionCaller | None]:
    caller = None
    if secret := read_cookie(request, SESSION):
        with suppress(NotAuthenticated):
            caller = sessions.authenticate(secret)
    try:
        values = once(pairs)
    except OAuthError:
        values = {}
    return provider.logout.check(values, caller), caller


def _sign_out(sessions: SessionService, caller: SessionCaller) -> None:
    with suppress(NotAuthenticated, NotFound):  # another window was first
        sessions.revoke(caller, caller.session.session_id)


def _return_url(checked: LogoutRequest) -> str | None:
    """Return the registered address that the browser returns to; None for our own page."""
    if checked.redirect_uri is None:
        return None
    state = {} if checked.state is None else {"state": checked.state}
    return with_parameters(checked.redirect_uri, state)


HANDLERS: list[Any] = [ask_or_sign_out, sign_out, show_signed_out]
