"""/sso: redirect to the identity provider, and handle its callback."""

import logging
from collections.abc import Awaitable
from contextlib import suppress
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, urlencode

from litestar import Response
from litestar.datastructures import Cookie
from litestar.di import NamedDependency
from litestar.params import FromQuery
from msgspec import structs

from anyscale.errors import (
    AnyscaleError,
    NotAuthenticated,
    NotFound,
    Overloaded,
    ProviderUnavailable,
    SsoRefused,
    StoreUnavailable,
    TooManyFailedLogins,
)
from anyscale.server.core.audit.entries import AuditLog
from anyscale.server.core.login.half_sign_in import HalfSignIn
from anyscale.server.core.login.return_paths import sign_path
from anyscale.server.core.sso.login_records import ExternalIdentity, SsoAttempt
from anyscale.server.core.sso.sso_login import SsoLogin
from anyscale.server.http.cookies import (
    SESSION,
    client_info,
    expired_cookie,
    login_cookies,
    read_cookie,
)
from anyscale.server.http.dependencies import AnyRequest
from anyscale.server.http.login.second_factor import show_second_factor
from anyscale.server.http.login.sign_in import LoginFlows
from anyscale.server.http.login.sso_cookie import (
    COOKIE,
    create_cookie,
    read_cookie_value,
)
from anyscale.server.http.openid.authorize import resume_path
from anyscale.server.http.openid.continuation import Continuations
from anyscale.server.http.refusals import count_refusal
from anyscale.server.http.request_context import request_id
from anyscale.server.http.route_handlers import get
from anyscale.server.http.thread_pools import ThreadPools
from anyscale.server.http.web.kept_forms import own_page
from anyscale.server.paths import SIGN_IN_AGAIN, SSO_CALLBACK

_log = logging.getLogger("anyscale.server")

#: The parameter of the sign-in page for a reason; `refused` for all others. `not_set_up` shows
#: whether there is an account. So it stands only for reasons after a verified email of an allowed
#: domain, or after a subject that was linked by such an email.
_MESSAGES = {
    "no_account": "not_set_up",
    "not_sso_user": "not_set_up",
    "suspended": "not_set_up",
    "other_subject": "not_set_up",
    "email_spelling": "not_set_up",
    "cookie_missing": "expired",
    "cookie_garbled": "expired",
    "cookie_expired": "expired",
    "state": "expired",
    "state_used": "expired",
    "cancelled": "cancelled",
    "auth_time": "not_recent",
    "other_user": "other_user",
    "other_session": "expired",
}


#: Characters of a path with its query, such as that of many selected accounts, that the cookie
#: takes. Browsers drop a cookie of 4,096 octets, and nginx refuses so long headers.
_LONGEST_PATH = 1_500


def _misconfigured(_: AnyRequest, error: SsoRefused) -> Response[None]:
    """Refuse a start: the metadata do not fit the settings, and no user has done anything."""
    log_refusal(error, error.reason, error.detail)
    return _to_sign_in("refused")


def _unavailable(_: AnyRequest, error: AnyscaleError) -> Response[None]:
    log_refusal(error, str(error))
    return _to_sign_in("unavailable")


_UNAVAILABLE: dict[Any, Any] = dict.fromkeys(
    (ProviderUnavailable, Overloaded, StoreUnavailable), _unavailable
)


@get(
    "/sso/start",
    pool="identity_provider.start",
    include_in_schema=False,
    exception_handlers={SsoRefused: _misconfigured, **_UNAVAILABLE},
)
def start(
    request: AnyRequest,
    sso_login: NamedDependency[SsoLogin | None],
    continuations: NamedDependency[Continuations],
    authorization: FromQuery[str] = "",
    to: FromQuery[str] = "",
) -> Response[None]:
    if is_forced(request):
        return _redirect("/sign-in")
    service = require_sso(sso_login)
    following = continuations.find(request, authorization)
    max_age = following.stored.max_age() if following.stored else None
    url, started = service.provider.begin(following.resumed_id, max_age)
    started = structs.replace(started, return_path=path_for_cookie(own_page(to)))
    return _redirect(url, create_cookie(service, started))


def path_for_cookie(path: str) -> str:
    """Return a path for the cookie of a sign-in: one with a long query loses it."""
    return path if len(path) <= _LONGEST_PATH else path.partition("?")[0]


def is_forced(request: AnyRequest) -> bool:
    """Return whether a page of another site started the sign-in without a click of the user.

    Otherwise any page could replace the session of its visitors.
    """
    headers = request.headers
    is_other = headers.get("sec-fetch-site") in ("cross-site", "same-site")
    return is_other and headers.get("sec-fetch-user") != "?1"


@get(SSO_CALLBACK, include_in_schema=False, exception_handlers=_UNAVAILABLE)
async def callback(
    request: AnyRequest,
    sso_login: NamedDependency[SsoLogin | None],
    login: NamedDependency[LoginFlows],
    audit_log: NamedDependency[AuditLog],
    pools: NamedDependency[ThreadPools],
) -> Response[None]:
    service = require_sso(sso_login)
    started = await _started(request, service, pools)
    identity = _identity(request, started, service, pools)
    if isinstance(started, SsoAttempt) and started.session_id:
        return await _sign_in_again(request, service, started, identity)
    try:
        user, result = await login.by_sso(request, identity, service.login)
    except SsoRefused as error:
        return _to_sign_in(await _refused(error, audit_log, pools), _sign_in_page(started))
    path = resume_path(user.request_id) if user.request_id else _path_after(started)
    if isinstance(result, HalfSignIn):
        return await _to_second_factor(login, result, path)
    return _redirect(path, expired_cookie(COOKIE), *login_cookies(result))


async def _to_second_factor(login: LoginFlows, half: HalfSignIn, path: str) -> Response[Any]:
    response = await show_second_factor(login, half, path)
    response.set_cookie(expired_cookie(COOKIE))
    return response


def _path_after(started: SsoAttempt | SsoRefused) -> str:
    """Return the address of our own page where the user continues."""
    return (started.return_path if isinstance(started, SsoAttempt) else "") or "/"


def _sign_in_page(started: SsoAttempt | SsoRefused) -> str:
    path = _path_after(started)
    return "/sign-in?" if path == "/" else f"/sign-in?{urlencode({'to': path})}&"


async def _sign_in_again(
    request: AnyRequest,
    sso_login: SsoLogin,
    started: SsoAttempt,
    identity: Awaitable[ExternalIdentity],
) -> Response[None]:
    """Continue where the owner was, or show why not on the page of the second sign-in."""
    state = request.app.state
    login: LoginFlows = state.login
    session_id, path = started.session_id, started.return_path
    try:
        _, half = await login.by_sso(
            request,
            identity,
            lambda user, client: sso_login.sign_in_again(user, session_id, client),
        )
    except NotAuthenticated:
        return _redirect("/sign-in?note=session_expired", expired_cookie(COOKIE))
    except SsoRefused as error:
        message = await _refused(error, state.audit_log, state.pools)
    except (ProviderUnavailable, Overloaded, TooManyFailedLogins) as error:
        log_refusal(error, str(error))
        message = "unavailable"
    else:
        if half:
            return await _to_second_factor(login, half, path)
        return _redirect(path, expired_cookie(COOKIE))
    signed = sign_path(read_cookie(request, SESSION), path)
    return _to_sign_in(message, f"{SIGN_IN_AGAIN}?to={signed}&")


async def _started(
    request: AnyRequest, sso_login: SsoLogin, pools: ThreadPools
) -> SsoAttempt | SsoRefused:
    """Return the sign-in that the browser has started, or why there is none."""
    try:
        return await pools.auth.run(read_cookie_value, sso_login, read_cookie(request, COOKIE))
    except SsoRefused as error:
        return error


async def _identity(
    request: AnyRequest,
    started: SsoAttempt | SsoRefused,
    sso_login: SsoLogin,
    pools: ThreadPools,
) -> ExternalIdentity:
    """Return the user of the provider's redirect, or raise `SsoRefused`."""
    if isinstance(started, SsoRefused):
        raise started
    parameters, address = _parameters(request), client_info(request).address
    finish = partial(sso_login.finish, parameters, started, address)
    return await pools.identity_provider.finish.run(finish, address)


def _parameters(request: AnyRequest) -> dict[str, str]:
    """Read the parameters of the provider's response, each once (RFC 6749, 3.1)."""
    query = request.scope["query_string"].decode("ascii", "replace")
    pairs = parse_qsl(query, keep_blank_values=True)
    parameters = dict(pairs)
    if len(parameters) != len(pairs):
        raise SsoRefused("response_malformed")
    return parameters


def require_sso(sso_login: SsoLogin | None) -> SsoLogin:
    """Return the sign-in at the identity provider; raise `NotFound` if there is none."""
    if sso_login is None:
        raise NotFound("there is no sign-in at an identity provider here")
    return sso_login


async def _refused(error: SsoRefused, audit_log: AuditLog, pools: ThreadPools) -> str:
    """Log a refusal, write it to the audit log, and return its message."""
    log_refusal(error, error.reason, error.detail)
    with suppress(StoreUnavailable, Overloaded):  # the response does not depend on it
        call = f"GET {SSO_CALLBACK}"
        await pools.auth.run(audit_log.record_denied, error.actor, error.reason, call)
    return _MESSAGES.get(error.reason, "refused")


def log_refusal(error: AnyscaleError, reason: str, detail: str = "") -> None:
    """Count and log a refused sign-in."""
    count_refusal(error)
    extra = {"code": error.code, "reason": reason} | ({"detail": detail} if detail else {})
    _log.warning("sign-in refused", extra=extra)


def _to_sign_in(message: str, page: str = "/sign-in?") -> Response[None]:
    """Redirect to the sign-in page, which shows the number that finds the log line."""
    url = f"{page}sso={message}&number={request_id.get()}"
    return _redirect(url, expired_cookie(COOKIE))


def _redirect(url: str, *cookies: Cookie) -> Response[None]:
    return Response(None, status_code=303, headers={"Location": url}, cookies=list(cookies))


HANDLERS = [start, callback]
