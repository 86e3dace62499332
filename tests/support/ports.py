"""Free ports of this machine, whether a server responds at one, and the end of one."""

import fcntl
import random
import socket
from contextlib import suppress
from functools import cache
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import IO

#: below the ports that Linux gives to connections: one of those could be taken by any client
_PORTS = range(20_000, 32_000)

#: a state of /proc/net/tcp
_LISTENS = "0A"

#: the ports that this process has reserved
_reserved: set[int] = set()


def free_port() -> int:
    """Reserve a port on which nothing listens, until this process ends.

    Other test processes on this machine get other ports, also before a server listens here.
    """
    while True:
        port = random.choice(_PORTS)
        with suppress(OSError):
            if port not in _reserved:
                # Each port is an octet of one file, which is open until the process ends.
                fcntl.lockf(_locks(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
                if is_free(port):
                    _reserved.add(port)
                    return port


def is_free(port: int) -> bool:
    """Whether nothing listens on a port of this machine."""
    with suppress(OSError):
        socket.create_server(("127.0.0.1", port)).close()
        return True
    return False


def is_listening(port: int) -> bool:
    """Whether something listens on a port of this machine: only a look, as of proc(5).

    To bind the port, as `is_free` does, would keep a program from it that starts at this moment.
    """
    tables = [Path("/proc/net/tcp"), Path("/proc/net/tcp6")]
    texts = [table.read_text(encoding="ascii") for table in tables if table.exists()]
    lines = [line.split() for text in texts for line in text.splitlines()]
    return any(line[1].endswith(f":{port:04X}") and line[3] == _LISTENS for line in lines)


@cache
def _locks() -> IO[bytes]:
    # Not in TMPDIR: each run of the tests may have its own.
    return Path("/tmp/musterroll-test-ports.lock").open("ab")


def responds_at(port: int, path: str = "/healthz") -> bool:
    """Whether `GET path` on a port of this machine answers 200."""
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def stop_listening(listening: socket.socket) -> None:
    """Close a socket, and end the wait of a thread for its next connection.

    `close` does not end that wait. If a debugger then stops the thread, the wait continues at the
    next socket with the same number, and a client of a later test gets the wrong response.
    """
    with suppress(OSError):
        listening.shutdown(socket.SHUT_RDWR)
    listening.close()
