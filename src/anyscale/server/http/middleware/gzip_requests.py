"""Request bodies that are compressed by gzip: a chunk of users shrinks to a tenth of its size."""

import zlib
from typing import Any

from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send

from anyscale.errors import RequestInvalid, TooLarge

#: Octets of a decompressed body. A chunk of users with the longest possible values fits.
MAX_BODY = 64 * 1024 * 1024

#: The calls with large bodies. No body of a call without a token is decompressed.
_PATHS = ("/v1/users", "/v1/batches")

_GZIP = 16 + zlib.MAX_WBITS


class GzipRequestMiddleware(ASGIMiddleware):
    """Decompresses request bodies, up to `MAX_BODY` octets."""

    scopes: tuple[ScopeType, ...] = (ScopeType.HTTP,)

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        if _is_compressed(scope):
            scope["headers"] = [
                (name, value)
                for name, value in scope["headers"]
                if name not in (b"content-encoding", b"content-length")
            ]
            receive = _decompressing(receive)
        await next_app(scope, receive, send)


def _is_compressed(scope: Scope) -> bool:
    encoding = dict(scope["headers"]).get(b"content-encoding", b"").strip().lower()
    return encoding == b"gzip" and scope["path"].startswith(_PATHS)


def _decompressing(receive: Receive) -> Receive:
    decompressor, size = zlib.decompressobj(_GZIP), 0

    async def receive_decompressed() -> Any:
        nonlocal size
        message = await receive()
        if message["type"] != "http.request":
            return message
        body = _decompress(decompressor, message.get("body", b""), MAX_BODY - size + 1)
        size += len(body)
        if size > MAX_BODY:
            raise TooLarge(f"the body has more than {MAX_BODY} octets")
        if not message.get("more_body", False) and not decompressor.eof and size:
            raise RequestInvalid("the gzip body ends in the middle")
        return {**message, "body": body}

    return receive_decompressed


def _decompress(decompressor: Any, data: bytes, limit: int) -> bytes:
    """Decompress a part of a body; the limit bounds the memory, whatever the part expands to."""
    try:
        body: bytes = decompressor.decompress(data, limit)
    except zlib.error:
        raise RequestInvalid("the body is not valid gzip") from None
    if decompressor.unused_data:
        raise RequestInvalid("there is more after the end of the gzip body")
    return body
