"""The messages, and when a mail is tried again."""

from email import message_from_bytes, message_from_string, policy
from email.header import decode_header, make_header
from email.message import EmailMessage

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from anyscale.domain.emails import email_key
from anyscale.server.core.link_secrets import new_link_secret, secret_of, without_secrets
from anyscale.server.core.mail.kinds import KINDS, pause
from anyscale.server.core.mail.messages import Composer, Letter, mail_address
from anyscale.server.core.time_units import DAY_MS, HOUR_MS, MINUTE_MS

ADDRESS = "https://accounts.example.com"
KIND = "set_password_link"


def compose(organization: str = "", **fields: object) -> bytes:
    values: dict[str, object] = {
        "mail_id": "eml_1",
        "attempt": 2,
        "kind": KIND,
        "address": "jane@example.com",
        "at": 0,
        "code": "mrl_" + "a" * 43,
        "expires_at": 90_000_000,
    }
    composer = Composer("accounts@example.com", organization, ADDRESS, f"{ADDRESS}/set-password")
    return composer.compose(Letter(**(values | fields)))  # type: ignore[arg-type]  # any fields


def received(message: bytes) -> EmailMessage:
    """Return a message as a mail program reads it, with its headers in UTF-8 (RFC 6532)."""
    parsed = message_from_string(message.decode(), policy=policy.default)
    assert isinstance(parsed, EmailMessage)
    return parsed


def text_of(message: bytes) -> str:
    content: str = received(message).get_content()
    return content.replace("\r\n", "\n")


def test_a_message_says_who_sends_it_when_and_that_a_program_did() -> None:
    message = received(compose())
    headers = {name: message[name] for name in ("From", "To", "Date", "Message-ID")}
    assert headers == {
        "From": "accounts@example.com",
        "To": "jane@example.com",
        "Date": "Thu, 01 Jan 1970 00:00:00 +0000",
        "Message-ID": "<eml_1.2@accounts.example.com>",
    }
    assert message["Auto-Submitted"] == "auto-generated"
    assert message.get_content_type() == "text/plain"


def test_only_an_address_lets_a_message_have_other_letters_than_ascii() -> None:
    message = compose("Universität zu Köln")
    assert message.isascii()
    assert b"\n" not in message.replace(b"\r\n", b"")
    assert "\r\nTo: jörg@example.com\r\n".encode() in compose(address="jörg@example.com")


def test_a_sender_whose_domain_alone_has_other_letters_gives_a_message_in_ascii() -> None:
    composer = Composer("konten@müller.example", "Müller & Söhne", ADDRESS, "")
    letter = Letter(mail_id="eml_1", attempt=1, kind=KIND, address="jane@example.com", at=0)
    message = composer.compose(letter)
    assert message.isascii()
    assert b" <konten@xn--mller-kva.example>\r\n" in message


@pytest.mark.parametrize(
    ("host", "domain"),
    [
        ("accounts.example.com", "accounts.example.com"),
        ("127.0.0.1", "[127.0.0.1]"),
        ("[::1]", "[IPv6:::1]"),
        ("[2001:DB8::1]", "[IPv6:2001:db8::1]"),
    ],
)
def test_an_ip_address_stands_in_brackets_in_a_message_id(host: str, domain: str) -> None:
    composer = Composer("accounts@example.com", "", f"http://{host}:8080", "")
    letter = Letter(mail_id="eml_1", attempt=1, kind=KIND, address="jane@example.com", at=0)
    assert f"Message-ID: <eml_1.1@{domain}>\r\n".encode() in composer.compose(letter)


@pytest.mark.parametrize(
    ("lifetime", "words"),
    [
        (HOUR_MS, "for one hour"),
        (23 * HOUR_MS, "for 23 hours"),
        (DAY_MS, "until Thursday, 3 December"),
        (7 * DAY_MS, "until Wednesday, 9 December"),
        (60 * DAY_MS, "until Sunday, 31 January 2027"),
    ],
)
def test_a_mail_says_how_long_its_link_works_without_a_zone(lifetime: int, words: str) -> None:
    at = 1_796_241_780_000  # 2 December 2026, 19:03 UTC
    text = text_of(compose(at=at, expires_at=at + lifetime))
    assert f"The link works once, {words}.\n" in text
    assert "UTC" not in text


@pytest.mark.parametrize("kind", KINDS)
def test_no_line_of_a_template_is_broken(kind: str) -> None:
    lines = compose(kind=kind).partition(b"\r\n\r\n")[2].split(b"\r\n")
    assert [line for line in lines if line.endswith(b"=") and b"set-password" not in line] == []


def test_a_sender_with_other_letters_than_ascii_stands_as_it_is() -> None:
    composer = Composer("büro@example.com", "Köln", ADDRESS, "")
    letter = Letter(mail_id="eml_1", attempt=1, kind=KIND, address="jane@example.com", at=0)
    assert composer.compose(letter).startswith("From: Köln <büro@example.com>\r\n".encode())


@pytest.mark.parametrize("organization", ["", "Universität zu Köln, Institut für Äpfel"])
def test_link_and_code_are_whole_lines_of_the_decoded_text(organization: str) -> None:
    code = new_link_secret()
    lines = text_of(compose(organization, code=code)).splitlines()
    at = lines.index(f"{ADDRESS}/set-password#{code}")
    assert lines.index(code) > at
    assert "The link works once, until Friday, 2 January." in lines
    assert organization in "\n".join(lines)
    # By the older parser: the newer one leaves blanks between the parts of a long name.
    sender = message_from_bytes(compose(organization))["From"]
    expected = f"{organization} <accounts@example.com>" if organization else "accounts@example.com"
    assert str(make_header(decode_header(sender))) == expected


@pytest.mark.parametrize("kind", KINDS)
def test_no_header_has_a_secret_and_each_text_names_its_address(kind: str) -> None:
    message = compose("An Organization", kind=kind)
    assert "mrl_" not in str(received(message).items())
    assert "jane@example.com" in text_of(message)
    assert "An Organization (accounts.example.com)" in text_of(message)
    assert bool(secret_of(text_of(message))) == bool(KINDS[kind].link)
    assert "$" not in text_of(message)


@pytest.mark.parametrize(
    "address",
    ["jane@example.com\r\nBcc: all@example.com", "jane@example.com\nX: y", "jane@exa\rmple.com"],
)
def test_no_address_adds_a_header(address: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - of whichever part notices it first
        compose(address=address)


def test_an_address_is_one_recipient_whatever_it_looks_like() -> None:
    for address in ("o'neil+a@example.com", "jörg@example.com", "jane@müller.example.com"):
        assert len(received(compose(address=address))["To"].addresses) == 1


def test_a_mail_is_tried_again_after_one_two_four_and_at_most_180_minutes() -> None:
    minutes = [pause(attempts) // MINUTE_MS for attempts in range(1, 12)]
    assert minutes == [1, 2, 4, 8, 16, 32, 64, 128, 180, 180, 180]
    assert pause(10**9) == 180 * MINUTE_MS


@pytest.mark.parametrize("shape", ["{}", "https://x/#{}?", "urldefense mrl-5F{}", "mrl=5F{}="])
def test_the_words_of_a_relay_keep_no_secret(shape: str) -> None:
    secret = new_link_secret()
    text = without_secrets(f"554 spam: {shape.format(secret)}")
    assert "554 spam" in text
    assert secret[10:] not in text


#: texts that mean something in a header (RFC 2047 and RFC 5322), and letters
PARTS = st.sampled_from([*"aZ9.=?+-_!%&'*/^`{|}~#$üß中", "=?", "?=", "?q?", "utf-8", "=0d=0a"])


@given(st.lists(PARTS, min_size=1, max_size=9).map("".join))
@example("=?utf-8?q?=0d=0aBcc=3a_x?=")
@example("=?a?q?=2c?=?=")
def test_a_message_goes_to_the_one_address_of_an_account_or_is_refused(local: str) -> None:
    email = f"{local}@example.com"
    try:
        email_key(email)
    except ValueError:
        assume(False)
    if "=?" in email:
        with pytest.raises(ValueError, match="encoded word"):
            compose(address=email)
        return
    [to] = received(compose(address=email))["To"].addresses
    assert to.addr_spec == mail_address(email)
