"""Characters that a text should not have: invisible ones, and those that damage has left."""

import re

__all__ = ["INVISIBLE", "character_detail", "damage_of", "is_visible", "may_be_damaged"]

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

#: The characters of Windows-1252, of which each stands for one of the octets 80 to BF. ISO 8859-1,
#: and Windows-1252 where it has none, have the character of the same number.
_OF_OCTETS = {chr(octet): octet for octet in range(0x80, 0xC0)} | {
    bytes([octet]).decode("cp1252"): octet
    for octet in {*range(0x80, 0xA0)} - {0x81, 0x8D, 0x8F, 0x90, 0x9D}
}

#: The two octets of a letter of most European languages (U+00A0 to U+017F) in UTF-8, each read as a
#: character. No name in these languages has two such characters side by side.
_TWO_FOR_ONE = re.compile(f"([\u00c2-\u00c5])([{re.escape(''.join(_OF_OCTETS))}])")

#: characters of a repaired name in a message
_MAX_SHOWN = 60


def may_be_damaged(text: str) -> bool:
    """Whether a text needs a closer look.

    This is the hot path: these comparisons take a third of the time of a search for a class.
    """
    if "Ã" in text or "Ä" in text or "Å" in text or "Â" in text:
        return bool(_LOST in text or _TWO_FOR_ONE.search(text))
    return _LOST in text


def damage_of(text: str, *, is_name: bool) -> str | None:
    """Say what is wrong with a text that another program has damaged; return None for any other.

    Args:
        text: of a field.
        is_name: whether it is a name of a person. Other texts have signs beside letters.
    """
    if (at := text.find(_LOST)) >= 0:
        return f"has U+FFFD at character {at + 1}, where a letter was lost: write the letter"
    repaired = _TWO_FOR_ONE.sub(_letter, text) if is_name else text
    if repaired == text:
        return None
    is_shown = repaired.isprintable() and len(repaired) <= _MAX_SHOWN
    instead = f"write '{repaired}'" if is_shown else "write it anew"
    return f"was read in a wrong encoding: {instead}"


def _letter(two: re.Match[str]) -> str:
    return bytes([ord(two[1]), _OF_OCTETS[two[2]]]).decode()


def character_detail(match: re.Match[str]) -> str:
    """Say which character a text should not have, and where."""
    name = {"\n": "a line break", "\t": "a tab"}.get(match[0])
    name = name or f"the invisible character U+{ord(match[0]):04X}"
    return f"has {name} at character {match.start() + 1}: remove it"
