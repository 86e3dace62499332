"""HEAD: the response to GET without its body (RFC 9110, 9.3.2). Litestar has no automatic HEAD."""

from typing import Any

from litestar.enums import HttpMethod, ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["HeadMiddleware"]


class HeadMiddleware(ASGIMiddleware):
    """Handles HEAD as GET. The server then sends no body, whatever the application sends."""

    scopes = (ScopeType.HTTP,)

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        async def send_with_head(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [_with_head(*header) for header in message["headers"]]
            await send(message)

        # A copy: the server reads the method of its own scope to decide whether to send a body.
        inner: Any = {**scope}
        if inner["method"] == HttpMethod.HEAD:
            inner["method"] = HttpMethod.GET
        try:
            await next_app(inner, receive, send_with_head)
        finally:
            scope["path_template"] = inner.get("path_template", "")


def _with_head(name: bytes, value: bytes) -> tuple[bytes, bytes]:
    """Add HEAD to the header `Allow`, where the framework lists GET alone."""
    if name.lower() != b"allow":
        return name, value
    methods = set(value.split(b", "))
    head = {b"HEAD"} if b"GET" in methods else set()
    return name, b", ".join(sorted(methods | head))
