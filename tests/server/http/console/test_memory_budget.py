"""The memory for files of browsers: who gets some, for how long, and who checks when."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from tests.server.http.console.conftest import Console, OpenConsole
from tests.server.http.console.test_batches import (
    MULTIPART,
    create,
    csv,
    many,
    multipart,
    upload,
    wait_for_state,
    words,
)
from tests.support.servers.http_client import HttpClient
from tests.support.waiting import wait_until

from anyscale.batch_run.outcome import Outcome
from anyscale.errors import Overloaded, RequestInvalid
from anyscale.server.background import memory_budget as memory
from anyscale.server.background.file_import import FileImport
from anyscale.server.background.memory_budget import MemoryBudget
from anyscale.server.background.upload import Upload
from anyscale.server.http.console.batches import uploads
from anyscale.server.http.console.batches.pages import PATH
from anyscale.server.http.console.batches.uploads import receive_upload

MIB = 1024 * 1024

#: of a form around its file
HEAD, TAIL = multipart(b"*").split(b"*")


def test_a_third_large_file_waits_and_a_small_one_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory, "_WAIT_SECONDS", 0.05)

    async def take() -> None:
        budget = MemoryBudget()
        await budget.take(60 * MIB, "jane")
        await budget.take(60 * MIB, "joe")
        await budget.take(MIB, "kim")
        with pytest.raises(Overloaded):
            await budget.take(60 * MIB, "kim")
        monkeypatch.setattr(memory, "_WAIT_SECONDS", 30.0)
        # Tasks begin in their order: the third file waits when the memory is given back.
        await asyncio.gather(budget.take(60 * MIB, "kim"), budget.give_back(60 * MIB, "joe"))

    asyncio.run(take())


def test_a_full_server_says_so_with_retry_after(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    jane = console.browser()
    monkeypatch.setattr(memory, "_WAIT_SECONDS", 0.01)
    monkeypatch.setattr(MemoryBudget, "_is_free", lambda *_: False, raising=False)
    page = upload(jane, f"{PATH}/check", csv("a"))
    assert page.status == 429
    assert page.headers["retry-after"] == "30"
    assert "Your file was not read" in words(page)


def test_each_request_gives_its_place_back(console: Console) -> None:
    jane = console.browser()
    for _ in range(12):  # a MiB each, of 8
        assert upload(jane, f"{PATH}/check", b"x" * MIB, "users.json").status == 422


class SleepingRequest:
    """A request of a laptop that sleeps: its body never ends."""

    def __init__(self) -> None:
        self.content_length = MIB
        self.content_type: Any = ("multipart/form-data", {"boundary": "b"})
        self.user = SimpleNamespace(account=SimpleNamespace(user_id="usr_a"))

    async def stream(self) -> AsyncIterator[bytes]:
        yield HEAD
        await asyncio.Event().wait()


@pytest.mark.parametrize("limit", ["_PART_SECONDS", "_BODY_SECONDS"])
def test_a_body_that_does_not_arrive_gives_its_place_back(
    monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    monkeypatch.setattr(uploads, limit, 0.01)

    async def receive() -> None:
        budget = MemoryBudget(small=MIB)
        request: Any = SleepingRequest()
        with pytest.raises(RequestInvalid, match="did not arrive in time"):
            async with receive_upload(request, budget, {}):
                pass
        await budget.take(MIB, "usr_a")

    asyncio.run(asyncio.wait_for(receive(), 60))


class TricklingRequest(SleepingRequest):
    """A request whose body brings an octet now and then, and does not end."""

    async def stream(self) -> AsyncIterator[bytes]:
        yield HEAD
        while True:
            yield b"x"
            await asyncio.sleep(0.01)


def test_a_body_that_trickles_gives_its_place_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "_PART_SECONDS", 0.2)
    monkeypatch.setattr(uploads, "_LEAST_RATE", 1 << 40)

    async def receive() -> None:
        budget = MemoryBudget(small=MIB)
        request: Any = TricklingRequest()
        with pytest.raises(RequestInvalid, match="did not arrive in time"):
            async with receive_upload(request, budget, {}):
                pass
        await budget.take(MIB, "usr_a")

    asyncio.run(asyncio.wait_for(receive(), 60))


def test_an_upload_ends_with_its_session(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "_SESSION_SECONDS", -1.0)
    jane = console.browser()
    with raw_request(jane, f"{PATH}/check", MIB) as connection:
        connection.sendall(b"name,email\n")
        control_plane = console.control_plane
        caller = control_plane.sessions.authenticate(jane.cookies["__Host-session"])
        control_plane.sessions.revoke(caller, caller.session.session_id)
        connection.sendall(b"ann,ann@example.com\n")
        assert b"location: /sign-in?note=session_expired" in connection.recv(65_536).lower()


def test_one_owner_leaves_memory_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_WAIT_SECONDS", 0.05)

    async def take() -> None:
        budget = MemoryBudget()
        for size, count in ((MIB, 4), (30 * MIB, 2)):
            for _ in range(count):
                await budget.take(size, "jane")
            with pytest.raises(Overloaded):
                await budget.take(size, "jane")
            await budget.take(size, "joe")
            await budget.give_back(size, "jane")
            await budget.take(size, "jane")
        await MemoryBudget().take(64 * MIB, "jane")  # one file in any case

    asyncio.run(take())


def test_a_small_check_does_not_wait_for_large_ones_and_no_check_waits_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory, "_WAIT_SECONDS", 0.05)

    async def check() -> None:
        budget = MemoryBudget()
        large, small = Upload(budget, 60 * MIB, {}), Upload(budget, MIB, {})
        async with budget.turn(large.size), budget.turn(large.size), budget.turn(small.size):
            with pytest.raises(Overloaded):
                await budget.turn(large.size).__aenter__()
        async with budget.turn(large.size):
            pass

    asyncio.run(check())


def test_a_check_stops_if_its_browser_is_gone(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    started, ended = threading.Event(), Future[object]()
    run_check = FileImport.check

    def check(run: FileImport) -> Outcome:
        started.set()
        try:
            wait_until(lambda: run.upload.content.is_abandoned)
            return run_check(run)
        except Exception as error:
            ended.set_result(error)
            raise

    monkeypatch.setattr(FileImport, "check", check)
    data = csv("ann")
    with raw_request(console.browser(), f"{PATH}/check", len(data)) as connection:
        connection.sendall(data + TAIL)
        assert started.wait(30)
    error = ended.result(30)
    assert isinstance(error, RequestInvalid)
    assert str(error) == "the request was given up"


@contextmanager
def raw_request(client: HttpClient, path: str, length: int) -> Iterator[socket.socket]:
    """Send the headers of an upload; the block sends its file."""
    host, _, port = client.host.partition(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        head = (
            f"POST {path} HTTP/1.1\r\nHost: {client.host}\r\n"
            f"Origin: http://{client.host}\r\nAccept: text/html\r\n"
            f"Cookie: __Host-session={client.cookies['__Host-session']}\r\n"
            f"Content-Type: {MULTIPART}\r\n"
            f"Content-Length: {len(HEAD) + length + len(TAIL)}\r\n\r\n"
        )
        connection.sendall(head.encode() + HEAD)
        yield connection


def test_a_run_gives_its_place_back(
    open_console: OpenConsole, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = many()
    monkeypatch.setattr(MemoryBudget.__init__, "__defaults__", (len(multipart(data)),))
    jane = open_console().browser()
    for file in (data, many()):  # the second one waits for the memory
        wait_for_state(jane, create(jane, file), "published")
