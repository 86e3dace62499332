"""Mails by relays of others: Postfix and OpenSMTPD, as Debian has them."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.mail.debian_relays import OpenSmtpd, Postfix, policy_service
from tests.support.mail.mail_site import MailSite, relay_environment
from tests.support.mail.relays import RELAY_PASSWORD, USER
from tests.support.servers.authority import CertificateAuthority

EMAILS = [f"user{i}@example.com" for i in range(12)]

DOMAIN_OF_ANOTHER_SCRIPT = "jane@müller.example.com"
NAME_OF_ANOTHER_SCRIPT = "jörg@example.com"

#: of a line of text, with its end (RFC 5321, section 4.5.3.1.6)
MOST_OCTETS_OF_A_LINE = 1000


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> CertificateAuthority:
    return CertificateAuthority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def certificate(authority: CertificateAuthority) -> Path:
    return authority.issue("localhost")


class Greylist:
    """Defers the first mails to each address, and refuses one address for good."""

    def __init__(self) -> None:
        self.tries: Counter[str] = Counter()

    def __call__(self, recipient: str) -> str:
        self.tries[recipient] += 1
        if recipient.startswith("nobody@"):
            return "reject 5.1.1 there is nobody here"
        is_new = recipient.startswith("new") and self.tries[recipient] <= 2
        return "defer_if_permit greylisted" if is_new else "dunno"


@pytest.fixture(scope="module")
def postfix(certificate: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postfix]:
    """Postfix with a greylist."""
    folder = tmp_path_factory.mktemp("postfix")
    with policy_service(Greylist()) as port, Postfix(folder, certificate, port) as relay:
        yield relay


@pytest.fixture
def environment(authority: CertificateAuthority) -> dict[str, str]:
    return {"SSL_CERT_FILE": str(authority.certificate)}


def test_postfix_takes_mails_over_starttls_and_those_that_it_defers_later(
    postfix: Postfix, tmp_path: Path, environment: dict[str, str]
) -> None:
    deferred = [f"new{i}@example.com" for i in range(3)]
    # With other letters than ASCII, a body is encoded, and long lines are broken.
    settings = relay_environment(postfix.port, "starttls", ORGANIZATION="Müller & 山田")
    with MailSite(tmp_path, environment | settings) as site:
        # In turns: the mail after a deferred one comes on the same connection.
        site.request_links(
            *(email for pair in zip(deferred, EMAILS, strict=False) for email in pair)
        )
        site.request_links("nobody@example.com", NAME_OF_ANOTHER_SCRIPT, DOMAIN_OF_ANOTHER_SCRIPT)
        site.wait_until_sent()
        [failed] = site.mails("failed")
        mails = postfix.wait_for(8)
        assert all(site.link_works(mail.code) for mail in mails)
    assert failed.last_error
    assert failed.last_error.startswith(
        "554 5.1.1 <nobody@example.com>: Recipient address rejected"
    )
    assert sorted(mail.recipient for mail in mails) == sorted(
        [*deferred, *EMAILS[:3], NAME_OF_ANOTHER_SCRIPT, "jane@xn--mller-kva.example.com"]
    )
    log = postfix.log.read_text()
    assert log.count("450 4.7.1") == 6  # three mails, twice each
    assert " 503 " not in log
    for mail in mails:
        link = f"https://accounts.example.com/set-password#{mail.code}"
        assert link.encode() not in mail.octets
        assert "\nat Müller & 山田 (accounts.example.com):\n" in mail.text
        assert f"\n{link}\n" in mail.text
        assert f"\n{mail.code}\n" in mail.text
        assert max(map(len, mail.octets.splitlines(keepends=True))) < MOST_OCTETS_OF_A_LINE


def test_postfix_that_is_killed_loses_nothing_and_the_server_waits_for_it(
    postfix: Postfix, tmp_path: Path, environment: dict[str, str]
) -> None:
    with MailSite(tmp_path, environment | relay_environment(postfix.port, "starttls")) as site:
        before = len(postfix.mails)
        postfix.kill()
        site.request_links(*EMAILS)
        assert "Connection refused" in site.error_of(EMAILS[0])
        site.responds()
        postfix.start()
        site.wait_until_sent()
        mails = postfix.wait_for(before + len(EMAILS))[before:]
        assert sorted(mail.recipient for mail in mails) == sorted(EMAILS)
        assert all(site.link_works(mail.code) for mail in mails)


@pytest.fixture
def opensmtpd(tmp_path: Path, certificate: Path) -> Iterator[OpenSmtpd]:
    with OpenSmtpd(tmp_path / "opensmtpd", certificate, USER, RELAY_PASSWORD) as relay:
        yield relay


def test_opensmtpd_takes_mails_over_tls_with_the_right_password_only(
    opensmtpd: OpenSmtpd, tmp_path: Path, environment: dict[str, str]
) -> None:
    file = tmp_path / "password"
    file.touch(0o600)
    file.write_text("a wrong password")
    settings = relay_environment(
        opensmtpd.port, "tls", SMTP_USER=USER, SMTP_PASSWORD_FILE=str(file)
    )
    with MailSite(tmp_path, environment | settings) as site:
        site.request_links(EMAILS[0])
        assert "535 Authentication failed" in site.error_of(EMAILS[0])
        assert opensmtpd.mails == []
        assert site.server.stop() == 0
        file.write_text(RELAY_PASSWORD)
        site.server.start()
        site.request_links(*EMAILS[1:], NAME_OF_ANOTHER_SCRIPT, DOMAIN_OF_ANOTHER_SCRIPT)
        site.wait_until_sent()
        [failed] = site.mails("failed")
        mails = opensmtpd.wait_for(len(EMAILS) + 1)
        assert all(site.link_works(mail.code) for mail in mails)
        log = site.server.log.read_text()
    assert sorted(mail.recipient for mail in mails) == sorted(
        [*EMAILS, "jane@xn--mller-kva.example.com"]
    )
    assert failed.last_error
    assert "SMTPUTF8" in failed.last_error  # which OpenSMTPD does not have
    assert "535" in log
    for secret in ("a wrong password", RELAY_PASSWORD):
        assert secret not in log
