"""A server that restarts, is busy or does not return: requests are sent again."""

import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from itertools import count
from pathlib import Path

import pytest
from tests.support.commands.command_process import CommandProcess
from tests.support.commands.running import CommandResult, start_command
from tests.support.faults.faulty_proxy import FaultyProxy
from tests.support.ports import stop_listening
from tests.support.servers.fixed_responses import IDENTITY, http, problem, serving_in_turn
from tests.support.servers.server_process import ServerProcess
from tests.support.users_files import write_users_file

from anyscale.errors import Overloaded, ServerUnreachable, Unavailable
from anyscale.transport.http import retry_policy
from anyscale.transport.http.retrying_client import RetryingClient

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
    monkeypatch.setattr("anyscale.transport.http.retrying_client.FIRST_PATIENCE", 0.01)
    answers = (RESTARTS[what][0],) * 2
    with answering_in_turn(*answers, http("200 OK", IDENTITY, body='{"a": 1}')) as client:
        assert client.request(dict[str, int], "GET", "/v1/policy") == {"a": 1}


@pytest.mark.parametrize("what", RESTARTS)
def test_a_server_that_does_not_return_is_explained(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anyscale.transport.http.retrying_client.PATIENCE", 0.01)
    answer, message = RESTARTS[what]
    with answering_in_turn(answer) as client, pytest.raises(Unavailable) as failed:
        client.request(dict, "GET", "/v1/policy")
    assert message in str(failed.value)


GIVEN_UP = {
    "the request": http("408 Request Timeout"),
    # A proxy that speaks HTTP/1.0: the end of the connection is that of the body.
    "the response": b'HTTP/1.0 200 OK\r\n%s\r\n\r\n{"a": ' % IDENTITY.encode(),
}


@pytest.mark.parametrize("what", GIVEN_UP)
def test_a_request_that_a_proxy_gave_up_is_sent_again(what: str) -> None:
    answers = (GIVEN_UP[what], http("200 OK", IDENTITY, body='{"a": 1}'))
    with answering_in_turn(*answers) as client:
        assert client.request(dict[str, int], "GET", "/v1/policy") == {"a": 1}


@pytest.mark.usefixtures("long_pauses")
def test_a_call_that_is_given_up_says_for_how_long_it_was_repeated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("anyscale.transport.http.retrying_client.PATIENCE", 60.0)
    answers = [http("502 Bad Gateway")] * 3
    with answering_in_turn(*answers) as client, pytest.raises(ServerUnreachable) as failed:
        client.request(dict, "GET", "/v1/policy")
    assert re.match("gave up after 77 s: a proxy in front of http://127", str(failed.value))


def test_a_call_that_was_not_repeated_is_not_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with the first call, whose only attempt may take longer than it would be repeated."""
    monkeypatch.setattr("anyscale.transport.http.retrying_client.FIRST_PATIENCE", 0.01)
    monkeypatch.setattr(retry_policy, "_REPORTED_FROM", 0.0)
    with answering_in_turn(b"") as client, pytest.raises(ServerUnreachable) as failed:
        client.request(dict, "GET", "/v1/policy")
    assert str(failed.value).startswith("the connection to http://127.0.0.1")


@pytest.mark.usefixtures("long_pauses")
def test_a_call_is_given_up_if_the_server_stays_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    # Each refusal is a response, after which the patience begins anew.
    monkeypatch.setattr("anyscale.transport.http.retrying_client.PATIENCE", 1.0)
    monkeypatch.setattr(retry_policy, "_BUSY_PATIENCE", 60.0)
    answers = [problem(429, "overloaded")] * 3
    with answering_in_turn(*answers) as client, pytest.raises(Overloaded) as failed:
        client.request(dict, "GET", "/v1/policy")
    assert re.match("gave up after 99 s: so it is", str(failed.value))


@pytest.mark.parametrize("after", [b"1", b"\xb2"], ids=["seconds", "a digit that is no number"])
def test_a_request_to_a_busy_server_is_repeated(
    after: bytes, ask: Callable[..., CommandResult]
) -> None:
    busy = '{"title":"t","status":429,"detail":"busy","code":"overloaded"}'
    answers = [
        http("429 Too Many", IDENTITY, "Retry-After: ?", body=busy).replace(b"?", after),
        problem(401, "not_authenticated", "your turn"),
    ]
    with serving_in_turn(*answers) as host:
        result = ask(host)
    assert "your turn" in result.stderr
    assert result.returncode == 1


def killing_at(server: ServerProcess, chunk: int) -> Callable[[str], None]:
    """Make the plan of a proxy that kills its server when this chunk of passwords comes."""
    chunks = count(1)

    def plan(call: str) -> None:
        if call.endswith("/passwords") and next(chunks) >= chunk:
            server.kill()

    return plan


def start_batch(users: Path, host: str, **constants: float) -> CommandProcess:
    """Start `batch-create` with other constants of `anyscale`."""
    return start_command(
        *("user", "batch-create", "-f", users, "--host", host),
        constants={f"anyscale.{name}": value for name, value in constants.items()},
    )


def test_the_outcome_is_unknown_if_the_server_does_not_return(
    configured_server: ServerProcess, tmp_path: Path
) -> None:
    """The command has a patience of one second, in place of a minute."""
    users = write_users_file(tmp_path / "users.yaml", 100, 100)
    with FaultyProxy([configured_server.port], killing_at(configured_server, 1)) as proxy:
        patience = {"transport.http.retrying_client.PATIENCE": 1.0}
        done = start_batch(users, proxy.url, **patience).finish(60)
    assert done.returncode == 3, done.stderr
    assert "Run the same command again" in done.stderr


POLICY = (
    '{"password_min_length":8,"sso_only":false,"chunk_users":10000,"chunk_passwords":64,'
    '"small_users":1000,"small_passwords":16,"reservation_wait":60.0}'
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
                    client.settimeout(60)
                    client.recv(65536)
                    client.sendall(answer)
            listening.close()

    threading.Thread(target=serve, daemon=True).start()
    result = ask(f"http://127.0.0.1:{listening.getsockname()[1]}")
    stop_listening(listening)
    assert result.returncode == 3, result.stderr
    assert "Run the same command again" in result.stderr
