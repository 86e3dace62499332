"""Cross-origin requests of public applications, which run in a browser (Fetch, 3.2).

Pages of the origins of their redirect URIs may read responses, never with cookies.
"""

from typing import Any

from litestar.connection import ASGIConnection
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.response.base import ASGIResponse
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from anyscale.server.http.openid.discovery import METADATA_PATHS

__all__ = ["CorsMiddleware"]

_PATHS = frozenset(
    {
        *METADATA_PATHS,
        "/oauth2/jwks",
        "/oauth2/token",
        "/oauth2/userinfo",
        "/oauth2/revoke",
    }
)
#: also without an origin: a shared cache may store such a response
_VARY = (b"vary", b"origin")
_PREFLIGHT = [
    (b"access-control-allow-methods", b"GET, POST"),
    (b"access-control-allow-headers", b"authorization, content-type"),
    (b"access-control-max-age", b"600"),
]


class CorsMiddleware(ASGIMiddleware):
    """Lets the pages of public applications read what the provider responds."""

    scopes: tuple[ScopeType, ...] = (ScopeType.HTTP,)

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        connection = ASGIConnection[Any, Any, Any, Any](scope)
        if scope["path"] not in _PATHS:
            await next_app(scope, receive, send)
            return
        origin = connection.headers.get("origin", "")
        is_allowed = bool(origin) and await _allows(connection, origin)
        allowed = [(b"access-control-allow-origin", origin.encode())] if is_allowed else []
        if origin and scope["method"] == "OPTIONS":  # type: ignore[typeddict-item]  # there are no WebSockets
            headers = [*allowed, *(_PREFLIGHT if is_allowed else []), _VARY]
            texts = [(name.decode(), value.decode()) for name, value in headers]
            await ASGIResponse(status_code=204, headers=texts)(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *allowed, _VARY]
            await send(message)

        await next_app(scope, receive, send_with_headers)


async def _allows(connection: ASGIConnection[Any, Any, Any, Any], origin: str) -> bool:
    services = connection.app.state
    allows = services.applications.allows_origin
    is_allowed: bool = await services.pools.login.applications.run(allows, origin)
    return is_allowed
