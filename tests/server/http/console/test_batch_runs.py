"""Runs in the server: who may go on with them, what stops them, and the memory of their files."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from tests.server.http.console.conftest import Console, OpenConsole
from tests.server.http.console.test_batches import (
    create,
    csv,
    many,
    upload,
    wait_for_state,
    words,
)
from tests.server.http.pages.requests import create_owner, get, send
from tests.support.callers import OPERATOR
from tests.support.servers.http_client import HttpClient
from tests.support.waiting import wait_until

from anyscale.errors import Overloaded
from anyscale.server.control_plane import ControlPlane
from anyscale.server.http.console.batches import uploads
from anyscale.server.http.console.batches.file_runs import FileRuns
from anyscale.server.http.console.batches.pages import PATH
from anyscale.server.http.console.batches.uploads import FilePlaces

MIB = 1024 * 1024


@pytest.fixture
def console(open_console: OpenConsole) -> Console:
    """A console with two owners."""
    console = open_console()
    create_owner(console.control_plane, "bob")
    return console


@contextmanager
def held_before_hashing(console: Console) -> Iterator[threading.Event]:
    """Let runs wait before they hash, until the event is set."""
    go_on = threading.Event()
    batches: Any = console.control_plane.batches
    original = batches.hash

    def hash_later(*arguments: Any) -> int:
        assert go_on.wait(20)
        return int(original(*arguments))

    batches.hash = hash_later
    try:
        yield go_on
    finally:
        go_on.set()
        batches.hash = original


def user_id(console: Console, name: str = "jane") -> str:
    (user,) = console.control_plane.users.with_emails([f"{name}@example.com"])
    assert user
    return user.user_id


def suspend(console: Console) -> None:
    console.control_plane.lifecycle.suspend(user_id(console), OPERATOR)


def demote(console: Console) -> None:
    console.control_plane.lifecycle.set_role(user_id(console), "collaborator", OPERATOR)


def progress(client: HttpClient, batch_id: str) -> Any:
    return get(client, f"{PATH}/{batch_id}/progress").json


@pytest.mark.parametrize("change", [suspend, demote])
def test_an_owner_who_may_not_any_more_stops_the_run(
    console: Console, change: Callable[[Console], None]
) -> None:
    jane, bob, data = console.browser(), console.browser("bob"), many()
    with held_before_hashing(console) as go_on:
        batch_id = create(jane, data)
        change(console)
        go_on.set()
        wait_until(lambda: not progress(bob, batch_id)["running"])
    assert progress(bob, batch_id)["state"] == "open"
    page = words(get(bob, f"{PATH}/{batch_id}"))
    assert "The run stopped" in page
    assert "No user was created" in page
    assert upload(bob, f"{PATH}/{batch_id}/continue", data).status == 303
    wait_for_state(bob, batch_id, "published")


def test_signing_out_asks_first_and_then_stops_the_run(console: Console) -> None:
    jane, bob, data = console.browser(), console.browser("bob"), many()
    with held_before_hashing(console) as go_on:
        batch_id = create(jane, data)
        question = send(jane, "/sign-out")
        assert "Sign out, and stop the run?" in words(question)
        assert batch_id in question.text
        assert get(jane, PATH).status == 200
        assert send(jane, "/sign-out", confirmed="yes").status == 303
        go_on.set()
        wait_until(lambda: not progress(bob, batch_id)["running"])
    assert "the session of the owner who started it was ended" in words(
        get(bob, f"{PATH}/{batch_id}")
    )


def test_a_dropped_run_creates_nobody(console: Console) -> None:
    jane = console.browser()
    with held_before_hashing(console) as go_on:
        batch_id = create(jane, many())
        assert send(jane, f"{PATH}/{batch_id}/drop").status == 303
        go_on.set()
        wait_until(lambda: not progress(jane, batch_id)["running"])
    assert progress(jane, batch_id)["state"] == "dropped"
    assert console.control_plane.users.with_emails(["u@batch.example"]) == [None]


def test_create_pressed_twice_is_one_batch(console: Console) -> None:
    jane, data = console.browser(), many()
    with held_before_hashing(console):
        first = create(jane, data, key="twice")
        assert create(jane, data, key="twice") == first
    wait_for_state(jane, first, "published")
    assert create(jane, data, key="twice") == first


def test_a_server_that_stops_leaves_the_batch_open(
    open_console: OpenConsole, monkeypatch: pytest.MonkeyPatch
) -> None:
    created: list[FileRuns] = []
    start = FileRuns.__init__

    def noted(self: FileRuns, control_plane: ControlPlane) -> None:
        start(self, control_plane)
        created.append(self)

    monkeypatch.setattr(FileRuns, "__init__", noted)
    console = open_console()
    jane, (runs,) = console.browser(), created
    with held_before_hashing(console) as go_on:
        batch_id = create(jane, many())
        stopping = threading.Thread(target=runs.stop)
        stopping.start()
        run = runs.find(batch_id)
        assert run
        wait_until(lambda: run.is_stopping)
        go_on.set()
        stopping.join(20)
    assert progress(jane, batch_id)["state"] == "open"
    assert "the server was stopped" in progress(jane, batch_id)["message"]


def test_a_refused_file_leaves_no_batch(console: Console) -> None:
    jane = console.browser()
    page = upload(jane, PATH, many(password="short"))
    assert (page.status, "17 problems" in words(page)) == (422, True)
    assert "There is no batch" not in words(get(jane, f"{PATH}?only=open"))
    assert "No batch is unfinished" in words(get(jane, f"{PATH}?only=open"))


def test_a_user_twice_is_refused_by_both_lines(console: Console) -> None:
    jane = console.browser()
    lines = csv(*(f"d{at}" for at in range(20_000))).split(b"\n")
    lines[15_000] = lines[2]
    page = upload(jane, PATH, b"\n".join(lines))
    assert "15001:4" in words(page)
    assert "on line 3, column 4" in words(page)
    assert "No batch is unfinished" in words(get(jane, f"{PATH}?only=open"))


def test_a_third_large_file_waits_and_a_small_one_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(uploads, "_WAIT_SECONDS", 0.05)

    async def take() -> None:
        places = FilePlaces()
        await places.take(60 * MIB)
        await places.take(60 * MIB)
        await places.take(MIB)
        with pytest.raises(Overloaded):
            await places.take(60 * MIB)
        third = asyncio.create_task(places.take(60 * MIB))
        await places.give_back(60 * MIB)
        await third

    asyncio.run(take())


def test_a_full_server_says_so_with_retry_after(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    jane = console.browser()
    monkeypatch.setattr(uploads, "_WAIT_SECONDS", 0.01)
    monkeypatch.setattr(FilePlaces, "_is_free", lambda *_: False, raising=False)
    page = upload(jane, f"{PATH}/check", csv("a"))
    assert page.status == 429
    assert page.headers["retry-after"] == "30"
    assert "Your file was not read" in words(page)


def test_each_request_gives_its_place_back(console: Console) -> None:
    jane = console.browser()
    for _ in range(12):  # a MiB each, of 8
        assert upload(jane, f"{PATH}/check", b"x" * MIB, "users.json").status == 422
