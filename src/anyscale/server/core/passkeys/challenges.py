"""The challenges of passkeys: signed, for one purpose and one browser, for an hour, each used once.

A challenge is a signed text, which comes back in what the authenticator has signed. So showing a
page stores nothing. What a valid signature has used is stored, for all servers of a database.
"""

import os
import struct
import time
from enum import IntEnum

from msgspec import Struct

from anyscale.errors import PasskeyRefused
from anyscale.server.core.secrets import hash_of
from anyscale.server.core.signer import Signer
from anyscale.server.core.time_units import HOUR_MS, SECOND_MS

#: milliseconds that a page with a challenge may stay open
_LIFETIME = HOUR_MS
#: Milliseconds that the clock of the server that wrote the page may be ahead of ours.
_SKEW = 60 * SECOND_MS

#: purpose, milliseconds since 1970, random octets, hash of these and the browser's secret
_CONTENT = struct.Struct(">BQ32s32s")


class Purpose(IntEnum):
    """What a challenge is for: an answer to one is not accepted for another."""

    REGISTRATION = 1
    SIGN_IN = 2
    SECOND_STEP = 3
    SIGN_IN_AGAIN = 4


class Challenge(Struct, frozen=True):
    """A valid challenge, as it is stored once it was used."""

    hash: bytes
    #: milliseconds since 1970, from when on it may be forgotten
    expires_at: int


class Challenges(Struct, frozen=True):
    """Signs and checks challenges.

    `browser` is the secret of a cookie: a challenge is accepted only from the browser that got it.
    """

    signer: Signer

    def new(self, purpose: Purpose, browser: str) -> str:
        """Return a challenge in base64url, as pages and client data write it."""
        nonce = os.urandom(32)
        return self.signer.sign(_CONTENT.pack(purpose, _now(), nonce, _binding(nonce, browser)))

    def check(self, text: str, purpose: Purpose, browser: str) -> Challenge:
        """Return a challenge of ours that has not expired.

        Raises:
            PasskeyRefused: it is not ours, or for another purpose or browser, or too old.
        """
        try:
            content = self.signer.unsign(text)
            for_purpose, at, nonce, binding = _CONTENT.unpack(content)
        except (ValueError, struct.error):
            raise PasskeyRefused("challenge") from None
        if for_purpose != purpose:
            raise PasskeyRefused("purpose")
        if not browser or binding != _binding(nonce, browser):
            raise PasskeyRefused("browser")
        if not -_SKEW <= _now() - at <= _LIFETIME:
            raise PasskeyRefused("expired")
        # The database's clock may differ, so what was used is stored longer than it is valid.
        return Challenge(hash_of(content.hex()), at + 2 * _LIFETIME)


def _binding(nonce: bytes, browser: str) -> bytes:
    return hash_of(nonce.hex() + browser)


def _now() -> int:
    return int(time.time() * SECOND_MS)
