"""Writes of one turn of the event loop arrive together."""

import asyncio
import socket
import threading
from collections.abc import Callable
from contextlib import closing
from typing import Any, cast

import uvloop

from anyscale.server.uvicorn_ext.single_write_protocol import _JoiningTransport

_SECONDS = 5.0


class _Protocol(asyncio.Protocol):
    def __init__(self, begin: Callable[[_JoiningTransport], object]) -> None:
        self._begin = begin

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        sending = cast("asyncio.Transport", transport)
        self._begin(_JoiningTransport(sending, asyncio.get_running_loop()))


def received_from(
    begin: Callable[[_JoiningTransport], object],
    client: Callable[[socket.socket], bytes],
    end: Callable[[], object] = lambda: None,
) -> bytes:
    """Connect a client, in a thread of its own, to a protocol that starts and ends so.

    Returns:
        What the client received.
    """

    async def main() -> bytes:
        loop, faults = asyncio.get_running_loop(), list[dict[str, Any]]()
        loop.set_exception_handler(lambda _, fault: faults.append(fault))
        server = await loop.create_server(lambda: _Protocol(begin), "127.0.0.1", 0)
        address = server.sockets[0].getsockname()

        def ask() -> bytes:
            with closing(socket.create_connection(address, timeout=_SECONDS)) as connection:
                return client(connection)

        received = await asyncio.to_thread(ask)
        end()
        await asyncio.sleep(0)  # the next turn of the loop, in which the writes are sent
        server.close()
        assert not faults
        return received

    return uvloop.run(main())


def test_writes_of_one_turn_of_the_loop_are_sent_together() -> None:
    has_some = threading.Event()
    too_early = []

    def begin(joining: _JoiningTransport) -> None:
        joining.write(b"head,")
        too_early.append(has_some.wait(0.2))  # a client that got the head would end it
        joining.write(b"body")

    def client(connection: socket.socket) -> bytes:
        received = connection.recv(100)
        has_some.set()
        return received

    assert received_from(begin, client) == b"head,body"
    assert too_early == [False]


def test_a_large_write_is_sent_before_the_end_of_the_turn() -> None:
    has_some = threading.Event()
    in_time = []

    def begin(joining: _JoiningTransport) -> None:
        joining.write(b"a" * 50_000)
        joining.write(b"b" * 50_000)
        in_time.append(has_some.wait(_SECONDS))
        joining.close()

    def client(connection: socket.socket) -> bytes:
        with connection.makefile("rb") as answer:
            first = answer.read(1)
            has_some.set()
            return first + answer.read()

    assert received_from(begin, client) == b"a" * 50_000 + b"b" * 50_000
    assert in_time == [True]


def test_buffered_writes_are_sent_before_the_connection_closes() -> None:
    def begin(joining: _JoiningTransport) -> None:
        joining.write(b"bye")
        joining.close()

    assert received_from(begin, lambda client: client.recv(100)) == b"bye"


def test_nothing_is_written_to_a_closed_connection() -> None:
    connected = list[_JoiningTransport]()

    def begin(joining: _JoiningTransport) -> None:
        connected.append(joining)
        joining.abort()

    received = received_from(
        begin, lambda client: client.recv(100), lambda: connected[0].write(b"too late")
    )
    assert received == b""
