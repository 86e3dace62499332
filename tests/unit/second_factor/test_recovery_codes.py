"""Recovery codes as they are made, and as people type them."""

import re
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anyscale.server.core.second_factor.recovery_codes import (
    new_recovery_codes,
    recovery_code_hash,
)

CODE = "0123-4567-89AB-CDEF-GHJK-1M0Z"


def test_there_are_eight_of_120_bits_in_groups() -> None:
    codes = [code for _ in range(500) for code in new_recovery_codes()]

    assert len(new_recovery_codes()) == 8
    assert all(re.fullmatch("([0-9A-HJKMNP-TV-Z]{4}-){5}[0-9A-HJKMNP-TV-Z]{4}", c) for c in codes)
    assert len(set(codes)) == len(codes)
    # Each of the 24 places has all of the 32 characters: 5 bits.
    assert {
        len(set(place)) for place in zip(*(c.replace("-", "") for c in codes), strict=True)
    } == {32}


@given(st.randoms(use_true_random=False))
def test_case_blanks_hyphens_and_lookalikes_do_not_count(random: Random) -> None:
    def retyped(character: str) -> str:
        alike = {"0": "0oO", "1": "1iIlL", "-": ["", "-", " ", " - ", "\n"]}
        return random.choice(alike.get(character, [character, character.lower()]))

    typed = " " + "".join(map(retyped, CODE)) + " "
    assert recovery_code_hash(typed) == recovery_code_hash(CODE) is not None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "123456",
        CODE[:-1],
        CODE + "0",
        CODE.replace("Z", "U"),
        CODE.replace("Z", "\uff3a"),
        CODE.replace("1M", "\u0131M"),
        CODE.replace("-", "\u2013"),
        CODE.replace("-", "\x00"),
    ],
)
def test_what_cannot_be_a_code_has_no_hash(text: str) -> None:
    assert recovery_code_hash(text) is None


def test_other_codes_have_other_hashes() -> None:
    hashes = {recovery_code_hash(code) for code in new_recovery_codes()}

    assert len(hashes - {None}) == 8
