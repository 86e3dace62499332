"""What the user sees while a server is down or does not respond."""

import os
import re
import signal
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.support.commands.command_process import CommandProcess
from tests.support.commands.running import start_command
from tests.support.faults.faulty_proxy import FaultyProxy
from tests.support.faults.stopping import stop_process
from tests.support.ports import free_port
from tests.support.servers.fixed_responses import IDENTITY, http, problem, serving_in_turn
from tests.support.servers.server_process import ServerProcess
from tests.support.users_files import write_users_file
from tests.support.waiting import wait_until

from anyscale.errors import ServerUnreachable
from anyscale.transport.base import Outage
from anyscale.transport.http import outage_reporter, retry_policy, retrying_client
from anyscale.transport.http.outage_reporter import OutageReporter
from anyscale.transport.http.retry_policy import RetryState
from anyscale.transport.http.retrying_client import RetryingClient

HOST = "https://accounts.example.com"
FINE = http("200 OK", IDENTITY, body="{}")
DOWN = http("502 Bad Gateway")

#: of `anyscale`: the command writes a line at each step, and knows a rate at once
STEPS = {
    "progress._LINE_EVERY": 0.0,
    "progress._RATE_KNOWN_AFTER": 0.0,
    "batch_run.bounded_executor._TICK": 0.05,
}


class Clock:
    """A clock that tests set."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for module in (outage_reporter, retry_policy):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=clock))
    return clock


@pytest.fixture
def messages() -> list[str]:
    return []


@pytest.fixture
def reporter(clock: Clock, messages: list[str]) -> OutageReporter:
    """Looks only when a test calls `look`, as its thread has ended."""
    reporter = OutageReporter(HOST, lambda: 100.0, messages.append, lambda _: None)
    with closing(reporter):
        pass
    return reporter


def new_call() -> RetryState:
    return RetryState(threading.Event())


def test_silence_is_reported_once(
    reporter: OutageReporter, clock: Clock, messages: list[str]
) -> None:
    with reporter.attempt(new_call()):
        for _ in range(30):
            clock.now += 1
            reporter.look()
    assert messages == [f"No response from {HOST} for 15 s: still waiting"]


def test_a_connection_attempt_that_times_out_is_no_silence(
    reporter: OutageReporter, clock: Clock, messages: list[str]
) -> None:
    """Its error comes at once, also if the machine is slow."""
    with reporter.attempt(new_call()):
        clock.now += retrying_client._CONNECT_SECONDS + 4
        reporter.look()
    clock.now += 100
    reporter.look()
    assert messages == []


def test_a_slow_response_is_not_reported_while_other_calls_succeed(
    reporter: OutageReporter, clock: Clock, messages: list[str]
) -> None:
    with reporter.attempt(new_call()):
        for _ in range(8):
            with reporter.attempt(new_call()):
                clock.now += 5
                reporter.look()
            reporter.note_success()
        assert messages == []
        clock.now += 15
        reporter.look()
    assert messages == [f"No response from {HOST} for 15 s: still waiting"]


def silent_threads() -> int:
    return sum(thread.name == "silence" for thread in threading.enumerate())


def test_a_client_has_one_thread_for_all_requests_which_ends_with_it() -> None:
    wait_until(lambda: not silent_threads())
    with (
        serving_in_turn(FINE, FINE, FINE) as host,
        closing(RetryingClient(host, "mrt_secret", 1, pytest.fail)) as client,
    ):
        assert silent_threads() == 0
        for _ in range(3):
            client.request(dict, "GET", "/v1/policy")
            assert silent_threads() == 1
    wait_until(lambda: not silent_threads())


def test_a_call_works_where_no_thread_can_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """As under a limit of processes, which does not limit root, and so not these tests."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with (
        serving_in_turn(FINE) as host,
        closing(RetryingClient(host, "mrt_secret", 1, pytest.fail)) as client,
    ):
        monkeypatch.setattr(threading.Thread, "start", refuse)
        assert client.request(dict, "GET", "/v1/policy") == {}


def test_an_outage_is_reported_once_for_several_calls(messages: list[str]) -> None:
    host = f"http://127.0.0.1:{free_port()}"
    with (
        closing(RetryingClient(host, "mrt_secret", 3, messages.append)) as client,
        ThreadPoolExecutor(3) as pool,
    ):

        def ask() -> None:
            with pytest.raises(ServerUnreachable):
                client.request(dict, "GET", "/v1/policy")

        for call in [pool.submit(ask) for _ in range(3)]:
            call.result()

    (line,) = messages
    assert line.startswith("Trying again: nothing listens at")


def test_each_repetition_is_reported_but_for_those_to_a_busy_server() -> None:
    """A proxy that sends an error is a response; a connection that ends without one is not."""
    busy = problem(429, "overloaded")
    retries: list[Outage] = []
    with (
        serving_in_turn(DOWN, b"", busy, FINE) as host,
        closing(RetryingClient(host, "mrt_secret", 1, lambda _: None, retries.append)) as client,
    ):
        client.request(dict, "GET", "/v1/policy")

    reasons = [f"{host} is unavailable", f"no response from {host}"]
    assert [one.reason for one in retries] == reasons
    assert all(one.patience == 100 for one in retries)
    assert client.retries == 2


def test_a_repetition_is_not_reported_if_another_call_has_succeeded_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The other call is made while the first one waits for its next attempt."""
    wait, retries = RetryState.wait, list[Outage]()
    with (
        serving_in_turn(DOWN, FINE, FINE) as host,
        closing(RetryingClient(host, "mrt_secret", 1, lambda _: None, retries.append)) as client,
    ):

        def wait_while_another_succeeds(*arguments: Any) -> bool:
            client.request(dict, "GET", "/v1/policy")
            return wait(*arguments)

        monkeypatch.setattr(RetryState, "wait", wait_while_another_succeeds)
        client.request(dict, "GET", "/v1/policy")

    assert retries == []
    assert client.retries == 1


@contextmanager
def failing_and_then_silent(clock: Clock, seconds: float) -> Iterator[str]:
    """Send 502 to the first request when so many seconds have passed, and nothing to the next."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(65536)
                clock.now += seconds
                connection.sendall(DOWN)

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def test_a_repeated_call_ends_when_the_patience_ends(clock: Clock, messages: list[str]) -> None:
    """Reading would wait 50 seconds of the real clock; of the other clock one second is left."""
    with (
        failing_and_then_silent(clock, 98.5) as host,
        closing(RetryingClient(host, "mrt_secret", 1, messages.append)) as client,
        ThreadPoolExecutor(1) as pool,
    ):
        call = pool.submit(client.request, dict, "GET", "/v1/policy")
        wait_until(lambda: messages)
        clock.now = 200.0
        with pytest.raises(ServerUnreachable) as failed:
            call.result(40)
    assert "does not answer: is it up, and may this machine reach it?" in str(failed.value)


def test_a_command_says_once_that_a_server_does_not_respond(
    configured_server: ServerProcess,
) -> None:
    """A server that is stopped, as by Ctrl-Z, accepts connections and sends nothing."""
    stop_process(configured_server.pid)
    reporter = "anyscale.transport.http.outage_reporter"
    command = start_command(
        *("user", "list", "--max-items", "1"),
        constants={f"{reporter}._SILENCE": 0.5, f"{reporter}._LOOK_EVERY": 0.05},
    )
    wait_until(lambda: "still waiting" in command.stderr)
    os.kill(configured_server.pid, signal.SIGCONT)
    done = command.finish(60)
    line = rf"\(anyscale \+\S+\) No response from {re.escape(configured_server.url)} for \d+ s"
    assert re.fullmatch(rf"{line}: still waiting\n", done.stderr), done.stderr
    assert done.returncode == 0


def start_batch(users: Path, host: str, **constants: object) -> CommandProcess:
    """Start `batch-create` with other constants of `anyscale`."""
    return start_command(
        *("user", "batch-create", "-f", users, "--host", host),
        constants={f"anyscale.{name}": value for name, value in constants.items()},
    )


def test_the_progress_has_no_rate_while_the_server_is_down(
    configured_server: ServerProcess, tmp_path: Path
) -> None:
    """It is killed when all earlier chunks of passwords have been shown, so that none succeeds."""
    constants = STEPS | {
        "transport.http.transport.HttpTransport.hashes_at_once": 1,
        # Each chunk is more than one percent of the users.
        "batch_run.password_upload._FEWEST": 16,
    }
    chunks, commands = count(1), list[CommandProcess]()

    def plan(call: str) -> None:
        if call.endswith("/passwords") and next(chunks) == 8:
            wait_until(lambda: commands and f"Hashing: {percent()}%," in commands[0].stderr)
            configured_server.kill()

    def percent() -> int:
        sent = [one for one in proxy.history if one.call.endswith("/passwords")]
        return sum(len(one.request_json["passwords"]) for one in sent[:7]) // 10

    users = write_users_file(tmp_path / "users.yaml", 1_000, 1_000)
    with FaultyProxy([configured_server.port], plan) as proxy:
        command = start_batch(users, proxy.url, **constants)
        commands.append(command)
        wait_until(lambda: command.stderr.count("gives up at 100 s\n") > 3)
        command.kill()

    up, outage, down = command.stderr.partition("Trying again: ")
    assert outage
    assert [line for line in up.splitlines() if "Hashing" in line and "a second" in line]
    lines = [line for line in down.splitlines() if "Hashing" in line]
    assert not [line for line in lines if "a second" in line or "left" in line]
    text = rf"no response from {proxy.url} for \d+ s, gives up at 100 s$"
    assert [line for line in lines if re.search(text, line)], command.stderr


def test_the_progress_has_no_rate_while_the_server_does_not_respond(
    configured_server: ServerProcess, tmp_path: Path
) -> None:
    """It is stopped, so that no call fails for a long time."""
    reporter = "transport.http.outage_reporter"
    constants = STEPS | {
        f"{reporter}._SILENCE": 0.5,
        f"{reporter}._LOOK_EVERY": 0.05,
        # On a loaded machine calls take longer than the silence, now and then.
        f"{reporter}._SAME_OUTAGE": 600.0,
    }
    chunks, stopped = count(1), threading.Event()

    def plan(call: str) -> None:
        if call.endswith("/passwords") and next(chunks) == 8:
            stop_process(configured_server.pid)
            stopped.set()

    users = write_users_file(tmp_path / "users.yaml", 1_000, 1_000)
    with FaultyProxy([configured_server.port], plan) as proxy:
        command = start_batch(users, proxy.url, **constants)
        assert stopped.wait(60)
        wait_until(lambda: "gives up at 100 s" in command.stderr)
        os.kill(configured_server.pid, signal.SIGCONT)
        done = command.finish(60)
    assert done.returncode == 0, done.stderr
    _, outage, down = done.stderr.partition("No response from ")
    assert outage
    before, _, _ = down.partition("created")
    assert re.search(rf"%, no response from {proxy.url} for \d+ s, gives up at 100 s\n", before)
    assert "No response" not in before
