"""One-time secrets, of which the database has only a hash, and records that do not show them."""

import hashlib

from msgspec import Struct

_SECRET_OCTETS = 32


class SensitiveStruct(Struct, frozen=True):
    """A record with secrets or personal data, which its `repr` does not show."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(...)"


def new_secret() -> str:
    """Return 256 random bits as URL-safe text, for a cookie or a link."""
    import secrets  # with `random`, whose tables most commands need not compute

    return secrets.token_urlsafe(_SECRET_OCTETS)


def hash_of(secret: str) -> bytes:
    """Return the SHA-256 of a secret, which is what the database stores.

    A fast hash is enough: a secret has at least 192 random bits, which nobody guesses.
    """
    return hashlib.sha256(secret.encode(errors="surrogatepass")).digest()
