"""uvicorn's HTTP protocol, without requests that a proxy may read in another way."""

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from anyscale.server.uvicorn_ext.strict_receive_buffer import StrictReceiveBuffer


class StrictH11Protocol(H11Protocol):
    """uvicorn's HTTP protocol with strict header lines, and without other protocols."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # the type is narrower than asyncio's, as in uvicorn
        """Accept a connection."""
        super().connection_made(transport)
        self.conn._receive_buffer = StrictReceiveBuffer()  # noqa: SLF001 - h11 has no setting

    def _should_upgrade(self) -> bool:
        # A server may ignore the header (RFC 9110, 7.8). With a library for WebSockets, uvicorn
        # would take the request away from our middleware, and log its path and query.
        return False

    def send_400_response(self, msg: str) -> None:
        """Refuse a request; only close the connection if its response was begun before."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            super().send_400_response(msg)
        else:
            self.transport.close()
        cycle: RequestResponseCycle | None = self.cycle  # None before the first request
        if cycle is not None:  # a handler that has not read the body may still respond, to nobody
            cycle.disconnected = True
            cycle.message_event.set()
