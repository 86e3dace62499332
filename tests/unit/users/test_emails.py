"""The validation of email addresses, and the key by which they are unique."""

import re
import socket
import unicodedata
from typing import NoReturn

import email_validator
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from anyscale.domain import emails
from anyscale.domain.emails import MAX_OCTETS, email_key

RESERVED = sorted(email_validator.SPECIAL_USE_DOMAIN_NAMES)


def is_address(email: str) -> bool:
    """Whether this package accepts an address."""
    try:
        email_key(email)
    except ValueError:
        return False
    return True


def validator_takes(email: str) -> bool:
    """Whether email-validator accepts it, with special-use domains allowed and without DNS."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(email_validator, "SPECIAL_USE_DOMAIN_NAMES", [])
        try:
            email_validator.validate_email(email, check_deliverability=False)
        except email_validator.EmailNotValidError:
            return False
    return True


def joined(alphabet: str, by: str) -> st.SearchStrategy[str]:
    return st.lists(st.text(alphabet, min_size=1, max_size=8), min_size=1, max_size=3).map(by.join)


LETTERS = "abzABZ"
ALNUM = LETTERS + "019"
plain = st.tuples(
    joined(ALNUM + "!#$%&'*+/=?^_`{|}~-", "."),
    st.lists(joined(ALNUM, "-"), min_size=1, max_size=3).map(".".join),
    st.text(LETTERS, min_size=1, max_size=8),
).map(lambda parts: f"{parts[0]}@{parts[1]}.{parts[2]}")


@given(plain)
@example("a@b.c")
@example("!#$%&'*+/=?^_`{|}~-@0.a")
@example("a@b-c-d.0-0.x")
def test_the_quick_pattern_accepts_nothing_that_email_validator_refuses(email: str) -> None:
    assert emails._is_plain(email)
    assume(len(email) <= emails._SHORT)

    assert validator_takes(email)


addresses = st.sampled_from(
    [
        *("jane@example.com", "o'neil+tag@sub.example.org", "jane@corp.local", "J@BÜCHER.example"),
        *("用户@例え.jp", "a@xn--bcher-kva.com", "x@1.2.com", "e\u0301@example.com", "a@b.test"),
        *("jane@straße.de", "jane@a.b.c.d.e.f", "jane@host.internal", "root@localhost.localdomain"),
    ]
)
pieces = st.sampled_from(
    [
        *"@.-_ \"'(),:;<>[]\\\t\nAß\uff10。é",
        "xn--",
        "..",
        "--",
        "\u0301",
        "\u200d",
        "\0",
        "\ud800",
        "\u0661",
    ]
)


@given(address=addresses, data=st.data())
def test_a_mutated_address_is_accepted_only_if_email_validator_accepts_it(
    address: str, data: st.DataObject
) -> None:
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(address)))
        cut = data.draw(st.integers(0, 2))
        address = address[:at] + data.draw(pieces) + address[at + cut :]
    if len(address.encode("utf-8", "surrogatepass")) > MAX_OCTETS:
        return

    if is_address(address):
        assert validator_takes(address)


@given(address=addresses, data=st.data())
def test_an_address_that_email_validator_accepts_is_accepted(
    address: str, data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(address)))
    mutated = (
        address[:at] + data.draw(st.sampled_from([".", "-", "a", "é", "0", "A"])) + address[at:]
    )

    assert is_address(mutated) == validator_takes(mutated)


@given(st.text(max_size=40) | st.text("a.-@é\u0301", max_size=300))
def test_every_text_has_a_key_or_is_not_an_address(text: str) -> None:
    if is_address(text):
        key = email_key(text)
        assert is_address(key)
        assert email_key(key) == key


@pytest.mark.parametrize(
    "email",
    [
        *("jane@corp.local", "jane@host.test", "jane@x.invalid", "jane@sub.corp.internal"),
        *("jane@router.home.arpa", "jane@CORP.LOCAL", "jané@corp.local", "jane@bücher.local"),
    ],
)
def test_internal_domains_are_accepted(email: str) -> None:
    assert is_address(email)


@pytest.mark.parametrize("name", RESERVED)
def test_every_special_use_domain_is_accepted_by_both_checks(name: str) -> None:
    assert email_key(f"Jane@Host.{name}") == f"jane@host.{name}"
    assert email_key(f"Jané@Host.{name}") == f"jané@host.{name}"


def test_the_process_wide_list_of_special_use_names_is_not_changed() -> None:
    before = list(email_validator.SPECIAL_USE_DOMAIN_NAMES)

    email_key("jané@corp.local")

    assert before == email_validator.SPECIAL_USE_DOMAIN_NAMES


@pytest.mark.parametrize(
    "mark",
    [
        *("\u00ad", "\u034f", "\u115f", "\u1160", "\u17b4", "\u17b5", "\u180b", "\u180f", "\u200b"),
        *("\u200d", "\u2060", "\u2064", "\u2800", "\u3164", "\ufe00", "\ufe0f", "\ufeff", "\uffa0"),
        *("\U0001d173", "\U000e0100", "\U000e0fff"),
    ],
    ids=ascii,
)
def test_an_invisible_character_in_an_email_is_refused_and_named(mark: str) -> None:
    for email in (f"bo{mark}ss@example.com", f"{mark}boss@example.com", f"boss@exam{mark}ple.com"):
        with pytest.raises(ValueError, match=f"invisible character U\\+{ord(mark):04X}"):
            email_key(email)


def test_no_dns_query_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object, **_options: object) -> NoReturn:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", fail)
    monkeypatch.setattr(socket.socket, "sendto", fail)
    monkeypatch.setattr(socket, "getaddrinfo", fail)

    assert email_key("jane@no-such-domain-at-all.example.com")
    assert email_key("jané@no-such-domain-at-all.example.com")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Jane@Example.COM", "jane@example.com"),
        ("JANE@EXAMPLE.COM", "jane@example.com"),
        ("jane@bücher.example", "jane@xn--bcher-kva.example"),
        ("jane@BÜCHER.example", "jane@XN--BCHER-KVA.EXAMPLE"),
        ("jane@bu\u0308cher.example", "jane@bücher.example"),
        ("jane@例え。jp", "jane@例え.jp"),
        ("jane@\uff45\uff58\uff41\uff4d\uff50\uff4c\uff45.com", "jane@example.com"),
        ("JÖRG@example.com", "jörg@example.com"),
        ("jo\u0308rg@example.com", "jörg@example.com"),
        ("JO\u0308RG@example.com", "jörg@example.com"),
        ("Jane@Bücher.local", "jane@xn--bcher-kva.local"),
        ("ΝΙΚΟΣ@example.com", "νικος@example.com"),
        ("νικοσ@example.com", "νικος@example.com"),
        ("ΣΊΣΥΦΟΣ.ΣΟΣ@example.com", "σίσυφος.σος@example.com"),
        ("ςΣσ@example.com", "σσς@example.com"),
    ],
)
def test_two_spellings_of_one_address_have_one_key(one: str, other: str) -> None:
    assert email_key(one) == email_key(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("jane@example.com", "jane@example.org"),
        ("jane@example.com", "jane.@example.com".replace(".@", "@sub.")),
        ("jane+1@example.com", "jane@example.com"),
        ("ja.ne@example.com", "jane@example.com"),
        ("jane@straße.de", "jane@strasse.de"),
        ("straße@example.com", "strasse@example.com"),
        ("ΝΙΚΟΣ@example.com", "νίκος@example.com"),
        ("jane@βόλος.com", "jane@βόλοσ.com"),
        ("jane@corp.local", "jane@corp.test"),
        ("j\u043ene@example.com", "jone@example.com"),
    ],
)
def test_two_addresses_have_two_keys(one: str, other: str) -> None:
    assert email_key(one) != email_key(other)


@given(addresses)
def test_the_key_is_equal_for_every_case(email: str) -> None:
    local, _at, domain = email.rpartition("@")

    for variant in (
        f"{local.upper()}@{domain}",
        f"{local}@{domain.lower()}",
        local.title() + "@" + domain,
    ):
        if (
            unicodedata.normalize("NFC", variant).lower()
            == unicodedata.normalize("NFC", email).lower()
        ):
            assert email_key(variant) == email_key(email)


@pytest.mark.parametrize("email", ["ΝΙΚΟΣ@Example.com", "νικος@example.com"])
def test_a_final_sigma_is_a_sigma_in_the_key(email: str) -> None:
    assert email_key(email) == "νικοσ@example.com"


@given(addresses)
def test_no_key_has_a_final_sigma(email: str) -> None:
    assert "ς" not in email_key(email)


@given(plain | addresses | st.text("aZ0-.@x", max_size=20))
@example("Joe@XN--MNCHEN-3YA.Example")
@example("Joe@xn--a.Example")
def test_the_key_of_an_ascii_address_is_the_address_in_lower_case(email: str) -> None:
    assume(email.isascii())
    try:
        assert email_key(email) == email.lower()
    except ValueError:
        # No account has the text as its key.
        assert not is_address(email.lower())


def test_both_checks_return_the_same_key() -> None:
    for email in ("Jane@Example.com", "o'Neil+X@sub.Example.org", "JANE@corp.LOCAL", "a@b.c"):
        assert emails._unusual_email_key(email) == email_key(email)


@pytest.mark.parametrize("domain", ["example.com", "corp.local", "bücher.example"])
@pytest.mark.parametrize("more", [-1, 0, 1])
def test_an_address_has_at_most_254_octets(domain: str, more: int) -> None:
    octets = len(f"@{domain}".encode())
    email = "a" * (MAX_OCTETS + more - octets) + f"@{domain}"
    spare = len(domain.encode("idna")) - len(domain.encode())  # the A-label counts as well

    assert is_address(email[max(0, spare) :]) is (more <= 0)


def test_an_address_whose_normal_form_alone_is_short_enough_is_too_long() -> None:
    email = "e\u0301" * 100 + "@example.com"

    assert len(unicodedata.normalize("NFC", email).encode()) <= MAX_OCTETS < len(email.encode())
    assert not is_address(email)


def test_a_label_has_at_most_63_octets() -> None:
    assert is_address(f"a@{'x' * 63}.com")
    assert not is_address(f"a@{'x' * 64}.com")


@pytest.mark.parametrize("email", ["\ud800@example.com", "a@\udfff.com", "a\ud800b", "\ud800"])
def test_a_lone_surrogate_is_in_no_address(email: str) -> None:
    assert not is_address(email)


@pytest.mark.parametrize(
    ("email", "reason"),
    [
        ("foo", ""),
        ("", ""),
        (" jane@example.com", "remove the blanks around it"),
        ("jane@example.com\u00a0", "remove the blanks around it"),
        ("jane@", "there must be something after the @-sign"),
        ("@example.com", "there must be something before the @-sign"),
        ("a" * 1_000_000 + "@example.com", "it has more than 254 octets"),
    ],
)
def test_an_invalid_address_says_why(email: str, reason: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(reason)}$"):
        email_key(email)


@pytest.mark.parametrize(
    "email", ["a@foo\u3002local", "a@\uff46\uff4f\uff4f\uff0elocal", "a@foo\uff61LOCAL"]
)
def test_an_internal_domain_with_other_dots_and_wide_letters_is_the_same(email: str) -> None:
    assert email_key(email) == "a@foo.local"
