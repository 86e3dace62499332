"""A server that restarts, is busy or does not return: requests are sent again."""

import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest
from tests.support.commands.running import CommandResult
from tests.support.ports import free_port
from tests.support.servers.fixed_responses import IDENTITY, http, problem, serving_in_turn
from tests.support.servers.server_process import ServerProcess
from tests.support.users_files import write_users_file
from tests.support.waiting import wait_until

from anyscale.errors import Overloaded, ServerUnreachable, Unavailable
from anyscale.transport.retrying_client import RetryingClient

#: responses to the first call while a server restarts -> the message
RESTARTS = {
    "a gateway": (http("502 Bad Gateway"), "the control plane behind it is down or too slow"),
    "a load balancer": (http("503 Service Unavailable"), "is down or too slow"),
    "a slow start": (http("504 Gateway Timeout"), "is down or too slow"),
    "a full disk": (problem(503, "store_unavailable"), "so it is (request r1234567)"),
}


@contextmanager
def answering_in_turn(*answers: bytes) -> Iterator[RetryingClient]:
    """Send one response to each connection; give a client."""
    with (
        serving_in_turn(*answers) as host,
        closing(RetryingClient(host, "mrt_secret", 1, lambda _: None)) as client,
    ):
        yield client


@pytest.mark.parametrize("what", RESTARTS)
def test_the_first_call_waits_for_a_server_that_restarts_as_any_other_call(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anyscale.transport.retrying_client._FIRST_PATIENCE", 0.01)
    answers = (RESTARTS[what][0],) * 2
    with answering_in_turn(*answers, http("200 OK", IDENTITY, body='{"a": 1}')) as client:
        assert client.request(dict[str, int], "GET", "/v1/policy") == {"a": 1}


@pytest.mark.parametrize("what", RESTARTS)
def test_a_server_that_does_not_return_is_explained(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anyscale.transport.retrying_client._PATIENCE", 0.01)
    answer, message = RESTARTS[what]
    with answering_in_turn(answer) as client, pytest.raises(Unavailable) as failed:
        client.request(dict, "GET", "/v1/policy")
    assert message in str(failed.value)


def test_a_request_that_a_proxy_gave_up_is_sent_again() -> None:
    answers = (http("408 Request Timeout"), http("200 OK", IDENTITY, body='{"a": 1}'))
    with answering_in_turn(*answers) as client:
        assert client.request(dict[str, int], "GET", "/v1/policy") == {"a": 1}


def test_an_outage_is_reported_once_for_several_calls() -> None:
    messages: list[str] = []
    client = RetryingClient(f"http://127.0.0.1:{free_port()}", "mrt_secret", 3, messages.append)

    def ask() -> None:
        with pytest.raises(ServerUnreachable):
            client.request(dict, "GET", "/v1/policy")

    with ThreadPoolExecutor(3) as pool:
        calls = [pool.submit(ask) for _ in range(3)]
    for call in calls:
        call.result()

    (line,) = messages
    assert line.startswith("Trying again: nothing listens at")


def test_each_repetition_is_reported_but_for_those_to_a_busy_server() -> None:
    down, busy = http("502 Bad Gateway"), problem(429, "overloaded")
    answers = (down, down, busy, http("200 OK", IDENTITY, body="{}"))
    retries: list[int] = []
    with (
        serving_in_turn(*answers) as host,
        closing(
            RetryingClient(host, "mrt_secret", 1, lambda _: None, lambda: retries.append(1))
        ) as client,
    ):
        client.request(dict, "GET", "/v1/policy")

    assert len(retries) == 2


def test_a_repetition_is_not_reported_if_another_call_has_succeeded_meanwhile() -> None:
    """The first call waits for at least a second; the other one succeeds in that time."""
    down, fine = http("502 Bad Gateway"), http("200 OK", IDENTITY, body="{}")
    retries: list[int] = []
    with (
        serving_in_turn(*[down] * 4, *[fine] * 2) as host,
        closing(
            RetryingClient(host, "mrt_secret", 2, lambda _: None, lambda: retries.append(1))
        ) as client,
        ThreadPoolExecutor(1) as pool,
    ):
        repeated = pool.submit(client.request, dict, "GET", "/v1/policy")
        wait_until(lambda: len(retries) == 3)
        time.sleep(0.2)  # it fails for the fourth time
        client.request(dict, "GET", "/v1/policy")
        repeated.result(timeout=30)

    assert len(retries) == 3


def test_a_call_that_is_given_up_says_for_how_long_it_was_repeated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("anyscale.transport.retrying_client._PATIENCE", 1.4)
    monkeypatch.setattr("anyscale.transport.retry_state._REPORTED_FROM", 0.0)
    answers = [http("502 Bad Gateway")] * 9
    with answering_in_turn(*answers) as client, pytest.raises(ServerUnreachable) as failed:
        client.request(dict, "GET", "/v1/policy")
    assert re.match("gave up after [01] s: a proxy in front of http://127", str(failed.value))


def test_a_call_is_given_up_if_the_server_stays_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anyscale.transport.retrying_client._PATIENCE", 1.0)
    for name, seconds in (("BUSY_PATIENCE", 1.0), ("LONGEST_PAUSE", 0.1), ("REPORTED_FROM", 0.0)):
        monkeypatch.setattr(f"anyscale.transport.retry_state._{name}", seconds)
    answers = [problem(429, "overloaded")] * 40
    with answering_in_turn(*answers) as client, pytest.raises(Overloaded) as failed:
        client.request(dict, "GET", "/v1/policy")
    assert re.match("gave up after [01] s: so it is", str(failed.value))


def test_a_request_to_a_busy_server_is_repeated(ask: Callable[..., CommandResult]) -> None:
    answers = [
        http(
            "429 Too Many",
            IDENTITY,
            "Retry-After: 1",
            body='{"title":"t","status":429,"detail":"busy","code":"overloaded"}',
        ),
        problem(401, "not_authenticated", "your turn"),
    ]
    with serving_in_turn(*answers) as host:
        result = ask(host)
    assert "your turn" in result.stderr
    assert result.returncode == 1


def test_the_outcome_is_unknown_if_the_server_does_not_return(
    configured_server: ServerProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command with a patience of one second, in place of a minute."""
    code = (
        "import anyscale.transport.retrying_client as c; c._PATIENCE = 1.0\n"
        "import sys; from anyscale.cli import main; sys.argv[0] = 'anyscale'; main()"
    )
    file = write_users_file(tmp_path / "users.yaml", 6_000, 3_000)
    process = subprocess.Popen(
        [sys.executable, "-c", code, "user", "batch-create", "-f", str(file)],
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_until(
        lambda: (
            process.poll() is not None
            or "/passwords" in configured_server.log.read_text(encoding="utf-8")
        )
    )
    assert process.poll() is None
    configured_server.kill()
    _, log = process.communicate(timeout=60)
    assert process.returncode == 3
    assert "Run the same command again" in log
    configured_server.start()


def test_the_progress_has_no_rate_while_the_server_is_down(
    configured_server: ServerProcess, tmp_path: Path
) -> None:
    """The command with a line at each step, and a patience of three seconds."""
    code = (
        "import anyscale.transport.retrying_client as c; c._PATIENCE = 3.0\n"
        "import anyscale.progress as p; p._LINE_EVERY = 0.0\n"
        "import sys; from anyscale.cli import main; sys.argv[0] = 'anyscale'; main()"
    )
    file = write_users_file(tmp_path / "users.yaml", 12_000, 9_000)
    process = subprocess.Popen(
        [sys.executable, "-c", code, "user", "batch-create", "-f", str(file)],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr
    before = next(line for line in process.stderr if "Hashing" in line and "a second" in line)
    configured_server.kill()
    _, log = process.communicate(timeout=60)

    down = [line for line in log.partition("Trying again: ")[2].splitlines() if "Hashing" in line]
    assert down, before + log
    assert not [line for line in down if "a second" in line or "left" in line]
    configured_server.start()


POLICY = (
    '{"password_min_length":8,"sso_only":false,"chunk_users":10000,"chunk_passwords":64,'
    '"small_users":1000,"small_passwords":16,"hold_wait":60.0}'
)

#: Responses after a lost one that do not tell the outcome of the call.
AFTERWARDS = {
    "expired": problem(401, "not_authenticated", "expired"),
    "a page": http("200 OK", body="<html>"),
    "not understood": http("200 OK", IDENTITY, body="[]"),
}


@pytest.mark.parametrize("what", AFTERWARDS)
def test_the_outcome_stays_unknown_after_a_request_that_may_have_arrived(
    what: str, ask: Callable[..., CommandResult]
) -> None:
    """Send one response to each connection: the policy, nothing, and then the one to test."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):
            for answer in (http("200 OK", IDENTITY, body=POLICY), b"", *[AFTERWARDS[what]] * 40):
                client, _ = listening.accept()
                with client:
                    client.settimeout(5)
                    client.recv(65536)
                    client.sendall(answer)
            listening.close()

    threading.Thread(target=serve, daemon=True).start()
    result = ask(f"http://127.0.0.1:{listening.getsockname()[1]}")
    listening.close()
    assert result.returncode == 3, result.stderr
    assert "Run the same command again" in result.stderr
