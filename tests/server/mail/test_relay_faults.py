"""A relay that hangs, cuts the connection, or is another one: requests are answered meanwhile."""

import time
from base64 import b64encode
from collections.abc import Iterator
from datetime import timedelta
from itertools import count, pairwise
from pathlib import Path

import pytest
from tests.support.mail.faulty_relay import CUT, HANG, REPLIES, FaultyRelay, faulty_relay
from tests.support.mail.mail_site import MailSite, relay_environment
from tests.support.mail.relays import RELAY_PASSWORD, USER
from tests.support.servers.authority import CertificateAuthority
from tests.support.waiting import wait_until

#: seconds in which a server has to stop, whatever its relay does
MOST_SECONDS_TO_STOP = 20

_numbers = count()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> CertificateAuthority:
    return CertificateAuthority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def module_relay(authority: CertificateAuthority) -> Iterator[FaultyRelay]:
    with faulty_relay(USER, RELAY_PASSWORD) as relay:
        relay.certificate = str(authority.issue("localhost"))
        yield relay


@pytest.fixture(scope="module")
def module_site(
    authority: CertificateAuthority,
    module_relay: FaultyRelay,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[MailSite]:
    folder = tmp_path_factory.mktemp("site")
    password = folder / "password"
    password.touch(0o600)
    password.write_text(RELAY_PASSWORD)
    environment = relay_environment(
        module_relay.port, "starttls", SMTP_USER=USER, SMTP_PASSWORD_FILE=str(password)
    )
    with MailSite(folder, environment | {"SSL_CERT_FILE": str(authority.certificate)}) as site:
        yield site


@pytest.fixture
def relay(module_relay: FaultyRelay, authority: CertificateAuthority) -> FaultyRelay:
    """A relay without faults, and without mails."""
    module_relay.release()
    module_relay.certificate = str(authority.issue("localhost"))
    module_relay.accepted.clear()
    module_relay.commands.clear()
    return module_relay


@pytest.fixture
def site(module_site: MailSite, relay: FaultyRelay) -> Iterator[MailSite]:
    """A server that uses it, and has no mail that is due."""
    certificate = relay.certificate
    yield module_site
    relay.certificate = certificate
    relay.release()
    module_site.wait_until_sent()
    # A connection that is still open would be used once more, without a greeting and EHLO.
    wait_until(lambda: not relay.commands or relay.commands[-1][1] == "quit")


def new_email() -> str:
    return f"user{next(_numbers)}@example.com"


@pytest.mark.parametrize("at", REPLIES)
def test_a_relay_that_hangs_delays_no_request_and_no_stop(
    site: MailSite, relay: FaultyRelay, at: str
) -> None:
    email = new_email()
    relay.faults = {at: HANG}
    site.request_links(email)
    assert relay.hangs.wait(30)
    site.responds()
    start = time.monotonic()
    assert site.server.stop() == 0
    assert time.monotonic() - start < MOST_SECONDS_TO_STOP
    relay.release()
    site.server.start()
    site.wait_until_sent()
    mails = [mail for mail in relay.accepted if mail.recipient == email]
    # The reply to the first one was lost: nobody can know that it was accepted.
    assert len(mails) == (2 if at == "end of data" else 1)
    assert site.link_works(mails[-1].code)


@pytest.mark.parametrize("at", [reply for reply in REPLIES if reply != "QUIT"])
def test_a_connection_that_is_cut_loses_no_mail(
    site: MailSite, relay: FaultyRelay, at: str
) -> None:
    email = new_email()
    relay.faults = {at: CUT}
    site.request_links(email)
    assert f"localhost:{relay.port}" in site.error_of(email)
    relay.release()
    site.wait_until_sent()
    mails = [mail for mail in relay.accepted if mail.recipient == email]
    assert len({mail.message_id for mail in mails}) == len(mails)
    assert at == "end of data" or len(mails) == 1
    assert [site.link_works(mail.code) for mail in mails][-1:] == [True]
    assert not any(site.link_works(mail.code) for mail in mails[:-1])


@pytest.mark.parametrize(
    ("case", "advice"),
    [
        ("of another host", "use the host name that the certificate is for"),
        ("of nobody", "SSL_CERT_FILE"),
        ("expired", "renew it"),
    ],
)
def test_a_relay_with_a_wrong_certificate_gets_neither_a_mail_nor_the_password(
    site: MailSite,
    relay: FaultyRelay,
    authority: CertificateAuthority,
    tmp_path: Path,
    case: str,
    advice: str,
) -> None:
    certificates = {
        "of another host": lambda: authority.issue("relay.example.com"),
        "of nobody": lambda: CertificateAuthority(tmp_path).issue("localhost"),
        "expired": lambda: authority.issue("localhost", expires_in=timedelta(days=-1)),
    }
    email = new_email()
    relay.certificate = str(certificates[case]())
    relay.commands.clear()
    site.request_links(email)
    error = site.error_of(email)
    assert "the certificate of the relay is not valid" in error
    assert advice in error
    assert {line.split()[0].upper() for _, line in relay.commands} == {"EHLO", "STARTTLS"}
    assert relay.accepted == []


def test_an_encryption_that_the_relay_does_not_offer_is_not_left_out(
    site: MailSite, relay: FaultyRelay
) -> None:
    email = new_email()
    relay.faults = {"EHLO": "250 relay"}
    site.request_links(email)
    assert "STARTTLS" in site.error_of(email)
    assert {line.split()[0].upper() for _, line in relay.commands} <= {"EHLO", "QUIT"}


def test_the_mail_after_a_deferred_one_follows_a_reset_on_the_same_connection(
    site: MailSite, relay: FaultyRelay
) -> None:
    emails = [new_email() for _ in range(3)]
    relay.faults = {"RCPT": "450 4.2.0 later"}
    site.request_links(*emails)
    assert [site.error_of(email) for email in emails] == ["450 4.2.0 later"] * 3
    relay.release()
    site.wait_until_sent()
    assert sorted(mail.recipient for mail in relay.accepted) == sorted(emails)
    for connection in {number for number, _ in relay.commands}:
        lines = [line.split()[0].upper() for number, line in relay.commands if number == connection]
        starts = [at for at, line in enumerate(lines) if line == "MAIL"]
        assert all("RSET" in lines[one:other] for one, other in pairwise(starts))


def test_the_password_of_the_relay_is_in_no_log(site: MailSite, relay: FaultyRelay) -> None:
    email = new_email()
    sent = b64encode(f"\0{USER}\0{RELAY_PASSWORD}".encode()).decode()
    relay.faults = {"AUTH": f"535 5.7.8 {RELAY_PASSWORD} of {sent} is wrong"}
    site.request_links(email)
    assert "535" in site.error_of(email)
    wait_until(lambda: "535" in site.server.log.read_text())
    written = site.server.log.read_text() + "".join(mail.last_error or "" for mail in site.mails())
    assert RELAY_PASSWORD not in written
    assert sent not in written
