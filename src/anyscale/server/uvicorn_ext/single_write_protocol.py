"""An answer, sent at once: its head does not go ahead of its body."""

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.h11_impl import H11Protocol

__all__ = ["SingleWriteH11Protocol"]

#: octets that wait at most for what follows them
_MOST = 65_536


class SingleWriteH11Protocol(H11Protocol):
    """uvicorn's reader of requests by h11; an answer goes out when nothing is left to do for it.

    A head by itself wakes the client, which on the same core takes the server's place, only to wait
    there for the body. While every core hashes, the server may get its core back at the next tick
    alone, 4 ms later.
    """

    # The type is narrower than asyncio's, as in uvicorn.
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin with a connection."""
        super().connection_made(cast("asyncio.Transport", _Joining(transport, self.loop)))


class _Joining:
    """A transport that sends together what is written in one turn of the event loop."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._waiting = bytearray()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if not self._waiting:
            self._loop.call_soon(self._send)
        self._waiting += data
        if len(self._waiting) > _MOST:
            self._send()

    def close(self) -> None:
        self._send()
        self._transport.close()

    def _send(self) -> None:
        waiting, self._waiting = self._waiting, bytearray()
        if waiting and not self._transport.is_closing():  # nobody waits for it any more
            self._transport.write(waiting)
