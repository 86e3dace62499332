"""The encodings of CSV files: those that a caller can name, and the one that a file may have."""

import codecs
import csv
import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import islice, pairwise
from typing import NamedTuple

from anyscale.errors import ConfigError
from anyscale.users_file.field_words import field_of
from anyscale.users_file.input_stream import is_other_file
from anyscale.users_file.tables.header import delimiter_of

# Python has these as encodings of texts too: for names of hosts, source code and mail.
_UTF_8 = {"utf-8", "utf-8-sig"}
_NOT_OF_FILES = {"idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape", "utf-7"}

# What spreadsheets and older systems write, the most frequent first. Names that everybody knows.
_GUESSES = (
    *("windows-1252", "windows-1250", "windows-1254", "windows-1251"),
    *("mac-roman", "cp850"),
)

#: octets and lines from which an encoding is guessed, and octets of these lines that are read in
#: each encoding, or characters of UTF-16: a file may be one line
GUESSED_OCTETS, _MAX_LINES, _COMPARED = 1 << 23, 1000, 1 << 16

#: names that a guess shows
_EXAMPLES = 3

# Letters that many names in Latin script have; others are a reason to try the next encoding.
_COMMON = frozenset(
    "äöüßéèêëáàâíîïóôúùûñçåøæœąćęłńśźżčďěňřšťůýžğşıÄÖÜÉÈÁÀÍÓÚÑÇÅØÆĄĆĘŁŃŚŹŻČĎĚŇŘŠŤŮÝŽĞŞİ"
)

_has_other_octets = re.compile(rb"[^\x01-\x7f]").search
# One at a time: a list of all lines would take many times their memory.
_lines = re.compile(rb"[^\r\n]+").finditer
_text_lines = re.compile("[^\r\n]+").finditer
_is_utf_16 = re.compile(rb"\xff\xfe(?!\0\0)|\xfe\xff|[^\0]\0[^\0]\0|\0[^\0]\0[^\0]").match


class EncodingGuess(NamedTuple):
    """The encoding that a file probably has."""

    #: as `--encoding` takes it
    encoding: str
    #: up to three names of users with other letters than ASCII, as they would be read
    names: Sequence[str]


def text_encoding(name: str) -> str | None:
    """Return the name of an encoding of text files; None for UTF-8.

    Raises:
        ConfigError: there is none of the name.
    """
    try:
        "".encode(name)  # refuses codecs of octets, which may unpack without end
        found = codecs.lookup(name).name
    except (LookupError, ValueError, UnicodeError):
        found = ""
    if not found or found.replace("_", "-") in _NOT_OF_FILES:
        raise ConfigError(
            f"{name!r} is not the encoding of a text file: such are windows-1252, windows-1250, "
            "iso-8859-15, utf-16 and mac-roman"
        )
    return None if found in _UTF_8 else name


def guess_encoding(octets: bytes) -> EncodingGuess | None:
    """Return the encoding of a CSV file that is not UTF-8; None if it has none.

    It is not a text, or UTF-8 for the most part: any encoding would make `JÃ¼rgen` of its names.

    Args:
        octets: of the file from its beginning.
    """
    octets = octets[:GUESSED_OCTETS]
    if _is_utf_16(octets):
        encoding = "utf-16"
        if b"\0" in octets[:2]:  # no byte order mark
            encoding = "utf-16-be" if octets.startswith(b"\0") else "utf-16-le"
        text = octets[: 2 * _COMPARED].decode(encoding, "replace")
        wide = [match[0] for match in islice(_text_lines(text), 1 + _MAX_LINES)]
        return EncodingGuess(encoding, _names(wide))
    if is_other_file(octets) or b"\0" in octets:
        return None
    rows = (match[0] for match in _lines(octets))
    lines = [next(rows, b""), *islice(filter(_has_other_octets, rows), _MAX_LINES)]
    compared = b"\n".join(lines)[:_COMPARED]
    texts = dict(_decoded(compared))
    if not texts or _is_damaged_utf8(compared):
        return None
    best = min(texts, key=lambda name: _oddness(texts[name]))
    return EncodingGuess(best, _names(texts[best].split("\n")))


def _is_damaged_utf8(octets: bytes) -> bool:
    text = octets.decode("utf-8", "replace")
    damaged = text.count("\ufffd")
    return sum(not one.isascii() for one in text) - damaged > damaged


def _decoded(octets: bytes) -> Iterator[tuple[str, str]]:
    for name in _GUESSES:
        try:
            yield name, octets.decode(name)
        except UnicodeDecodeError:
            continue


def _oddness(text: str) -> int:
    """Score how unlike names a text looks: a wrong encoding turns letters into signs."""
    return sum(_oddness_of(before, one) for before, one in pairwise(text) if not one.isascii())


def _oddness_of(before: str, one: str) -> int:
    if not one.isalpha():
        is_mark = unicodedata.category(one)[0] in "PZ" and not before.isalpha()
        return 0 if is_mark else 3
    if one.isupper() and before.islower():
        return 4
    if before.isalpha() and _script(before) != _script(one):
        return 4
    if _script(one) != "LATIN":
        return 0
    is_run = before.isalpha() and not before.isascii()
    return 2 * is_run + (one not in _COMMON)


@cache
def _script(letter: str) -> str:
    return "LATIN" if letter.isascii() else unicodedata.name(letter, "").partition(" ")[0]


def _names(lines: Sequence[str]) -> list[str]:
    """Return the first names of users that the encoding matters for; no other column is shown."""
    if not lines:
        return []
    try:
        header, *rows = csv.reader(lines, delimiter=delimiter_of(lines[0]))
    except (csv.Error, ValueError):
        return []
    columns = [at for at, cell in enumerate(header) if field_of(cell) in ("name", "lastname")]
    names = (" ".join(row[at].strip() for at in columns if at < len(row)) for row in rows)
    others = dict.fromkeys(name for name in names if not name.isascii())
    return list(islice(others, _EXAMPLES))
