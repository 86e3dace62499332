"""uvicorn's HTTP protocol, without requests that a proxy may read in another way."""

import asyncio
import re

import h11
from h11 import LocalProtocolError
from h11._receivebuffer import ReceiveBuffer
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

#: A line feed without a carriage return (RFC 9112, 2.2), and a line that continues the previous
#: one (5.2): a server may refuse both.
_has_odd_line = re.compile(rb"(?<!\r)\n|\n[ \t]").search


class _StrictReceiveBuffer(ReceiveBuffer):
    """h11's buffer of received octets, whose headers have plain lines only."""

    def maybe_extract_lines(self) -> list[bytearray] | None:
        """Return the lines of headers if they are complete; h11 answers the error with 400."""
        before = bytes(self._data)
        lines = super().maybe_extract_lines()
        if lines is not None and _has_odd_line(before[: len(before) - len(self._data)]):
            raise LocalProtocolError("a line does not end with CR LF, or continues another one")
        return lines


class StrictH11Protocol(H11Protocol):
    """uvicorn's HTTP protocol with strict header lines, and without other protocols."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # the type is narrower than asyncio's, as in uvicorn
        super().connection_made(transport)
        self.conn._receive_buffer = _StrictReceiveBuffer()  # noqa: SLF001 - h11 has no setting

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
