"""HEAD: it tells what GET would tell, without the body (RFC 9110, 9.3.2)."""

from typing import Any

from litestar.enums import HttpMethod, ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["HeadMiddleware"]


class HeadMiddleware:
    """An application that answers HEAD wherever it answers GET.

    The server sends no body to who asks by HEAD, whatever it is given.

    Args:
        application: the one that answers.
    """

    def __init__(self, application: ASGIApp) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != ScopeType.HTTP:
            await self._application(scope, receive, send)
            return

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [_allowing(*header) for header in message["headers"]]
            await send(message)

        # A copy: the server looks at its own to know whether a body is sent.
        asked: Any = {**scope, "method": _as_get(scope["method"])}
        try:
            await self._application(asked, receive, sending)
        finally:
            scope["path_template"] = asked.get("path_template", "")


def _as_get(method: str) -> str:
    return HttpMethod.GET if method == HttpMethod.HEAD else method


def _allowing(name: bytes, text: bytes) -> tuple[bytes, bytes]:
    """Name HEAD beside GET, which is all that the framework knows of."""
    if name.lower() != b"allow":
        return name, text
    methods = set(text.split(b", "))
    more = {b"HEAD"} if b"GET" in methods else set()
    return name, b", ".join(sorted(methods | more))
