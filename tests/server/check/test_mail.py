"""`anyscale server check` on mail."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.commands.check_results import check_in_process
from tests.support.mail.faulty_relay import CUT, FaultyRelay, faulty_relay
from tests.support.mail.mail_site import relay_environment

from anyscale.server.check.run import CheckResult, run_checks
from anyscale.server.core.mail.relay import Relay
from anyscale.server.core.mail.settings import MailSettings


@pytest.fixture
def relay() -> Iterator[FaultyRelay]:
    with faulty_relay() as relay:
        yield relay


@pytest.fixture
def environment(relay: FaultyRelay) -> dict[str, str]:
    return relay_environment(relay.port, "none")


def delivery(environment: dict[str, str], address: str) -> CheckResult:
    checks = run_checks(environment, Path("/nowhere"), only="mail.delivery", mail_to=address)
    return next(iter(checks))


def test_a_relay_that_takes_mails_gets_none(
    relay: FaultyRelay, environment: dict[str, str]
) -> None:
    results = check_in_process(environment, "mail")
    assert {one.check: one.status for one in results.values()} == {
        "mail.relay": "ok",
        "mail.sender": "ok",
        "mail.delivery": "not tried",
    }
    assert relay.accepted == []
    assert [words.partition(" ")[0].upper() for _, words in relay.commands] == [
        *("EHLO", "MAIL", "RCPT", "QUIT"),
    ]


@pytest.mark.parametrize(
    ("at", "reply", "found"),
    [
        ("greeting", "554 go away", "554 go away"),
        ("EHLO", "550 not you", "550 not you"),
        ("MAIL", "553 not from here", "553 not from here"),
        ("RCPT", "550 no such user", "the relay refuses it: 550 no such user"),
        ("RCPT", "450 later", "450 later"),
        ("RCPT", "450 " + "x" * 301, "450 " + "x" * 300),
        ("EHLO", CUT, "Connection unexpectedly closed"),
    ],
)
def test_what_a_relay_says_is_shown(
    relay: FaultyRelay, environment: dict[str, str], at: str, reply: str, found: str
) -> None:
    relay.faults = {at: reply, "HELO": reply}
    result = check_in_process(environment, "mail.relay")["mail.relay"]
    assert (result.status, result.found) == ("fail", found)
    assert result.looked_at == f"localhost:{relay.port}"
    assert result.fix


def test_a_sender_with_other_letters_than_ascii_needs_an_extension(
    relay: FaultyRelay, environment: dict[str, str]
) -> None:
    changed = environment | {"ANYSCALE_MAIL_FROM": "b\u00fcro@example.com"}
    assert check_in_process(changed, "mail.relay")["mail.relay"].status == "ok"
    relay.extensions = []
    result = check_in_process(changed, "mail.relay")["mail.relay"]
    assert (result.status, result.found) == ("fail", "SMTPUTF8 not supported by server")


def test_a_relay_that_is_down_is_named(environment: dict[str, str]) -> None:
    result = check_in_process(environment | {"ANYSCALE_SMTP_PORT": "1"}, "mail.relay")
    assert result["mail.relay"].found == "Connection refused"


@pytest.mark.parametrize(
    ("extension", "changes"),
    [
        ("AUTH CRAM-MD5", {"ANYSCALE_SMTP_USER": "u"}),
        ("", {"ANYSCALE_SMTP_HOST": "a" * 64 + ".example.com", "ANYSCALE_SMTP_TLS": "tls"}),
    ],
)
def test_what_smtp_cannot_say_is_a_finding(
    relay: FaultyRelay,
    environment: dict[str, str],
    tmp_path: Path,
    extension: str,
    changes: dict[str, str],
) -> None:
    password = tmp_path / "password"
    password.touch(0o600)
    password.write_text("password")
    relay.faults = {"EHLO": f"250-relay\r\n250 {extension}", "AUTH": "334 a"}
    changed = environment | {"ANYSCALE_SMTP_PASSWORD_FILE": str(password)} | changes
    if "ANYSCALE_SMTP_USER" not in changes:
        del changed["ANYSCALE_SMTP_PASSWORD_FILE"]
    result = check_in_process(changed, "mail.relay")["mail.relay"]
    assert (result.status, "cannot be used in SMTP" in result.found) == ("fail", True), result
    assert result.fix


def test_a_mail_is_sent_on_request(relay: FaultyRelay, environment: dict[str, str]) -> None:
    result = delivery(environment, "ops@example.com")
    assert (result.status, result.looked_at) == ("ok", f"localhost:{relay.port}")
    [mail] = relay.accepted
    assert mail.recipient == "ops@example.com"
    assert "ops@example.com" in mail.text


def test_a_mail_to_no_email_is_not_sent(relay: FaultyRelay, environment: dict[str, str]) -> None:
    assert delivery(environment, "ops").found == "it is not an email"
    assert relay.accepted == []


def test_a_sender_of_another_domain_is_a_warning(environment: dict[str, str]) -> None:
    other = environment | {"ANYSCALE_MAIL_FROM": "accounts@example.org"}
    result = check_in_process(other, "mail.sender")["mail.sender"]
    assert result.status == "warn"
    assert "another domain than accounts.example.com" in result.found


def test_without_a_relay_nothing_is_tried() -> None:
    results = check_in_process({}, "mail")
    assert {one.status for one in results.values()} == {"not tried"}


def test_a_probe_leaves_the_connection_usable(relay: FaultyRelay) -> None:
    settings = MailSettings(
        host="localhost", port=relay.port, tls="none", sender="accounts@example.com"
    )
    connection = Relay(settings, "accounts.example.com")
    for _ in range(2):
        connection.probe("jane@example.com")
    connection.close()
    assert relay.connections == 1
