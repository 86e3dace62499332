"""Each failure to reach a control plane has a message of its own and no traceback."""

import gzip
import socket
import ssl
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from tests.support.commands.running import CommandResult, RunAnyscale
from tests.support.faults.faulty_proxy import Fault, FaultyProxy, cut_after
from tests.support.ports import free_port
from tests.support.programs import program
from tests.support.servers.fixed_responses import (
    IDENTITY,
    answering,
    http,
    problem,
    serving_in_turn,
)
from tests.support.servers.server_process import ServerProcess
from urllib3.exceptions import SSLError

from anyscale.errors import NotAControlPlane, ServerUnreachable
from anyscale.transport.http.responses import unreachable
from anyscale.transport.http.retrying_client import RetryingClient

#: response -> message
RESPONSES = {
    "another page": (http("200 OK", body="<html>"), "it is not an anyscale control plane"),
    "not found": (http("404 Not Found"), "answers with HTTP 404, but it is not an anyscale"),
    "a redirect": (
        http("302 Found", "Location: https://sso.example.com"),
        "points to https://sso.example.com: use the address of the control plane",
    ),
    "a proxy's limit": (http("413 Too Large"), "allow bodies of 64 MiB"),
    "a slow body": (http("408 Request Timeout"), "did not get the whole request in time"),
    "another version": (
        http("200 OK", "Musterroll-Api: 7", body="{}"),
        "speaks version 7 of the interface, and this command version 1",
    ),
    "another answer": (http("200 OK", IDENTITY, body="[]"), "is not understood"),
    "an answer in another encoding": (
        http("200 OK", IDENTITY, body='{"organization": "?"}').replace(b"?", b"\xff"),
        "is not understood",
    ),
    "a deep answer": (http("200 OK", IDENTITY, body='{"x":' * 9_000), "is not understood"),
    "a deep fault": (http("500 Problem", IDENTITY, body='{"x":' * 9_000), "and no reason"),
    "garbage": (b"SSH-2.0-OpenSSH_9.2\r\n", "was cut before the answer came"),
    "nothing": (b"", "was cut before the answer came"),
    "no token": (problem(401, "not_authenticated"), "so it is (request r1234567)"),
    "no permission": (problem(403, "not_permitted"), "so it is (request r1234567)"),
    "switched off": (problem(403, "feature_unavailable"), "only available on customer-hosted"),
    "a fault": (problem(500, "internal"), "so it is (request r1234567)"),
    "an unknown code": (problem(418, "teapot"), "so it is (request r1234567)"),
}


@pytest.mark.parametrize("what", RESPONSES)
def test_an_unexpected_response_is_explained(what: str, ask: Callable[..., CommandResult]) -> None:
    answer, message = RESPONSES[what]
    with answering(answer) as port:
        result = ask(f"http://127.0.0.1:{port}")
    assert message in result.stderr
    assert result.returncode == 1, result.stderr


def test_a_host_where_nothing_listens(ask: Callable[..., CommandResult]) -> None:
    result = ask(f"http://127.0.0.1:{free_port()}")
    assert "Trying again: nothing listens at http://127.0.0.1:" in result.stderr
    assert ": is the control plane running?\n" in result.stderr
    assert "?." not in result.stderr
    assert result.returncode == 1


def test_a_host_that_does_not_exist(ask: Callable[..., CommandResult]) -> None:
    result = ask("https://no-such-host.invalid")
    assert "the host name of https://no-such-host.invalid cannot be resolved" in result.stderr
    assert result.returncode == 1


def test_a_host_that_speaks_no_tls(ask: Callable[..., CommandResult]) -> None:
    with answering(http("200 OK")) as port:
        result = ask(f"https://localhost:{port}")
    assert f"it answers without TLS: try http://localhost:{port}\n" in result.stderr
    assert "is it https?" not in result.stderr
    assert result.returncode == 1


def test_a_host_that_speaks_tls_and_is_addressed_without(
    ask: Callable[..., CommandResult], certificate: Path
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with answering(b"", tls=context) as port:
        result = ask(f"http://localhost:{port}")
    assert (
        f"the connection to http://localhost:{port} was cut before the answer came; if it has TLS, "
        f"use https://localhost:{port}\n"
    ) in result.stderr
    assert result.returncode == 1


def test_tls_is_no_question_once_the_control_plane_has_responded() -> None:
    with serving_in_turn(http("200 OK", IDENTITY, body="{}"), b"") as host:
        client = RetryingClient(host, "token", 1, pytest.fail)
        with closing(client):
            client.request(dict, "GET", "/v1/policy")
            with pytest.raises(pytest.fail.Exception) as caught:
                client.request(dict, "GET", "/v1/policy")
    assert str(caught.value) == (
        f"Trying again: the connection to {host} was cut before the answer came"
    )


RESPONDED = {
    "a gateway": http("503 Service Unavailable"),
    "a busy proxy": http("429 Too Many Requests"),
    "a busy control plane": problem(429, "overloaded"),
    "a part of a body": b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{",
}


@pytest.mark.usefixtures("long_pauses")
@pytest.mark.parametrize("what", RESPONDED)
def test_tls_is_no_question_once_anything_has_responded(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for patience in ("PATIENCE", "FIRST_PATIENCE"):
        monkeypatch.setattr(f"anyscale.transport.http.retrying_client.{patience}", 60.0)
    messages: list[str] = []
    with serving_in_turn(RESPONDED[what], *[b""] * 40) as host:
        client = RetryingClient(host, "token", 1, messages.append)
        with closing(client), pytest.raises(ServerUnreachable) as failed:
            client.request(dict, "GET", "/v1/policy")
    assert f"the connection to {host} was cut before the answer came" in str(failed.value)
    assert "https://" not in "".join([*messages, str(failed.value)])


def test_tls_is_no_question_if_the_response_takes_too_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("anyscale.transport.http.retrying_client._READ_SECONDS", 0.2)
    monkeypatch.setattr("anyscale.transport.http.retrying_client.FIRST_PATIENCE", 0.01)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host = f"http://127.0.0.1:{silent.getsockname()[1]}"
        client = RetryingClient(host, "token", 1, pytest.fail)
        with closing(client), pytest.raises(ServerUnreachable) as failed:
            client.request(dict, "GET", "/v1/policy")
    assert str(failed.value) == (
        f"{host} does not answer: is it up, and may this machine reach it?"
    )


@pytest.mark.parametrize("changes", [False, True])
def test_a_call_without_a_response_in_time_may_have_arrived(
    changes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anyscale.transport.http.retrying_client._READ_SECONDS", 0.2)
    monkeypatch.setattr("anyscale.transport.http.retrying_client.FIRST_PATIENCE", 0.01)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host = f"http://127.0.0.1:{silent.getsockname()[1]}"
        client = RetryingClient(host, "token", 1, pytest.fail)
        with closing(client), pytest.raises(ServerUnreachable) as failed:
            client.request(dict, "POST", "/v1/batches", changes=changes)
    assert failed.value.outcome_unknown == changes


@pytest.mark.parametrize(
    ("answer", "is_hinted"),
    [(b"SSH-2.0-OpenSSH_9.2\r\n", False), (b"\x15\x03\x03\x00\x02\x02\x46", True)],
)
def test_tls_is_a_question_if_the_answer_is_an_alert_of_tls_but_not_of_another_protocol(
    answer: bytes, is_hinted: bool, ask: Callable[..., CommandResult]
) -> None:
    with answering(answer) as port:
        result = ask(f"http://localhost:{port}")
    assert (f"if it has TLS, use https://localhost:{port}\n" in result.stderr) == is_hinted


@pytest.mark.parametrize("host", ["https://192.0.2.1:8080", "https://accounts.example.com"])
def test_a_host_beyond_this_machine_is_not_to_be_tried_without_tls(host: str) -> None:
    error = SSLError(ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number"))
    text = str(unreachable(host, error, outcome_unknown=False))
    assert text == (
        f"no secure connection to {host}: it answers without TLS: is the port right, and does it "
        "have TLS? See docs/operations/tls.md"
    )


def test_a_host_that_refuses_the_handshake_is_not_to_be_tried_without_tls(
    ask: Callable[..., CommandResult],
) -> None:
    refusal = b"\x15\x03\x03\x00\x02\x02\x46"  # the fatal alert protocol_version
    with answering(refusal) as port:
        result = ask(f"https://localhost:{port}")
    assert "it does not speak TLS as expected: is it https?" in result.stderr
    assert "try http://" not in result.stderr
    assert result.returncode == 1


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A self-signed certificate of localhost, and its key."""
    path = tmp_path / "certificate.pem"
    subprocess.run(
        [
            *(program("openssl"), "req", "-x509"),
            *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost"),
            *("-keyout", str(path), "-out", f"{path}.crt"),
        ],
        check=True,
        capture_output=True,
    )
    with path.open("a", encoding="utf-8") as both:
        both.write(Path(f"{path}.crt").read_text(encoding="utf-8"))
    return path


def test_a_certificate_is_trusted_by_the_file_that_ssl_cert_file_names(
    ask: Callable[..., CommandResult], certificate: Path
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with answering(problem(401, "not_authenticated", "hello"), tls=context) as port:
        result = ask(f"https://localhost:{port}")
        assert "its certificate is not trusted" in result.stderr
        assert result.returncode == 1
        result = ask(f"https://localhost:{port}", SSL_CERT_FILE=str(certificate))
        assert "hello" in result.stderr


def test_a_request_goes_through_the_proxy_that_the_environment_names(
    ask: Callable[..., CommandResult],
) -> None:
    with answering(problem(401, "not_authenticated", "from the proxy")) as port:
        through = {"HTTP_PROXY": f"http://user:proxy-secret@127.0.0.1:{port}"}
        result = ask("http://inner.example.com", ANYSCALE_ALLOW_HTTP="1", **through)
        assert "from the proxy" in result.stderr
        assert "proxy-secret" not in result.stderr
        host = f"http://127.0.0.1:{free_port()}"
        result = ask(host, NO_PROXY="127.0.0.1", **through)
        assert "nothing listens at" in result.stderr


def test_the_body_of_a_response_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anyscale.transport.http.responses._MAX_BODY", 1_000)
    packed = gzip.compress(b" " * 1_000_000 + b"{}")
    head = f"HTTP/1.1 200 OK\r\n{IDENTITY}\r\nContent-Encoding: gzip\r\n"
    answer = f"{head}Content-Length: {len(packed)}\r\n\r\n".encode() + packed
    with answering(answer) as port:
        client = RetryingClient(f"http://127.0.0.1:{port}", "token", 1, print)
        with closing(client), pytest.raises(NotAControlPlane, match="answers with more than"):
            client.request(dict, "GET", "/v1/policy")


def test_a_token_may_end_with_a_line_break(
    ask: Callable[..., CommandResult],
) -> None:
    with answering(problem(401, "not_authenticated", "hello")) as port:
        result = ask(f"http://127.0.0.1:{port}", ANYSCALE_CLI_TOKEN="mrt_secret\r\n")
        assert "hello" in result.stderr
        result = ask(f"http://127.0.0.1:{port}", ANYSCALE_CLI_TOKEN="mrt_secret\nmrt_secret")
        assert "the token has characters that a token cannot have" in result.stderr
        assert result.returncode == 2


def test_requests_to_loopback_bypass_the_proxy(
    ask: Callable[..., CommandResult],
) -> None:
    with answering(problem(401, "not_authenticated", "from the proxy")) as port:
        result = ask(f"http://127.0.0.1:{free_port()}", HTTP_PROXY=f"http://127.0.0.1:{port}")
    assert "nothing listens at" in result.stderr


def test_a_response_that_is_cut_inside_its_headers_is_requested_again(
    anyscale: RunAnyscale, configured_server: ServerProcess
) -> None:
    calls: list[str] = []

    def plan(call: str) -> Fault | None:
        calls.append(call)
        return cut_after(60) if len(calls) == 1 else None

    with FaultyProxy([configured_server.port], plan) as proxy:
        done = anyscale("user", "list", "-o", "json", "--host", proxy.url)

    assert (done.returncode, len(calls)) == (0, 2), done.stderr
