"""The connection to a relay that hangs, says too much, or is cut by another thread."""

import socket
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from functools import partial
from pathlib import Path

import pytest
from tests.support.mail.faulty_relay import HANG, FaultyRelay, faulty_relay
from tests.support.servers.authority import CertificateAuthority
from tests.support.waiting import wait_until

from anyscale.server.core.mail import relay as relay_module
from anyscale.server.core.mail.relay import MailRefused, MailRetry, Relay
from anyscale.server.core.mail.settings import MailSettings, RelayTls

TO = "jane@example.com"

Served = Callable[[Callable[[socket.socket], None]], int]


@pytest.fixture
def relay() -> Iterator[FaultyRelay]:
    with faulty_relay() as relay:
        yield relay


def connection_to(
    port: int, tls: RelayTls = "none", *, user: str = "", password: str = ""
) -> Relay:
    sender = "accounts@example.com"
    settings = MailSettings(
        host="localhost", port=port, tls=tls, sender=sender, user=user, password=password
    )
    return Relay(settings, "accounts.example.com")


MAIL = f"From: accounts@example.com\r\nTo: {TO}\r\n\r\nHello\r\n".encode()


def ends_when_it_is_cut(connection: Relay, step: Callable[[], None]) -> None:
    """Cut a connection until the step that uses it has ended."""

    def run() -> None:
        with suppress(MailRetry):
            step()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()

    def cut() -> bool:
        connection.abort()
        return not thread.is_alive()

    wait_until(cut, 30)  # a connection ends by itself after a minute


@pytest.fixture
def served() -> Iterator[Served]:
    """Return the port of a relay whose first connection a function serves."""
    with ExitStack() as stack:

        def serve(function: Callable[[socket.socket], None]) -> int:
            listening = stack.enter_context(socket.create_server(("127.0.0.1", 0)))

            def run() -> None:
                accepted, _ = listening.accept()
                with accepted, suppress(OSError):
                    function(accepted)

            thread = threading.Thread(target=run, daemon=True)
            thread.start()
            stack.callback(thread.join, 30)
            return int(listening.getsockname()[1])

        yield serve


@pytest.mark.parametrize(
    ("host", "name"), [("127.0.0.1", "[127.0.0.1]"), ("::1", "[IPv6:::1]"), ("a.org", "a.org")]
)
def test_a_server_calls_itself_by_a_name_or_an_address_in_brackets(
    relay: FaultyRelay, host: str, name: str
) -> None:
    settings = MailSettings(host="127.0.0.1", port=relay.port, tls="none", sender="a@example.com")
    with closing(Relay(settings, host)) as connection:
        connection.probe("jane@example.com")
    assert f"ehlo {name}" in [command for _, command in relay.commands]


def read_to_the_end(sock: socket.socket) -> None:
    while sock.recv(4096):
        pass


@pytest.mark.parametrize("tls", ["none", "tls"])
def test_a_relay_that_does_not_greet_is_left(served: Served, tls: RelayTls) -> None:
    connection = connection_to(served(read_to_the_end), tls)
    ends_when_it_is_cut(connection, lambda: connection.probe(TO))


@pytest.mark.parametrize("tls", ["none", "tls"])
def test_a_relay_that_does_not_greet_in_time_is_named_with_the_reason(
    served: Served, monkeypatch: pytest.MonkeyPatch, tls: RelayTls
) -> None:
    monkeypatch.setattr(relay_module, "_CONNECT_TIMEOUT", 0.1)
    port = served(read_to_the_end)
    with pytest.raises(MailRetry, match=f"^localhost:{port}: the relay did not respond in time$"):
        connection_to(port, tls).probe(TO)


def test_a_handshake_of_starttls_that_hangs_is_left(served: Served) -> None:
    in_handshake = threading.Event()

    def serve(sock: socket.socket) -> None:
        for reply in (b"220 relay\r\n", b"250-relay\r\n250 STARTTLS\r\n", b"220 begin\r\n"):
            sock.sendall(reply)
            sock.recv(1)
            if reply != b"220 begin\r\n":
                sock.recv(4096)
        in_handshake.set()
        read_to_the_end(sock)

    connection = connection_to(served(serve), "starttls")

    def step() -> None:
        with suppress(MailRetry):
            connection.probe(TO)

    thread = threading.Thread(target=step, daemon=True)
    thread.start()
    assert in_handshake.wait(30)
    connection.abort()
    thread.join(30)
    assert not thread.is_alive()


@pytest.mark.parametrize("greeting", [b"220-relay\r\n", b"220-" + b"x" * 8000 + b"\r\n"])
def test_a_reply_without_an_end_is_given_up(served: Served, greeting: bytes) -> None:
    sent: list[int] = []

    def serve(sock: socket.socket) -> None:
        # Has an end, so that this fails soon without a limit.
        while len(sent) < 2_000:
            sock.sendall(greeting)
            sent.append(1)

    with pytest.raises(MailRetry, match="its reply has more than 200 lines") as raised:
        connection_to(served(serve)).probe(TO)
    assert raised.value.is_of_connection


def test_a_reply_to_quit_without_an_end_is_not_awaited(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_module, "_QUIT_TIMEOUT", 60.0)
    ended = threading.Event()

    def serve(sock: socket.socket) -> None:
        file = sock.makefile("rb")
        sock.sendall(b"220 relay\r\n")
        while file.readline().strip().upper() not in (b"QUIT", b""):
            sock.sendall(b"250 OK\r\n")
        sock.sendall(b"221-bye\r\n" * 150)
        ended.wait(60)  # the reply has no end before the connection has one

    connection = connection_to(served(serve))
    connection.probe(TO)
    thread = threading.Thread(target=connection.close, daemon=True)
    thread.start()
    thread.join(30)
    is_left = not thread.is_alive()
    ended.set()
    assert is_left


def test_taking_leave_is_cut_too(relay: FaultyRelay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay_module, "_QUIT_TIMEOUT", 60.0)
    connection = connection_to(relay.port)
    connection.probe(TO)
    relay.faults = {"QUIT": HANG}
    ends_when_it_is_cut(connection, connection.close)


def test_a_connection_that_is_cut_stays_encrypted(
    relay: FaultyRelay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = CertificateAuthority(tmp_path)
    relay.certificate = str(authority.issue("localhost"))
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
    connection = connection_to(relay.port, "starttls")
    connection.probe(TO)
    cuts: list[int] = []
    shutdown, this_thread = socket.socket.shutdown, threading.get_ident()

    def send_and_shutdown(sock: socket.socket, how: int) -> None:
        # As the thread of the sender may do at this moment.
        if threading.get_ident() == this_thread and not cuts:
            cuts.append(how)
            connection.probe(TO)
        shutdown(sock, how)

    monkeypatch.setattr(socket.socket, "shutdown", send_and_shutdown)
    connection.abort()
    connection.close()
    assert cuts == [socket.SHUT_RDWR]
    assert relay.connections == 1  # the relay ends one that says a word in plain text
    assert relay.commands.count((1, "rset")) == 1


@pytest.mark.parametrize(
    "faults",
    [
        {"EHLO": "550 not you", "HELO": "550 not you"},
        {"MAIL": "553 not you"},
        {"MAIL": "530 not you"},
    ],
)
def test_what_is_wrong_for_all_mails_ends_none(relay: FaultyRelay, faults: dict[str, str]) -> None:
    connection = connection_to(relay.port)
    relay.faults = faults
    for step in (partial(connection.send, MAIL, TO), partial(connection.probe, TO)):
        with pytest.raises(MailRetry, match=r"localhost:\d+: 5\d\d not you") as raised:
            step()
        assert raised.value.is_of_connection
    relay.faults = {}
    connection.send(MAIL, TO)
    connection.close()
    assert len(relay.accepted) == 1


@pytest.mark.parametrize("at", ["RCPT", "end of data"])
def test_what_is_wrong_with_one_mail_ends_it(relay: FaultyRelay, at: str) -> None:
    relay.faults = {at: "554 no"}
    connection = connection_to(relay.port)
    with pytest.raises(MailRefused, match="554 no"):
        connection.send(MAIL, TO)
    relay.faults = {}
    connection.send(MAIL, TO)
    connection.close()
    assert relay.connections == 1


@pytest.mark.parametrize(
    ("extension", "user", "password"),
    [
        ("AUTH CRAM-MD5", "u", "p"),
        ("AUTH PLAIN", "u", "gehe\u00efm"),
        ("AUTH PLAIN", "\u00fc", "p"),
    ],
)
def test_words_that_smtp_cannot_say_end_no_mail(
    relay: FaultyRelay, extension: str, user: str, password: str
) -> None:
    relay.faults = {"EHLO": f"250-relay\r\n250 {extension}", "AUTH": "334 a"}
    with pytest.raises(MailRetry, match="cannot be used in SMTP") as raised:
        connection_to(relay.port, user=user, password=password).send(MAIL, TO)
    assert raised.value.is_of_connection
    assert "\u00ef" not in str(raised.value)


@pytest.mark.parametrize("before", range(270, 300, 7))
def test_no_part_of_the_password_is_shown(relay: FaultyRelay, before: int) -> None:
    sent = b64encode(b"\0user\0correct-horse").decode()
    for secret in ("correct-horse", sent):
        relay.faults = {
            "EHLO": "250-relay\r\n250 AUTH PLAIN",
            "AUTH": f"535 {'x' * before}{secret}",
        }
        with pytest.raises(MailRetry, match="535 xx") as raised:
            connection_to(relay.port, user="user", password="correct-horse").send(MAIL, TO)
        assert str(raised.value).partition("xx")[2].strip("x.") == ""
