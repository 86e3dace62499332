"""Runs in the server: who may continue them, what stops them, and the memory of their files."""

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec import structs
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
from tests.support.databases.stored_data import execute_sql
from tests.support.servers.http_client import HttpClient
from tests.support.sign_in.sign_ins import let_time_pass
from tests.support.waiting import wait_until

from anyscale.errors import StoreUnavailable
from anyscale.server.background import file_runs
from anyscale.server.background.file_import import FileImport
from anyscale.server.background.file_runs import FileRuns
from anyscale.server.core.callers import Caller
from anyscale.server.core.time_units import HOUR_MS
from anyscale.server.http.console.batches.pages import PATH
from anyscale.server.http.metrics import HASHES

MIB = 1024 * 1024


@pytest.fixture
def console(open_console: OpenConsole) -> Console:
    """A console with two owners."""
    console = open_console()
    create_owner(console.control_plane, "bob")
    return console


@contextmanager
def held_before_hashing(
    console: Console, reserved: threading.Event | None = None
) -> Iterator[threading.Event]:
    """Let runs, which have reserved their emails, wait before they hash, until the event is set.

    The first one sets `reserved`.
    """
    go_on = threading.Event()
    batches: Any = console.control_plane.batches
    original = batches.hash

    def hash_later(*arguments: Any) -> int:
        if reserved:
            reserved.set()
        assert go_on.wait(120)
        return int(original(*arguments))

    batches.hash = hash_later
    try:
        yield go_on
    finally:
        go_on.set()
        batches.hash = original


def with_runs(open_console: OpenConsole, patch: pytest.MonkeyPatch) -> tuple[Console, FileRuns]:
    """Open a console; give its runs too."""
    created: list[FileRuns] = []
    start = FileRuns.__init__

    def noted(self: FileRuns) -> None:
        start(self)
        created.append(self)

    patch.setattr(FileRuns, "__init__", noted)
    return open_console(), created[0]


def noted_calls(console: Console, name: str) -> set[str]:
    """Note the batches for which a call is made from now on."""
    called: set[str] = set()
    batches: Any = console.control_plane.batches
    original = getattr(batches, name)

    def call(caller: Caller, batch_id: str, *arguments: Any) -> Any:
        called.add(batch_id)
        return original(caller, batch_id, *arguments)

    setattr(batches, name, call)
    return called


@contextmanager
def failing_reservations(console: Console) -> Iterator[None]:
    """Let runs stop after they have opened their batch, before a row of it is stored."""
    batches: Any = console.control_plane.batches
    original = batches.reserve

    def reserve(*_: Any) -> Any:
        raise StoreUnavailable("the disk is full")

    batches.reserve = reserve
    try:
        yield
    finally:
        batches.reserve = original


def user_id(console: Console, name: str = "jane") -> str:
    (user,) = console.control_plane.users.find([f"{name}@example.com"])
    assert user
    return user.user_id


def suspend(console: Console) -> None:
    console.control_plane.lifecycle.suspend(OPERATOR, user_id(console))


def demote(console: Console) -> None:
    console.control_plane.lifecycle.set_role(OPERATOR, user_id(console), "collaborator")


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


@pytest.mark.parametrize("is_new", [True, False])
def test_a_session_that_ends_before_its_run_starts_leads_to_the_sign_in(
    console: Console, monkeypatch: pytest.MonkeyPatch, *, is_new: bool
) -> None:
    jane, control_plane, start = console.browser(), console.control_plane, FileRuns.start
    batch = control_plane.batches.open(OPERATOR, "a key", "fail")

    def start_late(runs: FileRuns, run: FileImport) -> FileImport:
        caller = control_plane.sessions.authenticate(jane.cookies["__Host-session"])
        control_plane.sessions.revoke(caller, caller.session.session_id)
        return start(runs, run)

    monkeypatch.setattr(FileRuns, "start", start_late)
    path = PATH if is_new else f"{PATH}/{batch.batch_id}/continue"
    answer = upload(jane, path, many())
    assert answer.status == 303
    assert answer.headers["location"].startswith("/sign-in?note=session_expired")


def test_a_dropped_run_creates_nobody(console: Console) -> None:
    jane = console.browser()
    with held_before_hashing(console) as go_on:
        batch_id = create(jane, many())
        assert f'action="{PATH}/{batch_id}/drop"' in get(jane, f"{PATH}/{batch_id}").text
        assert send(jane, f"{PATH}/{batch_id}/drop").status == 303
        go_on.set()
        wait_until(lambda: not progress(jane, batch_id)["running"])
    assert progress(jane, batch_id)["state"] == "dropped"
    assert console.control_plane.users.find(["u@batch.example"]) == [None]


def test_only_the_session_that_sent_a_file_is_told_how_far_it_is(console: Console) -> None:
    jane, key = console.browser(), "k" * 32
    others = (console.browser(), console.browser("bob"))  # another session of hers, another owner

    def told(client: HttpClient, form_key: str = key) -> Any:
        return get(client, f"/console/file-progress/{form_key}").json

    with held_before_hashing(console):
        create(jane, many(), key=key)
        assert told(jane)["text"].endswith(" users.csv:")
        nothing = {"text": "", "percent": 0}
        assert [told(one) for one in others] == [nothing, nothing]
        assert told(jane, "x" * 32) == nothing


def test_create_pressed_twice_is_one_batch(console: Console) -> None:
    jane, data = console.browser(), many().replace(b"name,", b"name,A,B,").replace(b",u", b",,,u")
    with held_before_hashing(console):
        first = create(jane, data, key="twice", columns="A=\nB=")
        assert create(jane, data, key="twice", columns="B=\nA=") == first
    wait_for_state(jane, first, "published")
    assert create(jane, data, key="twice", columns="A=\nB=") == first


def test_a_server_that_stops_leaves_the_batch_open(
    open_console: OpenConsole, monkeypatch: pytest.MonkeyPatch
) -> None:
    console, runs = with_runs(open_console, monkeypatch)
    jane = console.browser()
    with held_before_hashing(console) as go_on:
        batch_id = create(jane, many())
        run = runs.find(batch_id)
        assert run
        active = list[object]()

        def stop() -> None:
            runs.stop()
            active.append(runs.find(batch_id))

        stopping = threading.Thread(target=stop)
        stopping.start()
        wait_until(lambda: run.state.is_stopping)
        go_on.set()
        stopping.join(30)
    assert active == [None]  # it has waited for the run
    assert progress(jane, batch_id)["state"] == "open"
    assert "the server was stopped" in progress(jane, batch_id)["message"]


def test_watching_a_batch_is_no_use_of_the_session(console: Console) -> None:
    jane, plane = console.browser(), console.control_plane
    batch = plane.batches.open(OPERATOR, "a key", "fail")
    let_time_pass(plane, 11 * HOUR_MS)

    def used_at() -> int:
        return plane.sessions.authenticate(jane.cookies["__Host-session"]).session.used_at

    before = used_at()
    assert progress(jane, batch.batch_id)["state"] == "open"
    assert used_at() == before
    assert get(jane, f"{PATH}/{batch.batch_id}").status == 200
    assert used_at() > before


def test_a_refused_file_leaves_no_batch(console: Console) -> None:
    jane = console.browser()
    page = upload(jane, PATH, many(password="short"))
    assert (page.status, "17 problems" in words(page)) == (422, True)
    assert "There is no batch" not in words(get(jane, f"{PATH}?only=open"))
    assert "No import is unfinished" in words(get(jane, f"{PATH}?only=open"))


def test_a_user_twice_is_refused_by_both_lines(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    jane, batches = console.browser(), console.control_plane.batches
    monkeypatch.setattr(batches, "policy", structs.replace(batches.policy, chunk_users=1_000))
    lines = csv(*(f"d{at}" for at in range(2_500))).split(b"\n")
    lines[2_400] = lines[2]
    page = upload(jane, PATH, b"\n".join(lines))
    assert "2401 d1 d1@batch.example email the same as in line 3 (d1)" in words(page)
    assert "No import is unfinished" in words(get(jane, f"{PATH}?only=open"))
    with console.control_plane.store.read() as tx:
        (users,) = execute_sql(tx, "select count(*) from users").fetchone()
    assert users == 2, "a row or a reservation is left beside the owners"


def test_a_run_without_a_thread_leaves_its_key_and_its_place_free(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    jane, data = console.browser(), many()
    start = threading.Thread.start

    def fail(thread: threading.Thread) -> None:
        if thread.name == "console-run":
            raise RuntimeError("can't start new thread")
        start(thread)

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", fail)
        page = upload(jane, PATH, data, key="again")
    assert (page.status, "try again in a moment" in words(page)) == (429, True)
    wait_for_state(jane, create(jane, data, key="again"), "published")


def test_a_bug_in_a_run_is_told_to_its_page_and_logged_without_its_text(
    console: Console, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("jane@example.com")

    monkeypatch.setattr(console.control_plane.batches, "reserve", fail)
    jane = console.browser()
    batch_id = create(jane, many())
    wait_until(lambda: not progress(jane, batch_id)["running"])
    assert "a fault of the control plane: its log says where" in progress(jane, batch_id)["message"]
    (logged,) = [one for one in caplog.records if one.msg == "a run of the console failed"]
    assert vars(logged)["kind"] == "ZeroDivisionError"
    assert "jane@example.com" not in caplog.text


def test_too_many_runs_are_refused(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_runs, "_MOST_RUNS", 1)
    jane = console.browser()
    with held_before_hashing(console):
        batch_id = create(jane, many())
        page = upload(jane, PATH, many())
        assert (page.status, "many other files" in words(page)) == (429, True)
    wait_for_state(jane, batch_id, "published")


def test_another_file_with_the_key_of_a_run_is_refused(console: Console) -> None:
    jane = console.browser()
    with held_before_hashing(console):
        batch_id = create(jane, many(), key="same")
        for path in (PATH, f"{PATH}/{batch_id}/continue"):
            page = upload(jane, path, many(), key="same")
            assert page.status == 409
            assert "run of another file with this key is active" in words(page)


def test_the_hashes_of_a_run_are_counted(console: Console) -> None:
    jane, before = console.browser(), HASHES._value.get()
    wait_for_state(jane, create(jane, many()), "published")
    wait_for_state(jane, create(jane, csv("small", password="correct horse 7")), "published")
    assert HASHES._value.get() == before + 18


def test_what_worked_on_a_batch_before_the_server_started_has_ended(
    open_console: OpenConsole, monkeypatch: pytest.MonkeyPatch
) -> None:
    console, runs = with_runs(open_console, monkeypatch)
    batch, jane = console.control_plane.batches.open(OPERATOR, "a key", "fail"), console.browser()
    assert progress(jane, batch.batch_id)["active"]
    monkeypatch.setattr(runs, "started_at", batch.touched_at.timestamp() + 1)
    assert not progress(jane, batch.batch_id)["active"]


def test_a_wrong_file_leaves_the_reason_of_the_last_stop(console: Console) -> None:
    jane, data = console.browser(), many()
    with held_before_hashing(console) as go_on:
        held = noted_calls(console, "hash")
        batch_id = create(jane, data)
        wait_until(lambda: batch_id in held)  # its chunks are reserved
        suspend(console)
        go_on.set()
        bob = console.browser("bob")
        wait_until(lambda: not progress(bob, batch_id)["running"])
    reason = progress(bob, batch_id)["message"]
    assert reason.startswith("The run stopped: the session of the owner")
    page = upload(bob, f"{PATH}/{batch_id}/continue", many())
    assert (page.status, "differs" in words(page), reason in words(page)) == (409, True, True)
    assert "Choose the same file to continue" in words(page)
    assert progress(bob, batch_id)["message"] == reason
    with held_before_hashing(console):
        assert upload(bob, f"{PATH}/{batch_id}/continue", data).status == 303
        assert not progress(bob, batch_id)["message"]
    wait_for_state(bob, batch_id, "published")


def test_a_stop_has_one_deadline_for_all_runs(
    open_console: OpenConsole, monkeypatch: pytest.MonkeyPatch
) -> None:
    console, runs = with_runs(open_console, monkeypatch)
    # The time of all of them is over once the deadline is set.
    moments = iter([0.0])
    clock = SimpleNamespace(monotonic=lambda: next(moments, file_runs._STOP_SECONDS))
    jane = console.browser()
    with held_before_hashing(console):
        held = noted_calls(console, "hash")
        created = {create(jane, many()) for _ in range(4)}
        wait_until(lambda: held == created)
        monkeypatch.setattr(file_runs, "time", clock)
        began = time.monotonic()
        runs.stop()
        assert time.monotonic() - began < 2 * file_runs._STOP_SECONDS


@pytest.mark.parametrize("domain", [b"@", b"@other."], ids=["email", "external id"])
def test_a_run_that_waits_for_another_batch_says_so_and_notices_the_stop(
    open_console: OpenConsole, monkeypatch: pytest.MonkeyPatch, domain: bytes
) -> None:
    monkeypatch.setattr(file_runs, "_STOP_SECONDS", 0.0)
    console, runs = with_runs(open_console, monkeypatch)
    jane, reserved = console.browser(), threading.Event()
    header, *rows = many().splitlines()
    numbered = (b"%s,%d" % (row, number) for number, row in enumerate(rows))
    data = b"\n".join([header + b",external_id", *numbered])
    with held_before_hashing(console, reserved):
        first = create(jane, data)
        assert reserved.wait(120)  # else the first run may wait for the second one
        waiting = create(jane, data.replace(b"@", domain))
        said = re.compile(rf"Waiting at most \d+ s for batch {first},")
        wait_until(lambda: said.search(progress(jane, waiting)["text"]))
        runs.stop()
        wait_until(lambda: runs.find(waiting) is None)
    assert "the server was stopped" in progress(jane, waiting)["message"]


def test_a_batch_without_a_row_says_that_the_server_cannot_notice_another_file(
    console: Console,
) -> None:
    jane, bob, data = console.browser(), console.browser("bob"), many()
    with held_before_hashing(console), failing_reservations(console):
        batch_id = create(jane, data, columns="name=name")
        wait_until(lambda: not progress(bob, batch_id)["running"])
    page = get(bob, f"{PATH}/{batch_id}")
    assert "the server cannot notice another one" in words(page)
    assert 'name="columns" value="name=name"' in page.text
    assert upload(bob, f"{PATH}/{batch_id}/continue", data).status == 303
    wait_for_state(bob, batch_id, "published")
