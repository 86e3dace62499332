"""/sso: to the identity provider, and back."""

import logging
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from contextlib import suppress
from functools import partial
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from litestar import Request, Response, get
from litestar.datastructures import Cookie
from msgspec import Struct

from anyscale.errors import (
    AnyscaleError,
    NotFound,
    Overloaded,
    ProviderUnavailable,
    SsoRefused,
    StoreUnavailable,
)
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.oidc.login import CALLBACK, OidcLogin
from anyscale.server.core.oidc.provider import AuthorizationRequest, ExternalIdentity
from anyscale.server.http.cookies import expired_cookie, host_cookie, login_cookies, read_cookie
from anyscale.server.http.dependencies import GivenPlane, GivenPools
from anyscale.server.http.login import sign_in as doors
from anyscale.server.http.metrics import REFUSALS
from anyscale.server.http.thread_pools import ThreadPools

__all__ = ["COOKIE", "HANDLERS"]

COOKIE = "__Host-sso"

AnyRequest = Request[Any, Any, Any]

_log = logging.getLogger("anyscale.server")

#: seconds between going there and coming back
_TIME = 600

#: What the sign-in page is told instead of the reason; `refused` where nothing stands here.
_TOLD = {
    "cookie_missing": "expired",
    "cookie_garbled": "expired",
    "cookie_expired": "expired",
    "state": "expired",
    "cancelled": "cancelled",
}


class _Attempt(Struct, frozen=True):
    """What the cookie holds."""

    begun: AuthorizationRequest
    #: seconds since 1970
    at: float


@get("/sso/start", include_in_schema=False)
async def start(plane: GivenPlane, pools: GivenPools) -> Response[None]:
    sso = _sso(plane)
    try:
        url, begun = await pools.identity_provider.run(sso.provider.begin)
    except (ProviderUnavailable, Overloaded) as error:
        return _unavailable(error)
    kept = urlsafe_b64encode(msgspec.json.encode(_Attempt(begun, time.time())))
    return _to(url, host_cookie(COOKIE, kept.decode().rstrip("="), _TIME))


@get(CALLBACK, include_in_schema=False)
async def callback(request: AnyRequest, plane: GivenPlane, pools: GivenPools) -> Response[None]:
    sso = _sso(plane)
    try:
        signed_in = await doors.by_sso(request, _coming(request, sso, pools))
    except SsoRefused as error:
        return await _refused(plane, pools, error)
    except (ProviderUnavailable, Overloaded, StoreUnavailable) as error:
        return _unavailable(error)
    return _to("/", expired_cookie(COOKIE), *login_cookies(signed_in))


async def _coming(request: AnyRequest, sso: OidcLogin, pools: ThreadPools) -> ExternalIdentity:
    finish = partial(sso.provider.finish, _given(request), _begun(request))
    return await pools.identity_provider.run(finish)


def _begun(request: AnyRequest) -> AuthorizationRequest:
    kept = read_cookie(request, COOKIE)
    if not kept:
        raise SsoRefused("cookie_missing")
    try:
        attempt = msgspec.json.decode(urlsafe_b64decode(f"{kept}=="), type=_Attempt)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise SsoRefused("cookie_garbled") from None
    if not 0 <= time.time() - attempt.at <= _TIME:
        raise SsoRefused("cookie_expired")
    return attempt.begun


def _given(request: AnyRequest) -> dict[str, str]:
    """Read what the provider sends along: each parameter once (RFC 6749, 3.1)."""
    query = request.scope["query_string"].decode("ascii", "replace")
    pairs = parse_qsl(query, keep_blank_values=True)
    given = dict(pairs)
    if len(given) != len(pairs):
        raise SsoRefused("response_malformed")
    return given


def _sso(plane: ControlPlane) -> OidcLogin:
    if not plane.settings.sso:
        raise NotFound("there is no sign-in at an identity provider here")
    return plane.sso


async def _refused(plane: ControlPlane, pools: ThreadPools, error: SsoRefused) -> Response[None]:
    _log_refusal(error, error.reason)
    with suppress(StoreUnavailable, Overloaded):  # what is answered is the refusal all the same
        note = partial(plane.trail.refuse, error.actor, error.reason, f"GET {CALLBACK}")
        await pools.auth.run(note)
    return _back(_TOLD.get(error.reason, "refused"))


def _unavailable(error: AnyscaleError) -> Response[None]:
    _log_refusal(error, str(error))
    return _back("unavailable")


def _log_refusal(error: AnyscaleError, reason: str) -> None:
    REFUSALS.labels(error.code).inc()
    _log.warning("sign-in refused", extra={"code": error.code, "reason": reason})


def _back(code: str) -> Response[None]:
    return _to(f"/sign-in?sso={code}", expired_cookie(COOKIE))


def _to(url: str, *cookies: Cookie) -> Response[None]:
    return Response(None, status_code=303, headers={"Location": url}, cookies=list(cookies))


HANDLERS = [start, callback]
