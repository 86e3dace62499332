"""Signing keys: RSA keys as PEM files in a folder outside the database (RFC 7517, RFC 7638)."""

import warnings
from datetime import datetime
from functools import lru_cache
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import RSAKey
from msgspec import Struct, json

from anyscale.errors import ConfigError
from anyscale.server.core.key_folders import KeyKind
from anyscale.server.store.records.openid import PublicKeyRecord

ALGORITHM = "RS256"

#: Bits of a new key: a strength of 128 bits (NIST SP 800-57 Part 1, 5.6.1).
_BITS = 3072

#: of a key that somebody else created, or an earlier version (RFC 7518, 3.3)
_LEAST_BITS = 2048


class SigningKey(Struct, frozen=True):
    """A key pair, and when it begins to sign."""

    pair: RSAKey
    #: milliseconds since 1970
    signs_from: int

    @property
    def kid(self) -> str:
        """The thumbprint of the key (RFC 7638)."""
        return self.pair.thumbprint()

    @property
    def public(self) -> PublicKeyRecord:
        """The public part, as the database stores it."""
        fields = {"kid": self.kid, "use": "sig", "alg": ALGORITHM}
        jwk = self.pair.as_dict(private=False) | fields
        return PublicKeyRecord(self.kid, json.encode(jwk).decode(), self.signs_from)

    def __repr__(self) -> str:
        return f"SigningKey({self.kid!r})"


def create_key(folder: Path, at: datetime) -> Path:
    """Create a key that signs from a time on, in a file that only this user can read.

    Raises:
        ConfigError: the folder or the file cannot be created, or there is a key of this time.
    """
    pem = RSAKey.generate_key(_BITS).as_pem(private=True)
    return SIGNING_KEYS.create(folder, at, pem)


# OpenSSL checks the primes of a key for 40 ms. A server reads its files each minute, while requests
# wait.
@lru_cache(maxsize=8)
def _import(content: bytes) -> RSAKey:
    with warnings.catch_warnings(action="ignore", category=SecurityWarning):
        return RSAKey.import_key(content)


def _parse(path: Path, content: bytes, signs_from: int) -> SigningKey:
    try:
        pair = _import(content)
        is_usable = pair.is_private and pair.raw_value.key_size >= _LEAST_BITS
    except TypeError:  # of cryptography, which gets no password
        raise ConfigError(f"{path} is encrypted: store the key without a password") from None
    except (JoseError, UnsupportedAlgorithm, ValueError):
        raise ConfigError(f"{path} must contain an RSA key as PEM") from None
    if not is_usable:
        raise ConfigError(f"{path} must contain a private RSA key of at least {_LEAST_BITS} bits")
    return SigningKey(pair, signs_from)


#: private RSA keys of at least 2,048 bits
SIGNING_KEYS = KeyKind("signing key", ".pem", "create-signing-key", _parse)
