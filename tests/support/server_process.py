"""Real servers, and a proxy between them and the client that does what networks do."""

import gzip
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple, Self

from msgspec import json
from tests.support.ports import answers_at, free_port

__all__ = ["ANYSCALE", "Exchange", "Proxy", "ServerProcess"]

ANYSCALE = str(Path(sys.executable).parent / "anyscale")


class ServerProcess:
    """`anyscale server start`, which may be stopped, killed and started again at the same port.

    Args:
        database: its URL.
        folder: for its log.
        workers: processes that answer.
        settings: of the environment.
    """

    def __init__(self, database: str, folder: Path, workers: int = 1, **settings: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / f"server-{self.port}.log"
        self._workers = workers
        self._environment = os.environ | {"ANYSCALE_DATABASE_URL": database} | settings
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def set(self, **settings: str) -> None:
        """Change the environment of the next start."""
        self._environment |= settings

    def begin(self) -> None:
        """Start it, and do not wait."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [ANYSCALE, "server", "start", f"--port={self.port}", f"--workers={self._workers}"],
                env=self._environment,
                stderr=log,
                start_new_session=True,
            )

    def start(self) -> None:
        """Start it, and wait until it is ready."""
        self.begin()
        assert self._process
        deadline = time.monotonic() + 30
        while not answers_at(self.port, "/readyz"):
            assert self._process.poll() is None, self.log.read_text(encoding="utf-8")
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def stop(self) -> int:
        """End it in order; give its exit status."""
        assert self._process
        self._process.terminate()
        return self.ended()

    def interrupt(self) -> None:
        """Press Ctrl-C: a terminal tells all of its processes."""
        assert self._process
        os.killpg(self._process.pid, signal.SIGINT)

    def ended(self) -> int:
        """Wait for its end; give its exit status."""
        assert self._process
        return self._process.wait(90)

    def kill(self) -> None:
        """Kill all of its processes."""
        if self._process and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def run(self, *arguments: str) -> str:
        """Run a command of the operator; give what it prints."""
        done = subprocess.run(
            [ANYSCALE, "server", *arguments],
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        return done.stdout.strip()

    def token(self, name: str = "jane", role: str = "owner") -> str:
        """Make a token."""
        return self.run("create-token", "--name", name, "--role", role)


class Exchange(NamedTuple):
    """A request that went through the proxy, and the answer to it."""

    call: str
    request: bytes
    #: as far as the server gave it: it may die over it
    answer: bytes
    #: when the server was asked, and when it had answered: seconds by one clock
    asked_at: float
    answered_at: float
    #: whether the client was given all of the answer
    delivered: bool

    @property
    def status(self) -> int:
        """HTTP's; 0 without a whole answer, as then nothing was acknowledged."""
        head, _, body = self.answer.partition(b"\r\n\r\n")
        if not head or len(body) < _length(head):
            return 0
        return int(head.split(b" ", 2)[1])

    @property
    def asked(self) -> Any:
        """What the request says."""
        return _content(self.request)

    @property
    def said(self) -> Any:
        """What the answer says."""
        return _content(self.answer)


def _content(message: bytes) -> Any:
    head, _, body = message.partition(b"\r\n\r\n")
    packed = re.search(rb"(?i)\r\ncontent-encoding: *gzip", head)
    return json.decode(gzip.decompress(body) if packed else body or b"{}")


#: What is done about an exchange: (proxy, client's socket, answer) -> whether it was delivered.
Fault = Callable[[socket.socket, bytes], bool]


class Proxy:
    """Passes requests on, one a connection, and answers back, unless a fault is planned.

    Args:
        ports: of the servers, which are asked in turn.
        plan: says by the request's first line what goes wrong with its answer; None for nothing.
    """

    def __init__(self, ports: Sequence[int], plan: Callable[[str], Fault | None]) -> None:
        self._ports = cycle(ports)
        self._plan = plan
        self._choosing = threading.Lock()
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self._serving: list[threading.Thread] = []
        self.history: list[Exchange] = []

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.close()

    def settled(self) -> list[Exchange]:
        """Wait for the exchanges under way, also those of a client that died; give the history."""
        for thread in tuple(self._serving):
            thread.join(90)
            assert not thread.is_alive()
        return list(self.history)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                thread = threading.Thread(target=self._serve, args=(client,), daemon=True)
                thread.start()
                self._serving.append(thread)

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            request = _request(client)
            if not request:
                return
            call = request.partition(b" HTTP/")[0].decode()
            with self._choosing:
                port, fault = next(self._ports), self._plan(call)
            asked_at = time.monotonic()
            answer = _asked(port, request)
            times = asked_at, time.monotonic()
            delivered = _delivered(client, answer, fault or delivers)
            self.history.append(Exchange(call, request, answer, *times, delivered))


def _delivered(client: socket.socket, answer: bytes, fault: Fault) -> bool:
    try:
        return bool(answer) and fault(client, answer)
    except OSError:  # the client died, and the server has done it all the same
        return False


def delivers(client: socket.socket, answer: bytes) -> bool:
    client.sendall(answer)
    return True


def loses(client: socket.socket, _: bytes) -> bool:
    """Close the connection in place of the answer."""
    client.close()
    return False


def resets(client: socket.socket, _: bytes) -> bool:
    """Let the client meet a reset."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    return False


def cuts(octets: int) -> Fault:
    """Give so much of the answer."""

    def cut(client: socket.socket, answer: bytes) -> bool:
        client.sendall(answer[:octets])
        return octets >= len(answer)

    return cut


def half_closes(client: socket.socket, answer: bytes) -> bool:
    """Say half of it, and that there is no more, and stay."""
    client.sendall(answer[: len(answer) // 2])
    client.shutdown(socket.SHUT_WR)
    time.sleep(0.3)
    return False


def delays(seconds: float) -> Fault:
    """Give the answer late."""

    def delayed(client: socket.socket, answer: bytes) -> bool:
        time.sleep(seconds)
        return delivers(client, answer)

    return delayed


def gives_up(client: socket.socket, _: bytes) -> bool:
    """Answer as a proxy does whose time limit is over: the server has done it all the same."""
    client.sendall(b"HTTP/1.1 504 Gateway Timeout\r\nconnection: close\r\n\r\n")
    return False


def _request(client: socket.socket) -> bytes:
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
    """Give the octets of the body that follows."""
    length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    return int(length[1]) if length else 0


def _asked(port: int, request: bytes) -> bytes:
    """Give the answer of a server, or what there is of it if it dies."""
    pieces = []
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=60) as server:
        server.sendall(request)
        while piece := server.recv(1 << 20):
            pieces.append(piece)
    return b"".join(pieces)
