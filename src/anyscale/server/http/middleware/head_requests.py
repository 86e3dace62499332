"""HEAD: the response to GET without its body (RFC 9110, 9.3.2), and the header `Allow`.

Litestar has no automatic HEAD, and its response to OPTIONS leaves methods out.
"""

from typing import Any

from litestar.enums import HttpMethod, ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.routes import HTTPRoute
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from anyscale.server.paths import AUTHORIZE, LOGOUT, SSO_CALLBACK

#: where GET creates a code, or ends or creates a session, which HEAD must not (RFC 9110, 9.2.1)
_WITHOUT_HEAD = frozenset({AUTHORIZE, LOGOUT, SSO_CALLBACK})


class HeadMiddleware(ASGIMiddleware):
    """Handles HEAD as GET. The server then sends no body, whatever the application sends."""

    scopes: tuple[ScopeType, ...] = (ScopeType.HTTP,)

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        async def send_with_head(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    (name, _allowed(value, inner) if name.lower() == b"allow" else value)
                    for name, value in message["headers"]
                ]
            await send(message)

        # A copy: the server reads the method of its own scope to decide whether to send a body.
        inner: Any = {**scope}
        if inner["method"] == HttpMethod.HEAD and inner["path"] not in _WITHOUT_HEAD:
            inner["method"] = HttpMethod.GET
        try:
            await next_app(inner, receive, send_with_head)
        finally:
            scope["path_template"] = inner.get("path_template", "")


def _allowed(value: bytes, scope: Any) -> bytes:
    """Add HEAD, where the framework lists only GET, and for OPTIONS all methods of the path.

    The framework's response to OPTIONS lists only the methods that the path had when its first
    handler was registered.
    """
    methods = set(value.decode().split(", "))
    if scope["method"] == HttpMethod.OPTIONS:
        for route in scope["litestar_app"].routes:
            if isinstance(route, HTTPRoute) and route.path_format == scope["path_template"]:
                methods |= route.methods
    has_head = "GET" in methods and scope["path"] not in _WITHOUT_HEAD
    head = {"HEAD"} if has_head else set()
    return ", ".join(sorted(methods | head)).encode()
