"""/sso: redirect to the identity provider, and handle its callback."""

import logging
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from contextlib import suppress
from hmac import compare_digest
from urllib.parse import parse_qsl

import msgspec
from litestar import Response, get
from litestar.datastructures import Cookie
from litestar.di import NamedDependency
from msgspec import Struct

from anyscale.errors import (
    AnyscaleError,
    NotFound,
    Overloaded,
    ProviderUnavailable,
    SsoRefused,
    StoreUnavailable,
)
from anyscale.server.core.audit.log import AuditLog
from anyscale.server.core.oidc.login import CALLBACK, OidcLogin
from anyscale.server.core.oidc.provider import AuthorizationRequest, ExternalIdentity
from anyscale.server.http.cookies import (
    HostCookie,
    client_info,
    expired_cookie,
    login_cookies,
    read_cookie,
)
from anyscale.server.http.dependencies import AnyRequest
from anyscale.server.http.login.sign_in import LoginFlows
from anyscale.server.http.metrics import count_refusal
from anyscale.server.http.request_context import request_id
from anyscale.server.http.thread_pools import ThreadPools

__all__ = ["COOKIE", "HANDLERS"]

COOKIE = "__Host-sso"

_log = logging.getLogger("anyscale.server")

#: seconds that a user has to sign in at the provider
_TIME = 600

#: octets of the HMAC at the end of the cookie
_MAC = 32

#: The parameter of the sign-in page for a reason; `refused` for all others. `not_set_up` tells of
#: accounts, so it is for reasons alone that follow a verified email of an allowed domain, or a
#: subject that is linked by one.
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
    "cancelled": "cancelled",
}


class _Attempt(Struct, frozen=True):
    """The content of the cookie, which an HMAC follows: only this server makes such cookies."""

    request: AuthorizationRequest
    #: seconds since 1970
    at: float


@get("/sso/start", include_in_schema=False)
async def start(
    request: AnyRequest,
    oidc: NamedDependency[OidcLogin | None],
    pools: NamedDependency[ThreadPools],
) -> Response[None]:
    if _is_forced(request):
        return _redirect("/sign-in")
    try:
        url, cookie = await pools.identity_provider.start.run(_begin, _required(oidc))
    except SsoRefused as error:  # the metadata do not fit the settings: no user has done anything
        _log_refusal(error, error.reason, error.detail)
        return _to_sign_in("refused")
    except (ProviderUnavailable, Overloaded, StoreUnavailable) as error:
        return _unavailable(error)
    return _redirect(url, HostCookie(COOKIE, cookie, _TIME))


def _is_forced(request: AnyRequest) -> bool:
    """Return whether a page of another site started the sign-in without a click of the user.

    Otherwise any page could replace the session of its visitors.
    """
    headers = request.headers
    return headers.get("sec-fetch-site") == "cross-site" and headers.get("sec-fetch-user") != "?1"


def _begin(oidc: OidcLogin) -> tuple[str, str]:
    """Return the URL at which a user signs in, and the value of the cookie."""
    url, request = oidc.provider.begin()
    content = msgspec.json.encode(_Attempt(request, time.time()))
    return url, urlsafe_b64encode(content + oidc.sign(content)).decode().rstrip("=")


@get(CALLBACK, include_in_schema=False)
async def callback(
    request: AnyRequest,
    oidc: NamedDependency[OidcLogin | None],
    login: NamedDependency[LoginFlows],
    audit_log: NamedDependency[AuditLog],
    pools: NamedDependency[ThreadPools],
) -> Response[None]:
    service = _required(oidc)
    try:
        result = await login.by_sso(request, service, _identity(request, service, pools))
    except SsoRefused as error:
        return await _refused(error, audit_log, pools)
    except (ProviderUnavailable, Overloaded, StoreUnavailable) as error:
        return _unavailable(error)
    return _redirect("/", expired_cookie(COOKIE), *login_cookies(result))


async def _identity(request: AnyRequest, oidc: OidcLogin, pools: ThreadPools) -> ExternalIdentity:
    parameters, address = _parameters(request), client_info(request).address
    started = await pools.auth.run(_authorization_request, oidc, read_cookie(request, COOKIE))
    return await pools.identity_provider.finish.run(oidc.finish, parameters, started, address)


def _authorization_request(oidc: OidcLogin, cookie: str) -> AuthorizationRequest:
    if not cookie:
        raise SsoRefused("cookie_missing")
    try:
        value = urlsafe_b64decode(f"{cookie}==")
        content, mac = value[:-_MAC], value[-_MAC:]
        if not compare_digest(mac, oidc.sign(content)):
            raise SsoRefused("cookie_garbled")
        attempt = msgspec.json.decode(content, type=_Attempt)
    except (msgspec.MsgspecError, ValueError):
        raise SsoRefused("cookie_garbled") from None
    if not 0 <= time.time() - attempt.at <= _TIME:
        raise SsoRefused("cookie_expired")
    return attempt.request


def _parameters(request: AnyRequest) -> dict[str, str]:
    """Read the parameters of the provider's response, each once (RFC 6749, 3.1)."""
    query = request.scope["query_string"].decode("ascii", "replace")
    pairs = parse_qsl(query, keep_blank_values=True)
    parameters = dict(pairs)
    if len(parameters) != len(pairs):
        raise SsoRefused("response_malformed")
    return parameters


def _required(oidc: OidcLogin | None) -> OidcLogin:
    if oidc is None:
        raise NotFound("there is no sign-in at an identity provider here")
    return oidc


async def _refused(error: SsoRefused, audit_log: AuditLog, pools: ThreadPools) -> Response[None]:
    _log_refusal(error, error.reason, error.detail)
    with suppress(StoreUnavailable, Overloaded):  # the response does not depend on it
        call = f"GET {CALLBACK}"
        await pools.auth.run(audit_log.record_denied, error.actor, error.reason, call)
    return _to_sign_in(_MESSAGES.get(error.reason, "refused"))


def _unavailable(error: AnyscaleError) -> Response[None]:
    _log_refusal(error, str(error))
    return _to_sign_in("unavailable")


def _log_refusal(error: AnyscaleError, reason: str, detail: str = "") -> None:
    count_refusal(error)
    extra = {"code": error.code, "reason": reason} | ({"detail": detail} if detail else {})
    _log.warning("sign-in refused", extra=extra)


def _to_sign_in(message: str) -> Response[None]:
    """Redirect to the sign-in page, which shows the number by which the log line is found."""
    url = f"/sign-in?sso={message}&number={request_id.get()}"
    return _redirect(url, expired_cookie(COOKIE))


def _redirect(url: str, *cookies: Cookie) -> Response[None]:
    return Response(None, status_code=303, headers={"Location": url}, cookies=list(cookies))


HANDLERS = [start, callback]
