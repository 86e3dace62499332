"""Requests whose octets are odd: 400 or a closed connection, and no traceback."""

import logging
import socket
from collections.abc import Iterator

import pytest
from tests.support.databases.empty_sqlite import cheap_control_plane
from tests.support.servers.server_in_process import serve_in_process

from anyscale.server.settings import Settings
from anyscale.server.uvicorn_ext.strict_protocol import StrictH11Protocol


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    folder = tmp_path_factory.mktemp("strict")
    with serve_in_process(cheap_control_plane(Settings(database=folder / "anyscale.db"))) as url:
        name, _, port = url.removeprefix("http://").partition(":")
        yield name, int(port)


def exchange(host: tuple[str, int], *parts: bytes) -> bytes:
    """Send octets, and read until the server closes the connection."""
    with socket.create_connection(host, timeout=30) as connection:
        received = b""
        for part in parts:
            connection.sendall(part)
            if part is not parts[-1]:
                received += connection.recv(65_536)
        while more := connection.recv(65_536):
            received += more
        return received


HEAD = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"


def test_plain_lines_are_accepted(host: tuple[str, int]) -> None:
    assert exchange(host, HEAD + b"X: a\r\n\r\n").startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    "head",
    [
        HEAD + b"X: a\n\r\n",
        HEAD.replace(b"\r\n", b"\n") + b"\n",
        HEAD + b"X: a\r\n b\r\n\r\n",
        HEAD + b"X: a\r\n\tTransfer-Encoding: chunked\r\n\r\n",
    ],
    ids=["bare LF", "LF alone", "obs-fold", "obs-fold with a tab"],
)
def test_odd_lines_are_refused(host: tuple[str, int], head: bytes) -> None:
    assert exchange(host, head).startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize("is_late", [False, True])
def test_a_broken_chunk_size_is_one_line_of_the_log_at_most(
    host: tuple[str, int], caplog: pytest.LogCaptureFixture, is_late: bool
) -> None:
    head = (
        b"POST /v1/batches HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
        b"Content-Type: application/json\r\n\r\n"
    )
    with caplog.at_level(logging.INFO):
        for _ in range(5):
            caplog.clear()
            received = exchange(host, *([head, b"xyz\r\n"] if is_late else [head + b"xyz\r\n"]))
            assert received.startswith((b"HTTP/1.1 400", b"HTTP/1.1 401"))
            assert not [record for record in caplog.records if record.exc_info]
            odd = [record for record in caplog.records if record.levelno >= logging.WARNING]
            assert len(odd) <= 1, [record.getMessage() for record in odd]


@pytest.mark.parametrize("protocol", [b"websocket", b"h2c"])
def test_a_request_for_another_protocol_is_a_plain_one(
    host: tuple[str, int],
    protocol: bytes,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also where uvicorn has a library for WebSockets, whose requests pass no check of ours."""
    monkeypatch.setattr(StrictH11Protocol, "_should_upgrade_to_ws", lambda _: True)
    head = HEAD.replace(b"Connection: close", b"Connection: close, Upgrade")
    with caplog.at_level(logging.INFO):
        received = exchange(host, head + b"Upgrade: " + protocol + b"\r\n\r\n")
    assert received.startswith(b"HTTP/1.1 200")
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
