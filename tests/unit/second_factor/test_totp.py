"""One-time codes: the vectors of the RFCs, another implementation, and what a clock may differ."""

import subprocess
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.programs import program

from anyscale.server.core.second_factor.totp import (
    clock_difference,
    code_of,
    matching_step,
    new_seed,
    otpauth_uri,
    seed_text,
)

#: of RFC 6238, appendix B
RFC_SEED = b"12345678901234567890"
#: seconds since 1970, and the code for SHA-1; ours are its last six digits
RFC_6238 = [
    (59, "94287082"),
    (1111111109, "07081804"),
    (1111111111, "14050471"),
    (1234567890, "89005924"),
    (2000000000, "69279037"),
    (20000000000, "65353130"),
]
#: of RFC 4226, appendix D, for the counters from 0 on
RFC_4226 = [
    "755224",
    "287082",
    "359152",
    "969429",
    "338314",
    "254676",
    "287922",
    "162583",
    "399871",
    "520489",
]

NOW = 1_790_000_000_000  # the beginning of no step: 20 seconds after it
STEP = NOW // 30_000

seeds = st.binary(min_size=20, max_size=20)
steps = st.integers(0, 2**40)


@pytest.mark.parametrize(("seconds", "code"), RFC_6238)
def test_the_codes_are_those_of_rfc_6238(seconds: int, code: str) -> None:
    assert code_of(RFC_SEED, seconds // 30) == code[-6:]
    assert matching_step(RFC_SEED, code[-6:], seconds * 1000) == seconds // 30
    assert matching_step(RFC_SEED, code, seconds * 1000) is None


def test_the_codes_are_those_of_rfc_4226() -> None:
    assert [code_of(RFC_SEED, counter) for counter in range(10)] == RFC_4226


def test_oathtool_shows_the_same_codes() -> None:
    seed = new_seed()
    start = f"--now={NOW // 1000 // 30 * 30 - 3000} sec UTC 1970-01-01"
    command = [program("oathtool"), "--totp", "--window=200", start, seed.hex()]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()

    assert shown == [code_of(seed, step) for step in range(STEP - 100, STEP + 101)]


@given(seeds, steps, st.integers(-3, 3))
def test_a_code_works_one_step_early_and_late(seed: bytes, step: int, late: int) -> None:
    found = matching_step(seed, code_of(seed, step), (step + late) * 30_000 + 29_999)

    # By chance, two steps near each other may have the same code.
    same = [near for near in range(step + late - 1, step + late + 2) if near >= 0]
    same = [near for near in same if code_of(seed, near) == code_of(seed, step)]
    assert (found in same) if same else (found is None)
    assert abs(late) > 1 or step in same


def test_a_phone_may_be_half_a_minute_off_and_not_a_whole_one() -> None:
    begin = STEP * 30_000
    code = code_of(RFC_SEED, STEP)

    times = {
        seconds: matching_step(RFC_SEED, code, begin + seconds * 1000)
        for seconds in (-60, -31, -30, 0, 29, 59, 60, 89)
    }
    assert {seconds for seconds, step in times.items() if step == STEP} == {-30, 0, 29, 59}


@pytest.mark.parametrize("minutes", [-5, -4, -1, 1, 4, 5])
def test_a_wrong_clock_is_named_with_its_difference(minutes: int) -> None:
    code = code_of(RFC_SEED, STEP + minutes * 2)

    assert matching_step(RFC_SEED, code, NOW) is None
    assert clock_difference(RFC_SEED, code, NOW) == minutes * 60


@pytest.mark.parametrize("steps", [-11, 11])
def test_a_code_of_another_hour_is_only_wrong(steps: int) -> None:
    assert clock_difference(RFC_SEED, code_of(RFC_SEED, STEP + steps), NOW) is None


@pytest.mark.parametrize("typed", ["{0} {1}", " {0}{1} ", "{0}\u00a0{1}", "{0}\u2009{1}\n"])
def test_blanks_in_a_code_are_left_out(typed: str) -> None:
    code = code_of(RFC_SEED, STEP)

    assert matching_step(RFC_SEED, typed.format(code[:3], code[3:]), NOW) == STEP


@pytest.mark.parametrize("zero", ["\uff10", "\u0660", "\u0966", "\U0001d7ce"])
def test_only_ascii_digits_are_a_code(zero: str) -> None:
    code = code_of(RFC_SEED, STEP)
    other = "".join(chr(ord(zero) + int(digit)) for digit in code)

    assert int(other) == int(code)
    assert matching_step(RFC_SEED, other, NOW) is None


@given(st.text(max_size=12))
def test_any_text_is_a_code_or_is_not(text: str) -> None:
    if matching_step(RFC_SEED, text, NOW) is not None:
        assert "".join(text.split()).isdigit()


@pytest.mark.parametrize("at", [0, 29_999, 30_000])
def test_the_first_steps_have_none_before_them(at: int) -> None:
    assert matching_step(RFC_SEED, RFC_4226[0], at) == 0


@given(seeds, st.text(min_size=1, max_size=40), st.emails())
def test_an_app_reads_issuer_email_and_seed_from_the_uri(
    seed: bytes, issuer: str, email: str
) -> None:
    uri = urlsplit(otpauth_uri(seed, issuer, email))
    fields = parse_qs(uri.query, keep_blank_values=True)

    assert (uri.scheme, uri.netloc) == ("otpauth", "totp")
    assert fields["secret"] == [seed_text(seed).replace(" ", "")]
    assert ":" not in fields["issuer"][0]
    # The label has one colon, which separates both: the ones of the email are encoded.
    assert uri.path.count(":") == 1 + email.count(":")


def test_the_uri_has_the_form_that_apps_read() -> None:
    assert otpauth_uri(RFC_SEED, "Jo: Acme & Co", "jane+x@example.com") == (
        "otpauth://totp/Jo%20%20Acme%20%26%20Co:jane%2Bx@example.com"
        "?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Jo%20%20Acme%20%26%20Co"
    )


def test_a_seed_is_read_in_groups_of_four() -> None:
    assert seed_text(RFC_SEED) == "GEZD GNBV GY3T QOJQ GEZD GNBV GY3T QOJQ"
    assert len({new_seed() for _ in range(100)}) == 100
    assert len(new_seed()) == 20
