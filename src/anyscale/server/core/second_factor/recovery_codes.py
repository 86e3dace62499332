"""Recovery codes: for a person who has lost the second factor. Each of them works once."""

import os
import re

from anyscale.server.core.secrets import hash_of

_COUNT = 8

#: Crockford's base32: no letter that looks like a digit, and no U. 24 of them are 120 bits, so that
#: a plain hash is enough (ASVS 6.5.2: from 112 bits).
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_OCTETS = 15
_LENGTH = _OCTETS * 8 // 5
_GROUP = 4

_CODE = re.compile(f"[{_ALPHABET}]{{{_LENGTH}}}")
_LEFT_OUT = re.compile(r"[\s-]+")
_LOOKALIKES = str.maketrans("OLI", "011")


def new_recovery_codes() -> list[str]:
    """Return new codes, as people see them: `01AB-CDEF-...`."""
    return [_new_code() for _ in range(_COUNT)]


def recovery_code_hash(text: str) -> bytes | None:
    """Return the hash of a code as a person types it; None if no code looks like that.

    Case, blanks and hyphens do not count, and neither do O for 0 or L and I for 1.
    """
    # An ASCII text only: `upper` makes two letters of some others.
    code = _LEFT_OUT.sub("", text).upper().translate(_LOOKALIKES) if text.isascii() else ""
    return hash_of(code) if _CODE.fullmatch(code) else None


def _new_code() -> str:
    number = int.from_bytes(os.urandom(_OCTETS), "big")
    code = "".join(_ALPHABET[number >> shift & 31] for shift in range(0, _OCTETS * 8, 5))
    return "-".join(code[start : start + _GROUP] for start in range(0, _LENGTH, _GROUP))
