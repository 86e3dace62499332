"""Compressed request bodies: a page of users is a tenth of its size."""

import zlib
from typing import Any

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send

from anyscale.errors import RequestInvalid, TooLarge

__all__ = ["MAX_BODY", "GzipRequestMiddleware"]

#: Octets of a body, unpacked. A page of users with the longest of all values fits.
MAX_BODY = 64 * 1024 * 1024

#: The calls whose bodies are large. What anybody may send, without a token, is unpacked by none.
_PACKED = ("/v1/users", "/v1/batches")

_GZIP = 16 + zlib.MAX_WBITS


class GzipRequestMiddleware:
    """An application that reads gzip bodies as if they were plain.

    Args:
        application: the one that answers.
    """

    def __init__(self, application: ASGIApp) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == ScopeType.HTTP and _is_packed(scope):
            scope["headers"] = [
                (key, value)
                for key, value in scope["headers"]
                if key not in (b"content-encoding", b"content-length")
            ]
            receive = _inflated(receive)
        await self._application(scope, receive, send)


def _is_packed(scope: Scope) -> bool:
    encoding = dict(scope["headers"]).get(b"content-encoding", b"").strip().lower()
    return encoding == b"gzip" and scope["path"].startswith(_PACKED)


def _inflated(receive: Receive) -> Receive:
    unpacking, size = zlib.decompressobj(_GZIP), 0

    async def inflated() -> Any:
        nonlocal size
        message = await receive()
        if message["type"] != "http.request":
            return message
        try:
            # Never more than is allowed: a thousandth of it may be enough to fill the memory.
            body = unpacking.decompress(message.get("body", b""), MAX_BODY - size + 1)
        except zlib.error:
            raise RequestInvalid("the body is not what gzip makes") from None
        if unpacking.unused_data:
            raise RequestInvalid("there is more after the end of the gzip body")
        size += len(body)
        if size > MAX_BODY:
            raise TooLarge(f"the body has more than {MAX_BODY} octets")
        if not message.get("more_body", False) and not unpacking.eof and size:
            raise RequestInvalid("the gzip body ends in the middle")
        return {**message, "body": body}

    return inflated
