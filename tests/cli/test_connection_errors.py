"""Each failure to reach a control plane has a message of its own and no traceback."""

import gzip
import json
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from tests.support.commands.running import CommandResult, RunAnyscale
from tests.support.ports import free_port
from tests.support.servers.server_process import ServerProcess
from tests.support.users import list_accounts
from tests.support.users_files import write_users_file

from anyscale.errors import NotAControlPlane, ServerUnreachable, Unavailable, VersionMismatch
from anyscale.transport.http import HttpTransport
from anyscale.transport.retrying_client import RetryingClient

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
                    stream.settimeout(5)
                    stream.recv(65536)
                    stream.sendall(answer)
                    stream.shutdown(socket.SHUT_WR)
                    while stream.recv(65536):
                        pass

    threading.Thread(target=serve, daemon=True).start()
    yield int(listening.getsockname()[1])
    listening.close()


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


@pytest.fixture
def ask(anyscale: RunAnyscale, tmp_path: Path) -> Callable[..., CommandResult]:
    """Run batch-create against a host, and check that the message is complete."""
    file = write_users_file(tmp_path / "users.yaml", 3, 0)

    def run(host: str, **env: str) -> CommandResult:
        result = anyscale(
            *("user", "batch-create", "-f", file, "--host", host),
            env={"ANYSCALE_CLI_TOKEN": "mrt_secret"} | env,
        )
        assert "Traceback" not in result.stderr
        assert "mrt_secret" not in result.stderr
        assert result.stdout == ""
        return result

    return run


#: response -> message
RESPONSES = {
    "another page": (http("200 OK", body="<html>"), "it is no anyscale control plane"),
    "not found": (http("404 Not Found"), "answers with HTTP 404, but it is no anyscale"),
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


#: responses to the first call while a server restarts -> the message
RESTARTS = {
    "a gateway": (http("502 Bad Gateway"), "the control plane behind it is down or too slow"),
    "a load balancer": (http("503 Service Unavailable"), "is down or too slow"),
    "a slow start": (http("504 Gateway Timeout"), "is down or too slow"),
    "a full disk": (problem(503, "store_unavailable"), "so it is (request r1234567)"),
}


@contextmanager
def serving_in_turn(*answers: bytes) -> Iterator[str]:
    """Send one response to each connection; give the host."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        for answer in answers:
            client, _ = listening.accept()
            with client:
                client.recv(65536)
                client.sendall(answer)

    threading.Thread(target=serve, daemon=True).start()
    with listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


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


def test_a_list_of_suspended_users_from_an_older_control_plane_is_refused(
    anyscale: RunAnyscale,
) -> None:
    user = {"email": "a@b.io", "name": "a", "created_at": "2026-11-24T12:00:00Z"}
    user |= {"permission_level": "owner", "user_id": "usr_1"}
    before = http("200 OK", IDENTITY, body=json.dumps({"users": [user]}))
    with answering(before) as port:
        env = {"ANYSCALE_HOST": f"http://127.0.0.1:{port}", "ANYSCALE_CLI_TOKEN": "mrt_secret"}
        listed = anyscale("user", "list", "-o", "jsonl", env=env)
        suspended = anyscale("user", "list", "--suspended", env=env)
    unknown = {"suspended_at": None, "lastname": None, "title": None, "is_sso_user": False}
    assert json.loads(listed.stdout) == user | unknown
    assert "a@b.io" not in suspended.stdout
    assert "cannot list suspended users: use the same version of" in suspended.stderr
    assert suspended.returncode == 1


def user_page(*numbers: int) -> bytes:
    """Make the page of an older control plane, which has no cursor."""
    users = [
        {"email": f"u{number}@b.io", "name": "a", "created_at": "2026-11-24T12:00:00Z"}
        | {"permission_level": "owner", "user_id": f"usr_{number}"}
        for number in numbers
    ]
    return http("200 OK", IDENTITY, body=json.dumps({"users": users}))


def test_an_older_control_plane_lists_users_in_pages() -> None:
    answers = (user_page(1, 2), user_page(3))
    with serving_in_turn(*answers) as host, closing(HttpTransport(host, "mrt_s")) as transport:
        emails = [user.email for user in list_accounts(transport, page_size=2, name="a")]
    assert emails == ["u1@b.io", "u2@b.io", "u3@b.io"]


@pytest.mark.parametrize(
    "query",
    [
        {"role": "owner"},
        {"sso": True},
        {"without_credentials": True},
        {"newest_first": True},
        {"search": "a"},
    ],
)
def test_an_older_control_plane_that_would_list_other_users_is_refused(
    query: dict[str, Any],
) -> None:
    with (
        serving_in_turn(user_page(1)) as host,
        closing(HttpTransport(host, "mrt_s")) as transport,
        pytest.raises(VersionMismatch, match="knows neither all filters of this list nor its"),
    ):
        list_accounts(transport, **query)


def test_a_list_that_a_newer_control_plane_began_is_not_repeated_by_an_older_one() -> None:
    newer = http("200 OK", IDENTITY, body=json.dumps({"users": [], "cursor": "abc"}))
    with (
        serving_in_turn(newer, user_page(1)) as host,
        closing(HttpTransport(host, "mrt_s")) as transport,
        pytest.raises(VersionMismatch, match="use the same version of musterroll"),
    ):
        list_accounts(transport)


def test_a_host_where_nothing_listens(ask: Callable[..., CommandResult]) -> None:
    result = ask(f"http://127.0.0.1:{free_port()}")
    assert "Trying again: nothing listens at http://127.0.0.1:" in result.stderr
    assert ": is the control plane running?\n" in result.stderr
    assert "?." not in result.stderr
    assert result.returncode == 1


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


def test_a_host_that_does_not_exist(ask: Callable[..., CommandResult]) -> None:
    result = ask("https://no-such-host.invalid")
    assert "the host name of https://no-such-host.invalid cannot be resolved" in result.stderr
    assert result.returncode == 1


def test_a_host_that_speaks_no_tls(ask: Callable[..., CommandResult]) -> None:
    with answering(http("200 OK")) as port:
        result = ask(f"https://localhost:{port}")
    assert "it does not speak TLS as expected: is it https?" in result.stderr
    assert result.returncode == 1


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A self-signed certificate of localhost, and its key."""
    path = tmp_path / "certificate.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
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
    monkeypatch.setattr("anyscale.transport.responses._MAX_BODY", 1_000)
    packed = gzip.compress(b" " * 1_000_000 + b"{}")
    head = f"HTTP/1.1 200 OK\r\n{IDENTITY}\r\nContent-Encoding: gzip\r\n"
    answer = f"{head}Content-Length: {len(packed)}\r\n\r\n".encode() + packed
    with answering(answer) as port:
        client = RetryingClient(f"http://127.0.0.1:{port}", "token", 1, print)
        with closing(client), pytest.raises(NotAControlPlane, match="answers with more than"):
            client.request(dict, "GET", "/v1/policy")


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
    while "/passwords" not in configured_server.log.read_text(encoding="utf-8"):
        assert process.poll() is None
    configured_server.kill()
    _, log = process.communicate(timeout=60)
    assert process.returncode == 3
    assert "Run the same command again" in log
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


def test_a_token_may_end_with_a_line_break(
    ask: Callable[..., CommandResult],
) -> None:
    with answering(problem(401, "not_authenticated", "hello")) as port:
        result = ask(f"http://127.0.0.1:{port}", ANYSCALE_CLI_TOKEN="mrt_secret\r\n")
        assert "hello" in result.stderr
        result = ask(f"http://127.0.0.1:{port}", ANYSCALE_CLI_TOKEN="mrt_secret\nmrt_secret")
        assert "the token has characters that no token has" in result.stderr
        assert result.returncode == 2


def test_requests_to_loopback_bypass_the_proxy(
    ask: Callable[..., CommandResult],
) -> None:
    with answering(problem(401, "not_authenticated", "from the proxy")) as port:
        result = ask(f"http://127.0.0.1:{free_port()}", HTTP_PROXY=f"http://127.0.0.1:{port}")
    assert "nothing listens at" in result.stderr
