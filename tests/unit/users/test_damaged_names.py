"""Names that another program has damaged are refused, and no others."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anyscale.domain.validation import Fault, Policy, find_faults


def faults(**fields: str) -> list[Fault]:
    return find_faults(fields, Policy())


def in_windows_1252(octet: int) -> str:
    """Decode an octet as browsers do (WHATWG Encoding, windows-1252)."""
    try:
        return bytes([octet]).decode("cp1252")
    except UnicodeDecodeError:
        return chr(octet)


european = st.text(
    st.characters(min_codepoint=0xA1, max_codepoint=0x17F, exclude_characters="\u00ad"),
    min_size=1,
    max_size=8,
)


@given(european)
def test_a_name_that_was_read_in_a_wrong_encoding_is_refused_with_the_right_one(name: str) -> None:
    detail = f"was read in a wrong encoding: write '{name}'"
    octets = name.encode()
    assert faults(name=octets.decode("latin-1")) == [Fault("name", "damaged", detail)]
    text = "".join(map(in_windows_1252, octets))
    assert faults(lastname=text) == [Fault("lastname", "damaged", detail)]


@pytest.mark.parametrize("field", ["name", "email", "lastname", "title", "external_id"])
def test_a_lost_letter_is_in_no_field(field: str) -> None:
    detail = "has U+FFFD at character 3, where a letter was lost: write the letter"
    assert faults(**{field: "Pe\ufffda"}) == [Fault(field, "damaged", detail)]


def test_a_lost_letter_of_a_password_is_refused_since_nobody_can_type_it() -> None:
    detail = "has U+FFFD at character 12, where a letter was lost: write the letter"
    assert faults(password="correct hor\ufffde battery") == [Fault("password", "damaged", detail)]


@pytest.mark.parametrize(
    "name", ["JOÃO", "ÂNGELA", "LÍŠKA", "ÄÄRI", "ÅSLUND", "GARÇÃO", "Ñandú", "Αθηνά", "Đặng", "Ã"]
)
def test_a_name_of_any_language_is_not_damaged(name: str) -> None:
    assert faults(name=name, lastname=name.title()) == []


def test_a_title_has_signs_beside_letters() -> None:
    assert faults(title="CAFÉ®, ROMÃ™") == []


def test_a_name_that_is_not_repaired_to_letters_is_not_shown() -> None:
    name = "\u00c3\u00bc" * 61
    assert "write it anew" in faults(name=name)[0].detail
    assert "write it anew" in faults(name="\u00c3\u00bc\x1b[2J")[0].detail
