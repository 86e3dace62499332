"""One-time secrets: what a browser or a caller keeps, of which the database has a hash alone."""

import hashlib
import secrets

__all__ = ["hash_of", "new_secret"]

_SECRET_OCTETS = 32


def new_secret() -> str:
    """Return 256 random bits as URL-safe text, for a cookie or a link."""
    return secrets.token_urlsafe(_SECRET_OCTETS)


def hash_of(secret: str) -> bytes:
    """Return the SHA-256 of a secret, which is what the database stores.

    A fast hash is enough: a secret has at least 192 random bits, which nobody guesses.
    """
    return hashlib.sha256(secret.encode(errors="surrogatepass")).digest()
