"""HEAD: the response to GET without its body (RFC 9110, 9.3.2). Litestar has no automatic HEAD."""

from typing import Any

from litestar.enums import HttpMethod, ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["HeadMiddleware"]


class HeadMiddleware:
    """Handles HEAD as GET. The server then sends no body, whatever the application sends.

    Args:
        app: the next application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return

        async def send_with_head(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [_with_head(*header) for header in message["headers"]]
            await send(message)

        # A copy: the server reads the method of its own scope to decide whether to send a body.
        inner: Any = {**scope, "method": _without_head(scope["method"])}
        try:
            await self._app(inner, receive, send_with_head)
        finally:
            scope["path_template"] = inner.get("path_template", "")


def _without_head(method: str) -> str:
    return HttpMethod.GET if method == HttpMethod.HEAD else method


def _with_head(name: bytes, value: bytes) -> tuple[bytes, bytes]:
    """Add HEAD to the header `Allow`, where the framework lists GET alone."""
    if name.lower() != b"allow":
        return name, value
    methods = set(value.split(b", "))
    head = {b"HEAD"} if b"GET" in methods else set()
    return name, b", ".join(sorted(methods | head))
