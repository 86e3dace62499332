"""Validate email addresses, and compute the key that is unique.

The plain addresses, nearly all of a real file, pass one pattern; the unusual ones go to
email-validator, which costs 30 times as much and loads only when it is needed.
"""

import re
import unicodedata
from collections.abc import Iterable

from anyscale.domain.characters import INVISIBLE

#: RFC 5321, 4.5.3.1.3, without the brackets
MAX_OCTETS = 254

# A dot or @ ends each part, so no part needs backtracking. Without it (`++`), a match takes two
# thirds of the time.
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]++"
# One hyphen at a time, so that nothing that looks like Punycode ("xn--") passes here.
_LABEL = r"[A-Za-z0-9]++(?:-[A-Za-z0-9]++)*+"
_is_plain = re.compile(rf"{_ATOM}(?:\.{_ATOM})*+@(?:{_LABEL}\.)++[A-Za-z]++", re.ASCII).fullmatch

# An address this short breaks no limit on a part of it (RFC 5321: 64 octets for the local part,
# RFC 1035: 63 for a label), so the pattern need not count.
_SHORT = 64


def email_key(email: str) -> str:
    """Return a form that is equal for two spellings of one address.

    It is NFC of the lower case of the NFC of the local part, where every final sigma is a sigma,
    then `@` and the domain's A-label (UTS 46). It never folds other characters: ß is not ss. It
    makes no DNS queries, and accepts internal domains (`jane@corp.local`).

    Raises:
        ValueError: it is not an address; the message says why, if that is known.
    """
    if len(email) <= _SHORT and _is_plain(email):
        return email.lower()
    return _unusual_email_key(email)


def email_key_or_empty(email: str) -> str:
    """Return the key of an email; if it is not one, a text that is the key of no account."""
    if email.isascii():
        return email.lower()  # an ASCII address has the same key, in a tenth of the time
    try:
        return email_key(email)
    except ValueError:
        return ""


def email_prefix_key(prefix: str) -> str:
    """Return the common prefix of the keys of all emails that begin with a text.

    The domain is only in lower case, because a part of a domain has no A-label.
    """
    local, at, domain = prefix.partition("@")
    return f"{_local_key(local)}{at}{domain.lower()}"


def _unusual_email_key(email: str) -> str:
    import email_validator

    local, at, domain = email.rpartition("@")
    if not at:
        raise ValueError("")
    if match := INVISIBLE.search(email):
        raise ValueError(f"remove the invisible character U+{ord(match[0]):04X}")
    if email != email.strip():
        raise ValueError("remove the blanks around it")
    if len(email.encode()) > MAX_OCTETS:
        raise ValueError(f"it has more than {MAX_OCTETS} octets")
    masked, name = _masked(domain, email_validator.SPECIAL_USE_DOMAIN_NAMES)
    try:
        validated = email_validator.validate_email(f"{local}@{masked}", check_deliverability=False)
    except email_validator.EmailNotValidError as error:
        reason = str(error).removeprefix("The email address is not valid. ").rstrip(".")
        raise ValueError(reason[:1].lower() + reason[1:]) from None
    ascii_domain = validated.ascii_domain or ""
    ascii_domain = ascii_domain[: len(ascii_domain) - len(name)] + name
    return f"{_local_key(local)}@{ascii_domain}"


def _masked(domain: str, reserved: Iterable[str]) -> tuple[str, str]:
    """Mask a reserved name at the end of a domain; return the domain and the name, or no name.

    email-validator rejects domains that are reserved for internal use. Its list is global to the
    process, so this does not empty it, but replaces the name by another one of the same length,
    which leaves all limits correct. The library compares the domain after UTS 46, which maps other
    dots and wide letters; this function does the same.
    """
    mapped = unicodedata.normalize("NFKC", domain).replace("\u3002", ".").lower()
    name = next((name for name in reserved if mapped.endswith(f".{name}")), "")
    return (f"{mapped[: -len(name)]}{'z' * len(name)}", name) if name else (domain, "")


def _local_key(local: str) -> str:
    lower = unicodedata.normalize("NFC", local).lower()
    # The lower case of a capital sigma depends on its place in the word.
    return unicodedata.normalize("NFC", lower.replace("\u03c2", "\u03c3"))
