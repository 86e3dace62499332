"""CSV files of other encodings than UTF-8: the caller names the encoding, and we guess it."""

import io
import time
import tracemalloc

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from anyscale.domain.validation import Policy
from anyscale.errors import ConfigError
from anyscale.users_file import FileReading, UsersFile
from anyscale.users_file.input_stream import InputStream
from anyscale.users_file.tables.encodings import guess_encoding, text_encoding

GERMAN = "Vorname;Nachname;E-Mail\r\nJörg;Müßig;jm@example.com\r\nAnn;Lee;al@example.com\r\n"


def reading_of(
    data: bytes, encoding: str | None = None, name: str = "staff.csv"
) -> tuple[list[str], FileReading]:
    reading = UsersFile(io.BytesIO(data), name, "csv", encoding=encoding).reading(Policy())
    names = [f"{user.name} {user.lastname or ''}".strip() for user in reading]
    return names, reading


@pytest.mark.parametrize(
    "encoding",
    [
        "windows-1252",
        "windows-1250",
        "iso-8859-1",
        "ISO-8859-15",
        "utf-16",
        "utf-16-be",
        "mac-roman",
    ],
)
def test_a_file_is_read_in_the_encoding_that_the_caller_names(encoding: str) -> None:
    names, reading = reading_of(GERMAN.encode(encoding), encoding)

    assert names == ["Jörg Müßig", "Ann Lee"]
    assert list(reading.problems) == []


def test_unicode_text_of_excel_is_read_and_has_an_end() -> None:
    file = UsersFile(
        io.BytesIO(GERMAN.replace(";", "\t").encode("utf-16")), "u.txt", "csv", encoding="utf-16"
    )

    assert len(list(file.reading(Policy()))) == 2
    assert not file.may_be_cut


def test_a_file_that_is_not_utf8_names_the_place_and_the_option_and_shows_a_name() -> None:
    _names, reading = reading_of(GERMAN.encode("windows-1252"))

    assert str(reading.problems[0]) == (
        "staff.csv:2:2: the file is not UTF-8 from here on (Latin-1 or Windows-1252 look like "
        "this): save it as UTF-8, or add --encoding windows-1252, which reads 'Jörg Müßig'"
    )


def test_utf16_names_the_option() -> None:
    _names, reading = reading_of(GERMAN.encode("utf-16"))

    assert str(reading.problems[0]) == (
        "staff.csv:1:1: the file is UTF-16 text: save it as UTF-8, or add --encoding utf-16, which "
        "reads 'Jörg Müßig'"
    )


def test_octets_that_the_named_encoding_lacks_are_a_problem_at_their_place() -> None:
    data = b"name,email\nAnn,ann@example.com\nB\x81b,bob@example.com\n"
    names, reading = reading_of(data, "windows-1252")

    assert names == ["Ann"]
    assert str(reading.problems[0]) == (
        "staff.csv:3:2: the file is not windows-1252 from here on: name another encoding"
    )


def test_utf16_without_a_byte_order_mark_is_a_problem() -> None:
    names, reading = reading_of(GERMAN.encode("windows-1252"), "utf-16")

    assert names == []
    assert str(reading.problems[0]) == (
        "staff.csv:1:1: the file is not utf-16 from here on: name another encoding"
    )


def test_utf8_is_not_read_as_something_else() -> None:
    _names, reading = reading_of(GERMAN.encode(), "windows-1252")

    assert reading.problems[0].detail == (
        "the file is UTF-8, and not windows-1252: read it without an encoding"
    )


@pytest.mark.parametrize("blanks", [0, (1 << 16) - len("name,email\nr@b.io,Ren?")])
def test_a_file_that_ends_with_its_only_other_letter_is_read(blanks: int) -> None:
    data = b"email,name\n%sr@b.io,Ren\xe9" % (b"\n" * blanks)  # a character of UTF-8 begins so
    names, reading = reading_of(data, "windows-1252")

    assert (names, list(reading.problems)) == (["Ren\xe9"], [])


def test_a_spreadsheet_gets_no_encoding() -> None:
    _names, reading = reading_of(b"PK\x03\x04\xff\xfe", "windows-1252")
    assert "is an Excel workbook" in reading.problems[0].detail
    _names, reading = reading_of(b"PK\x03\x04\xff\xfe")
    assert "--encoding" not in reading.problems[0].detail


@settings(max_examples=30)
@given(
    text=st.text(st.characters(codec="gb18030", exclude_characters="\0"), max_size=40),
    encoding=st.sampled_from(["gb18030", "utf-16", "utf-16-be", "utf-32"]),
)
@example(text="\n\U0001f600", encoding="gb18030")
def test_any_text_of_an_encoding_comes_back_across_pieces(text: str, encoding: str) -> None:
    width = len("aa".encode(encoding)) - len("a".encode(encoding))
    written = f"\xfc{'a' * (65_520 // width)}{text}"
    source = InputStream(io.BytesIO(written.encode(encoding)), "u.csv", encoding=encoding)

    assert "".join(iter(source.read_text, "")) == written


@pytest.mark.parametrize(
    "name",
    [
        *("rot13", "base64", "zlib", "bz2", "hex", "uu", "quopri", "idna", "punycode", "utf-7"),
        *("unicode_escape", "raw_unicode_escape", "undefined", "nonsense", "", "a\0b", "../x"),
    ],
)
def test_another_word_than_an_encoding_of_texts_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="is not the encoding of a text file"):
        text_encoding(name)


@pytest.mark.parametrize("name", ["utf-8", "UTF8", "utf_8_sig"])
def test_utf8_is_what_files_are_anyway(name: str) -> None:
    assert text_encoding(name) is None


@pytest.mark.parametrize(
    ("encoding", "names"),
    [
        ("windows-1252", ["Jörg Müßig", "Zoë Brontë", "José Nuñez"]),
        ("windows-1252", ["Müller"]),
        ("windows-1252", ["François", "Agnès", "Sjøberg"]),
        ("windows-1250", ["Łukasz Wiśniewski", "Żaneta Kowalczyk"]),
        ("windows-1250", ["Jiří Dvořák", "Zdeněk Čech"]),
        ("windows-1251", ["Иван Петров", "Ольга Щукина"]),
        ("windows-1254", ["Ayşe", "Doğan İnce"]),
        ("mac-roman", ["Jörg Müller", "Käthe Weiß"]),
        ("cp850", ["Jörg Müller", "Käthe Weiß"]),
        ("utf-16", ["Jörg Müller", "Иван Петров"]),
    ],
)
def test_the_encoding_is_guessed_from_names(encoding: str, names: list[str]) -> None:
    rows = "".join(f"{name};a@example.com\r\n" for name in ["Ann", *names, "Bob"])
    guess = guess_encoding(f"Name;E-Mail\r\n{rows}".encode(encoding))

    assert guess is not None
    assert (guess.encoding, guess.names) == (encoding, names)


def test_a_file_that_is_utf8_but_for_a_few_octets_gets_no_other_encoding() -> None:
    whole, damaged = "Jürgen;j@x.org\nZoë;z@x.org\n".encode(), "André;a@x.org\n".encode("cp1252")
    data = b"Name;E-Mail\n" + whole + damaged

    assert guess_encoding(data) is None
    _names, reading = reading_of(data)
    assert reading.problems[0].line == 4
    assert "--encoding" not in reading.problems[0].detail


def test_only_names_are_shown_and_at_most_three() -> None:
    rows = "".join(f"Jörg {at};pässwort;x@example.com\n" for at in range(9))
    guess = guess_encoding(f"Name;Passwort;E-Mail\n{rows}".encode("cp1252"))

    assert guess is not None
    assert guess.names == ["Jörg 0", "Jörg 1", "Jörg 2"]


@pytest.mark.parametrize(
    "data", [b"", b"\xff", b'"\xfc', b"\xfc;\n\xfc", b"\0\xfc", b"PK\x03\x04\xfc"]
)
def test_any_octets_can_be_guessed_at(data: bytes) -> None:
    guess = guess_encoding(data)

    assert guess is None or list(guess.names) == []


@pytest.mark.parametrize(
    "data",
    [
        b"\xe4" * (1 << 23),
        b"\xe4" + b"\n" * (1 << 23),
        b"\xe4x\n" * (1 << 21),
        b"\xff\xfe" + b",\0" * (1 << 22),
    ],
)
def test_a_file_of_one_line_or_of_many_is_guessed_at_in_little_time_and_memory(
    data: bytes,
) -> None:
    since = time.process_time()
    guess_encoding(data)
    seconds = time.process_time() - since
    tracemalloc.start()
    guess_encoding(data[-(1 << 20) :])
    _size, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert seconds < 2
    assert peak < 4 << 20
