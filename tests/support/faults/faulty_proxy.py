"""A proxy between clients and servers that records exchanges and breaks responses on purpose."""

import gzip
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import cycle
from typing import Any, NamedTuple, Self

from msgspec import json
from tests.support.ports import stop_listening


class Exchange(NamedTuple):
    """A request that went through the proxy, and the response of the server."""

    call: str
    request: bytes
    #: as far as the server sent it: the server may die before its end
    response: bytes
    #: when the request was sent to the server, and when its response ended: seconds of one clock
    requested_at: float
    responded_at: float
    #: whether the client got the whole response
    delivered: bool

    @property
    def status(self) -> int:
        """HTTP's; 0 without a whole response, since nothing was acknowledged then."""
        head, _, body = self.response.partition(b"\r\n\r\n")
        if not head or len(body) < _length(head):
            return 0
        return int(head.split(b" ", 2)[1])

    @property
    def request_json(self) -> Any:
        return _decode_body(self.request)

    @property
    def response_json(self) -> Any:
        return _decode_body(self.response)


def _decode_body(message: bytes) -> Any:
    head, _, body = message.partition(b"\r\n\r\n")
    packed = re.search(rb"(?i)\r\ncontent-encoding: *gzip", head)
    return json.decode(gzip.decompress(body) if packed else body or b"{}")


#: Sends a response, or not: (client's socket, response) -> whether the client got all of it
Fault = Callable[[socket.socket, bytes], bool]


class FaultyProxy:
    """Forwards requests, one for each connection, and their responses, some of them with a fault.

    Args:
        ports: of the servers, used in turn.
        plan: gives the fault of a response by the first line of its request; None for no fault.
    """

    def __init__(self, ports: Sequence[int], plan: Callable[[str], Fault | None]) -> None:
        self._ports = cycle(ports)
        self._plan = plan
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads: list[threading.Thread] = []
        self.history: list[Exchange] = []

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        stop_listening(self._listener)

    def finished_history(self) -> list[Exchange]:
        """Wait for the exchanges in progress, also those of a killed client; give the history."""
        for thread in tuple(self._threads):
            thread.join(90)
            assert not thread.is_alive()
        return list(self.history)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                thread = threading.Thread(target=self._forward, args=(client,), daemon=True)
                thread.start()
                self._threads.append(thread)

    def _forward(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            request = _read_request(client)
            if not request:
                return
            call = request.partition(b" HTTP/")[0].decode()
            with self._lock:
                port, fault = next(self._ports), self._plan(call)
            requested_at = time.monotonic()
            response = _send_request(port, request)
            times = requested_at, time.monotonic()
            delivered = _send_response(client, response, fault or deliver)
            self.history.append(Exchange(call, request, response, *times, delivered))


def _send_response(client: socket.socket, response: bytes, fault: Fault) -> bool:
    try:
        return bool(response) and fault(client, response)
    except OSError:  # the client died after the server had done the work
        return False


def deliver(client: socket.socket, response: bytes) -> bool:
    """Send the response: no fault."""
    client.sendall(response)
    return True


def lose(client: socket.socket, _: bytes) -> bool:
    """Close the connection without a response."""
    client.close()
    return False


def lose_at(moment: threading.Event) -> Fault:
    """Make a fault that sends no response, and closes the connection at a moment."""

    def wait(client: socket.socket, response: bytes) -> bool:
        moment.wait(60)
        return lose(client, response)

    return wait


def reset(client: socket.socket, _: bytes) -> bool:
    """Reset the connection."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    return False


def cut_after(octets: int) -> Fault:
    """Make a fault that sends so many octets of the response."""

    def cut(client: socket.socket, response: bytes) -> bool:
        client.sendall(response[:octets])
        return octets >= len(response)

    return cut


def half_close(client: socket.socket, response: bytes) -> bool:
    """Send half of the response, close this direction of the connection, and leave it open."""
    client.sendall(response[: len(response) // 2])
    client.shutdown(socket.SHUT_WR)
    time.sleep(0.3)
    return False


def delay(seconds: float) -> Fault:
    """Make a fault that sends the response late."""

    def delayed(client: socket.socket, response: bytes) -> bool:
        time.sleep(seconds)
        return deliver(client, response)

    return delayed


def time_out(client: socket.socket, _: bytes) -> bool:
    """Answer 504, as a proxy does after its time limit; the server has done the work."""
    client.sendall(b"HTTP/1.1 504 Gateway Timeout\r\nconnection: close\r\n\r\n")
    return False


def _read_request(client: socket.socket) -> bytes:
    client.settimeout(30)
    data = b""
    while b"\r\n\r\n" not in data:
        if not (more := client.recv(65536)):
            return b""
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    while len(body) < _length(head):
        if not (more := client.recv(1 << 20)):
            return b""
        body += more
    return head + b"\r\nConnection: close\r\n\r\n" + body


def _length(head: bytes) -> int:
    """Give the length of the body, in octets."""
    length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    return int(length[1]) if length else 0


def _send_request(port: int, request: bytes) -> bytes:
    """Send a request to a server; give its response, or the part before its death."""
    pieces = []
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=60) as server:
        server.sendall(request)
        while piece := server.recv(1 << 20):
            pieces.append(piece)
    return b"".join(pieces)
