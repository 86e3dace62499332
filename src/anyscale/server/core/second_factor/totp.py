"""One-time codes of authenticator apps (RFC 6238, with the HOTP values of RFC 4226).

SHA-1, six digits and steps of 30 seconds: the only parameters that every app supports.
"""

import hmac
import os
import re
from base64 import b32encode
from urllib.parse import quote, urlencode

#: octets of a seed: the length of the hash (RFC 4226, section 4, R6)
_SEED_OCTETS = 20

_STEP_MS = 30_000
_DIGITS = 6

#: steps that a clock may differ (RFC 6238, section 5.2 recommends one), and that we look further
#: only to say by how much it does
_ACCEPTED, _EXAMINED = 1, 10

#: characters in a label, so that any URI fits into a QR code
_ISSUER, _EMAIL = 40, 80

#: Apps and people write `123 456`. Only ASCII digits: no app shows others.
_CODE = re.compile(rf"[0-9]{{{_DIGITS}}}")


def new_seed() -> bytes:
    """Return the random seed of a new app."""
    return os.urandom(_SEED_OCTETS)


def code_of(seed: bytes, step: int) -> str:
    """Return the code of a step, which is a number of 30 seconds since 1970."""
    mac = hmac.digest(seed, step.to_bytes(8, "big"), "sha1")
    offset = mac[-1] & 15  # dynamic truncation (RFC 4226, section 5.3)
    number = int.from_bytes(mac[offset : offset + 4], "big") & 0x7FFFFFFF
    return f"{number % 10**_DIGITS:0{_DIGITS}}"


def matching_step(seed: bytes, code: str, at: int) -> int | None:
    """Return the step of a code, one step early or late at most; None if the code is wrong.

    The caller accepts each step once: a code that was seen is of no use to another person.

    Args:
        seed: of the app.
        code: as a person types it; blanks are left out.
        at: the time, in milliseconds since 1970.
    """
    return _find_step(seed, code, at // _STEP_MS, _ACCEPTED)


def clock_difference(seed: bytes, code: str, at: int) -> int | None:
    """Return how many seconds the clock of an app is ahead, if its code is of another time.

    It is a multiple of 30, and negative if the clock is behind. None if the code is of no step
    within five minutes. The arguments are those of `matching_step`.
    """
    now = at // _STEP_MS
    step = _find_step(seed, code, now, _EXAMINED)
    return None if step is None else (step - now) * _STEP_MS // 1000


def clock_problem(seconds: int) -> str:
    """Return the message for a code of a clock that is some seconds ahead, or behind."""
    minutes, direction = abs(seconds) / 60, "ahead" if seconds > 0 else "behind"
    unit = "minute" if minutes == 1 else "minutes"
    return (
        f"the clock of your phone is {minutes:g} {unit} {direction}: let it set the time by "
        "itself, and use the next code"
    )


def otpauth_uri(seed: bytes, issuer: str, email: str) -> str:
    """Return the URI that an app reads from a QR code.

    The format is described by the wiki of Google Authenticator (Key URI Format). A colon ends the
    issuer there, so that we leave it out.
    """
    issuer = issuer.replace(":", " ").strip()[:_ISSUER]
    label = quote(f"{issuer}:{email[:_EMAIL]}", safe="@:")
    parameters = urlencode({"secret": _base32(seed), "issuer": issuer}, quote_via=quote)
    return f"otpauth://totp/{label}?{parameters}"


def seed_text(seed: bytes) -> str:
    """Return a seed for a person to type into an app: base32 in groups of four."""
    text = _base32(seed)
    return " ".join(text[start : start + 4] for start in range(0, len(text), 4))


def _base32(seed: bytes) -> str:
    return b32encode(seed).decode().rstrip("=")


def _find_step(seed: bytes, code: str, now: int, most: int) -> int | None:
    """Return the step nearest to now, at most so many away, that has a code."""
    digits = "".join(code.split())
    if not _CODE.fullmatch(digits):
        return None
    steps = sorted(range(now - most, now + most + 1), key=lambda step: abs(step - now))
    # All of them are compared, so that the time does not tell which one it is.
    found = [s for s in steps if s >= 0 and hmac.compare_digest(code_of(seed, s), digits)]
    return found[0] if found else None
