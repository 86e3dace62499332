"""Cross-origin requests of public applications, which run in a browser (Fetch, 3.2).

Pages of the origins of their redirect URIs may read responses, never with cookies. A route whose
responses they may read says so as an option, `opt={CORS: True}`.
"""

from litestar.connection import ASGIConnection
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.response.base import ASGIResponse
from litestar.routes import HTTPRoute
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from anyscale.server.http.dependencies import Connection

#: the option of a route (`opt`) that lets pages of public applications read its responses
CORS = "cors"

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
        connection: Connection = ASGIConnection(scope)
        is_preflight = scope.get("method") == "OPTIONS"
        opt = connection.route_handler.opt
        if not (_preflight_has_option(connection) if is_preflight else opt.get(CORS)):
            await next_app(scope, receive, send)
            return
        origin = connection.headers.get("origin", "")
        is_allowed = bool(origin) and await _allows(connection, origin)
        allowed = [(b"access-control-allow-origin", origin.encode())] if is_allowed else []
        if origin and is_preflight:
            headers = [*allowed, *(_PREFLIGHT if is_allowed else []), _VARY]
            texts = [(name.decode(), value.decode()) for name, value in headers]
            await ASGIResponse(status_code=204, headers=texts)(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *allowed, _VARY]
            await send(message)

        await next_app(scope, receive, send_with_headers)


def _preflight_has_option(connection: Connection) -> bool:
    """Return whether a route of the path has the option: that of OPTIONS is the framework's."""
    path = connection.scope["path_template"]
    return any(
        handler.opt.get(CORS)
        for route in connection.app.routes
        if isinstance(route, HTTPRoute) and route.path_format == path
        for handler in route.route_handlers
    )


async def _allows(connection: Connection, origin: str) -> bool:
    services = connection.app.state
    allows = services.applications.allows_origin
    is_allowed: bool = await services.pools.login.applications.run(allows, origin)
    return is_allowed
