"""What becomes of a mail: accepted, refused, or tried again."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from msgspec import structs
from tests.support.callers import OPERATOR
from tests.support.databases.empty_sqlite import cheap_control_plane
from tests.support.mail.relays import RELAY_PASSWORD, USER, TestRelay, running_relay
from tests.support.mail.sending import close_senders, mails, pass_time, send_all, sender_of
from tests.support.mail.silent_relay import SilentRelay
from tests.support.servers.certificates import create_certificate
from tests.support.servers.control_planes import Deployment
from tests.support.users import checked_user, create_accounts

from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.link_secrets import secret_of
from anyscale.server.core.mail.settings import MailSettings
from anyscale.server.core.time_units import DAY_MS, MINUTE_MS


def request_links(control_plane: ControlPlane, *names: str) -> None:
    create_accounts(control_plane, *names, password=None)
    found = control_plane.users.find([f"{name}@example.com" for name in names])
    control_plane.links.mail(OPERATOR, [user.user_id for user in found if user])


@contextmanager
def control_plane_with(deployment: Deployment, mail: MailSettings) -> Iterator[ControlPlane]:
    settings = structs.replace(deployment.settings(), mail=mail)
    with closing(cheap_control_plane(settings)) as control_plane:
        yield control_plane
        close_senders(control_plane)


# Replies


@pytest.mark.parametrize("stage", ["on_recipient", "on_data"])
def test_a_mail_that_is_refused_for_good_is_kept_with_the_words_of_the_relay(
    control_plane: ControlPlane, relay: TestRelay, stage: str
) -> None:
    setattr(relay, stage, lambda _: "550 5.1.1 <b>no\tsuch</b>\x07 user here")
    request_links(control_plane, "jane")
    send_all(control_plane)
    [failed] = mails(control_plane, "failed")
    assert failed.last_error == "550 5.1.1 <b>no such</b> user here"
    assert (failed.attempts, relay.received) == (1, [])


def test_each_result_of_an_attempt_is_counted(
    control_plane: ControlPlane, relay: TestRelay
) -> None:
    results = list[str]()
    for sender in control_plane.mail_senders:
        sender.on_result = results.append
    replies = {"jane": "550 no", "joe": "450 later", "ann": None}
    relay.on_recipient = lambda address: replies[address.partition("@")[0]]
    for name in replies:
        request_links(control_plane, name)
        send_all(control_plane)
    unusual = checked_user("=?a?q?=2c?=?=@example.com")
    control_plane.batches.create(OPERATOR, "unusual", [unusual], "fail", mail_links=True)
    control_plane.password_resets.request("ann@example.com", "192.0.2.1")
    send_all(control_plane)
    assert results == ["failed", "retried", "sent", "sent", "failed"]


def test_a_relay_that_quotes_a_link_leaves_no_secret_in_the_outbox(
    control_plane: ControlPlane, relay: TestRelay
) -> None:
    quoted = []

    def refuse(text: str) -> str:
        quoted.append(secret_of(text))
        return f"554 5.7.1 a bad link: https://accounts.example.com/set-password#{quoted[0]}"

    relay.on_data = refuse
    request_links(control_plane, "jane")
    send_all(control_plane)
    [failed] = mails(control_plane, "failed")
    assert (failed.last_error or "").startswith("554 5.7.1 a bad link: ")
    assert quoted[0][8:] not in (failed.last_error or "")


def test_a_mail_that_is_deferred_is_sent_again_later_with_another_link(
    control_plane: ControlPlane, relay: TestRelay
) -> None:
    codes = []

    def defer(text: str) -> str | None:
        codes.append(text)
        return "451 4.7.1 greylisted" if len(codes) == 1 else None

    relay.on_data = defer
    request_links(control_plane, "jane")
    send_all(control_plane)
    [due] = mails(control_plane)
    assert due.last_error == "451 4.7.1 greylisted"
    assert due.next_at - due.created_at >= MINUTE_MS
    pass_time(control_plane, MINUTE_MS)
    send_all(control_plane)
    [mail] = relay.received
    assert mail.code not in codes[0]


def test_a_deferred_mail_comes_between_no_others(
    control_plane: ControlPlane, relay: TestRelay
) -> None:
    relay.on_recipient = lambda address: "450 later" if address.startswith("jane") else None
    request_links(control_plane, "jane", "joe", "ann")
    send_all(control_plane)
    assert {mail.recipients[0] for mail in relay.received} == {"joe@example.com", "ann@example.com"}


def test_a_relay_that_says_503_after_an_error_fails_no_mail(
    control_plane: ControlPlane, relay: TestRelay
) -> None:
    replies = iter(["450 try later", "503 nested MAIL command"])
    relay.on_recipient = lambda _: next(replies, None)
    request_links(control_plane, "jane", "joe", "ann")
    send_all(control_plane)
    assert mails(control_plane, "failed") == []
    pass_time(control_plane, MINUTE_MS)
    send_all(control_plane)
    assert len(relay.received) == 3


def test_a_mail_fails_with_the_last_reason_after_three_days(
    control_plane: ControlPlane, relay: TestRelay
) -> None:
    relay.on_recipient = lambda _: "452 mailbox full"
    request_links(control_plane, "jane")
    for _ in range(100):
        send_all(control_plane)
        for due in mails(control_plane):
            with control_plane.store.read() as tx:
                pass_time(control_plane, due.next_at - tx.now())
    [failed] = mails(control_plane, "failed")
    assert failed.last_error == "452 mailbox full"
    assert failed.attempts > 20


def test_a_mail_of_a_restored_backup_is_not_sent(
    control_plane: ControlPlane, relay: TestRelay
) -> None:
    request_links(control_plane, "jane")
    pass_time(control_plane, 3 * DAY_MS)
    send_all(control_plane)
    [failed] = mails(control_plane, "failed")
    assert (relay.received, failed.attempts) == ([], 0)
    assert "too old" in (failed.last_error or "")


# The connection


def test_one_connection_takes_all_mails_that_are_due(
    control_plane: ControlPlane, relay: TestRelay
) -> None:
    before = relay.connections
    request_links(control_plane, "jane", "joe", "ann")
    send_all(control_plane)
    assert relay.connections - before == 1


def test_a_relay_that_is_not_there_costs_an_attempt_and_is_named(
    store_deployment: Deployment, relay: TestRelay
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
    settings = structs.replace(relay.settings(), port=port)
    with control_plane_with(store_deployment, settings) as control_plane:
        request_links(control_plane, "jane")
        send_all(control_plane)
        [due] = mails(control_plane)
    assert due.last_error == f"127.0.0.1:{port}: Connection refused"


@pytest.fixture(scope="module")
def localhost(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return create_certificate(tmp_path_factory.mktemp("localhost"), "localhost", 2)


@pytest.fixture(scope="module")
def other_host(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return create_certificate(tmp_path_factory.mktemp("other"), "mail.example.com", 2)


def server_context(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@pytest.mark.parametrize("tls", ["tls", "starttls"])
@pytest.mark.parametrize("case", ["right", "of another host", "of another authority"])
def test_a_mail_is_sent_only_to_a_relay_with_a_valid_certificate(
    store_deployment: Deployment,
    monkeypatch: pytest.MonkeyPatch,
    localhost: Path,
    other_host: Path,
    tls: str,
    case: str,
) -> None:
    certificate = other_host if case == "of another host" else localhost
    monkeypatch.setenv("SSL_CERT_FILE", str(other_host if case != "right" else certificate))
    context = server_context(certificate)
    is_tls = tls == "tls"
    with running_relay(
        tls=context if is_tls else None, starttls=None if is_tls else context
    ) as relay:
        mail = relay.settings(host="localhost", tls=tls)
        with control_plane_with(store_deployment, mail) as control_plane:
            request_links(control_plane, "jane")
            send_all(control_plane)
            assert len(relay.received) == (case == "right")
            reasons = [due.last_error or "" for due in mails(control_plane)]
    assert all("the certificate of the relay is not valid" in reason for reason in reasons)
    assert len(reasons) == (case != "right")


@pytest.mark.parametrize("password", [RELAY_PASSWORD, "wrong"])
def test_a_relay_that_authenticates_takes_mails_with_the_right_password(
    store_deployment: Deployment,
    monkeypatch: pytest.MonkeyPatch,
    localhost: Path,
    password: str,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(localhost))
    with running_relay(starttls=server_context(localhost), authenticates=True) as relay:
        mail = relay.settings(host="localhost", tls="starttls", user=USER, password=password)
        with control_plane_with(store_deployment, mail) as control_plane:
            request_links(control_plane, "jane")
            send_all(control_plane)
            reasons = [due.last_error or "" for due in mails(control_plane)]
    assert len(relay.received) == (password == RELAY_PASSWORD)
    # The operator can mend it, so the mail is tried again.
    assert [": 535 " in reason for reason in reasons] == [True] * (password == "wrong")
    assert "wrong" not in str(reasons)


@pytest.mark.parametrize("utf8", [True, False])
def test_an_address_in_another_script_needs_smtputf8_and_fails_with_that_reason(
    store_deployment: Deployment, utf8: bool
) -> None:
    with running_relay(utf8=utf8) as relay:
        with control_plane_with(store_deployment, relay.settings()) as control_plane:
            users = [checked_user("jörg@example.com"), checked_user("jane@müller.example.com")]
            for user in users:
                control_plane.batches.create(OPERATOR, user.email, [user], "fail")
            found = control_plane.users.find([user.email for user in users])
            control_plane.links.mail(OPERATOR, [user.user_id for user in found if user])
            send_all(control_plane)
            reasons = [failed.last_error or "" for failed in mails(control_plane, "failed")]
        recipients = sorted(mail.recipients[0] for mail in relay.received)
    # A domain has an ASCII form, which each relay takes.
    assert recipients == ["jane@xn--mller-kva.example.com", "jörg@example.com"][: 1 + utf8]
    assert [("SMTPUTF8" in reason) for reason in reasons] == [True] * (not utf8)


@pytest.mark.parametrize("lines", [1, 2, 3, 4, 5])
def test_a_relay_that_hangs_is_cut_off_when_the_server_stops_and_the_mail_stays(
    store_deployment: Deployment, relay: TestRelay, lines: int
) -> None:
    with closing(SilentRelay(lines)) as silent:
        settings = relay.settings(port=silent.port)
        with control_plane_with(store_deployment, settings) as control_plane:
            request_links(control_plane, "jane")
            sender = sender_of(control_plane)
            thread = threading.Thread(target=sender.send_next, daemon=True)
            thread.start()
            assert silent.is_silent.wait(30)
            sender.watch()
            sender.abort()
            thread.join(30)
            assert not thread.is_alive()
            [due] = mails(control_plane)
    assert (due.state, due.attempts) == ("due", 1)
