"""Characters that a text should not have: invisible ones, and those that damage has left."""

import re
import unicodedata
from collections.abc import Mapping
from functools import cache

#: With one of these, two texts look the same and are not. They are the property
#: `Default_Ignorable_Code_Point` (Unicode 17.0, DerivedCoreProperties.txt), which Python does not
#: have, and the blank of Braille. `str.isprintable` is true for some of them, such as the fillers
#: of Hangul. First and last names may have them: Persian and emoji need joiners.
INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)


def is_visible(name: str) -> bool:
    """Whether a name of a program or a token is not empty, and all of it can be seen."""
    return bool(name) and name == name.strip() and name.isprintable() and not INVISIBLE.search(name)


#: what decoders write in place of what they cannot read (Unicode 17.0, 23.8)
_LOST = "\ufffd"


@cache  # few commands meet a text that needs it
def _of_octets() -> Mapping[str, int]:
    """Return the characters that stand for one of the octets 80 to BF in Windows-1252.

    ISO 8859-1, and Windows-1252 where it has none, have the character of the same number.
    """
    return {chr(octet): octet for octet in range(0x80, 0xC0)} | {
        bytes([octet]).decode("cp1252"): octet
        for octet in {*range(0x80, 0xA0)} - {0x81, 0x8D, 0x8F, 0x90, 0x9D}
    }


@cache
def _two_for_one() -> re.Pattern[str]:
    """Return the pattern of a letter whose two octets were each read as a character.

    The letters are those of most European languages (U+00A0 to U+017F), in UTF-8. No name in these
    languages has two such characters side by side.
    """
    return re.compile(f"([\u00c2-\u00c5])([{re.escape(''.join(_of_octets()))}])")


#: characters of a repaired name in a message
_MAX_SHOWN = 60


def may_be_damaged(text: str) -> bool:
    """Whether a text needs a closer look.

    This is the hot path: these comparisons take a third of the time of a search for a class.
    """
    if "Ã" in text or "Ä" in text or "Å" in text or "Â" in text:
        return bool(_LOST in text or _two_for_one().search(text))
    return _LOST in text


def damage_of(text: str, *, is_name: bool) -> str | None:
    """Say what is wrong with a text that another program has damaged; return None for any other.

    Args:
        text: of a field.
        is_name: whether it is a name of a person. Other texts have signs beside letters.
    """
    if (at := text.find(_LOST)) >= 0:
        return f"has U+FFFD at character {at + 1}, where a letter was lost: write the letter"
    repaired = _two_for_one().sub(_letter, text) if is_name else text
    if repaired == text:
        return None
    is_shown = repaired.isprintable() and len(repaired) <= _MAX_SHOWN
    instead = f"write '{repaired}'" if is_shown else "write it anew"
    return f"was read in a wrong encoding: {instead}"


#: Encodings of lists: a program writes one of them, and another one reads it as another of them.
_WRITTEN_OR_READ = ("utf-8", "cp1252", "latin-1", "cp1250", "iso8859-2", "cp850", "mac_roman")

#: what an encoder writes in place of letters that its encoding lacks, and U+FFFD
LOST_LETTERS = re.compile("[?\ufffd]+")

#: what is neither a letter nor a digit nor stands between names
_SIGN = re.compile(r"[^\w\s.,'\u2019-]")


def has_lost_letters(text: str, whole: str) -> bool:
    """Return whether a text is another one whose letters were replaced on its way.

    That is by `?` or U+FFFD, one or some for each, or by those of another encoding. Texts that are
    equal have lost nothing.

    Args:
        text: such as `?ukasz`.
        whole: such as `Łukasz`.
    """
    if text == whole or (text.isascii() and "?" not in text):
        return False
    return _is_replaced(text, whole) or _is_misread(text, whole)


def may_lack_letters(text: str) -> bool:
    """Return whether a name has `?` or U+FFFD beside letters: no name has such signs."""
    return bool(LOST_LETTERS.search(text))


def lacks_most_letters(text: str) -> bool:
    """Return whether more than half of a text is `?` or U+FFFD: it says too little of a name."""
    return 2 * sum(map(len, LOST_LETTERS.findall(text))) > len("".join(text.split()))


def _is_replaced(text: str, whole: str) -> bool:
    if not LOST_LETTERS.search(text):
        return False
    # An encoder of octets writes up to four signs for a letter; a mark is a sign of its own.
    parts = LOST_LETTERS.split(text)
    signs = [len(found) for found in LOST_LETTERS.findall(text)]
    pattern = re.escape(parts[0]) + "".join(
        f"[^\\W\\d_]{{1,{count}}}{re.escape(part)}"
        for count, part in zip(signs, parts[1:], strict=True)
    )
    return re.fullmatch(pattern, unicodedata.normalize("NFC", whole), re.IGNORECASE) is not None


def _is_misread(text: str, whole: str) -> bool:
    # Read again as it was written, a misread text becomes whole: that is a repair. UTF-8 has more
    # octets than letters, and other misread texts have signs in place of letters.
    if len(text) <= len(whole) and (_SIGN.search(whole) or not _SIGN.search(text)):
        return False
    return any(
        _read_as(whole, written, read) == text
        for written in _WRITTEN_OR_READ
        for read in _WRITTEN_OR_READ
        if written != read
    )


def _read_as(whole: str, written: str, read: str) -> str:
    try:
        return whole.encode(written).decode(read)
    except UnicodeError:
        return whole


def _letter(two: re.Match[str]) -> str:
    return bytes([ord(two[1]), _of_octets()[two[2]]]).decode()


def character_detail(match: re.Match[str]) -> str:
    """Say which character a text should not have, and where."""
    name = {"\n": "a line break", "\t": "a tab"}.get(match[0])
    name = name or f"the invisible character U+{ord(match[0]):04X}"
    return f"has {name} at character {match.start() + 1}: remove it"
