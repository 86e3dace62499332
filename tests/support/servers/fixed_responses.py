"""Servers that send fixed responses, whatever they are asked."""

import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tests.support.ports import stop_listening

IDENTITY = "Musterroll-Api: 1"


@contextmanager
def answering(answer: bytes, *, tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """Send the same response to every request; return the port."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):
            while True:
                client, _ = listening.accept()
                with (
                    suppress(OSError),
                    client,
                    tls.wrap_socket(client, server_side=True) if tls else client as stream,
                ):
                    stream.settimeout(60)
                    stream.recv(65536)
                    stream.sendall(answer)
                    stream.shutdown(socket.SHUT_WR)
                    while stream.recv(65536):
                        pass

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield int(listening.getsockname()[1])
    finally:
        stop_listening(listening)


def http(status: str, *headers: str, body: str = "") -> bytes:
    lines = [
        f"HTTP/1.1 {status}",
        f"Content-Length: {len(body)}",
        "Connection: close",
        *headers,
    ]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


def problem(status: int, code: str, detail: str = "so it is") -> bytes:
    document = {
        "title": "t",
        "status": status,
        "detail": detail,
        "code": code,
        "request_id": "r1234567",
    }
    return http(f"{status} Problem", IDENTITY, body=json.dumps(document))


@contextmanager
def serving_in_turn(*answers: bytes) -> Iterator[str]:
    """Send one response to each connection; give the host."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        for answer in answers:
            try:
                client, _ = listening.accept()
            except OSError:  # the block has ended before the last response
                return
            with client, suppress(OSError):  # a client that waited for too long has left
                client.recv(65536)
                client.sendall(answer)

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        stop_listening(listening)
