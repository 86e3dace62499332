"""Write response headers and body in a single send.

uvicorn writes the headers by themselves, which wakes the client. On the same core the client then
takes the server's place, only to wait for the body. While every core hashes, the server may get its
core back at the next tick of the scheduler, 4 ms later.
"""

import asyncio
from typing import Any, cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from anyscale.server.uvicorn_ext.strict_receive_buffer import StrictReceiveBuffer

__all__ = ["SingleWriteH11Protocol"]

#: octets after which a response is sent without waiting for the rest
_BUFFER = 65_536


class SingleWriteH11Protocol(H11Protocol):
    """uvicorn's HTTP protocol, with a transport that joins writes."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # the type is narrower than asyncio's, as in uvicorn
        """Accept a connection."""
        joining = _JoiningTransport(transport, self.loop)
        super().connection_made(cast("asyncio.Transport", joining))
        self.conn._receive_buffer = StrictReceiveBuffer()  # noqa: SLF001 - h11 has no setting

    def send_400_response(self, msg: str) -> None:
        """Refuse a request; only close the connection if its response was begun before."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            super().send_400_response(msg)
        else:
            self.transport.close()


class _JoiningTransport:
    """A transport that sends together what is written in one turn of the event loop."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._buffer = bytearray()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if not self._buffer:
            self._loop.call_soon(self._flush)
        self._buffer += data
        if len(self._buffer) > _BUFFER:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        buffer, self._buffer = self._buffer, bytearray()
        if buffer and not self._transport.is_closing():  # the client has disconnected
            self._transport.write(buffer)
