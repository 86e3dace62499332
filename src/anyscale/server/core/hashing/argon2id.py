"""Argon2id (RFC 9106): one password hash after another, in the calling thread.

PyNaCl computes hashes with one lane, as all new ones: its libsodium chooses AVX-512, AVX2 or plain
C when it loads. argon2-cffi verifies all others, which other programs have created.
"""

import hmac
from base64 import b64decode
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from msgspec import Struct

from anyscale.domain.passwords import normalized
from anyscale.errors import HashingUnavailable
from anyscale.server.core.secrets import SensitiveStruct

if TYPE_CHECKING:  # imported where they are used: most commands hash nothing
    from argon2 import Parameters

__all__ = ["CHEAPEST", "OWASP", "Hasher", "Profile"]

_KIB = 1024

#: The version of Argon2 of new hashes, 1.3; and 1.0, of old ones.
_VERSION = 0x13
_OLD_VERSION = 0x10

#: PyNaCl takes only salts of this length, and computes tags from this length on.
_NACL_SALT_OCTETS = _NACL_MIN_TAG_OCTETS = 16

#: of new hashes
_TAG_OCTETS = 32

_ANY_SALT = bytes(_NACL_SALT_OCTETS)

#: Limits of the reference implementation, which argon2-cffi uses.
_MIN_SALT_OCTETS = 8
_MIN_TAG_OCTETS = 4
_MIN_MEMORY_KIB = 8  # for each lane

#: Our limits of a stored hash: one that asks for more must not use up memory or time.
_MAX_MEMORY_KIB = 256 * _KIB
_MAX_MEMORY_KIB_PASSES = 1024 * _KIB
_MAX_LANES = 16

_NO_MEMORY = "there is not enough memory to hash a password: try again later"


class Profile(Struct, frozen=True, kw_only=True):
    """Parameters of new hashes."""

    memory_kib: int
    passes: int


#: OWASP Password Storage Cheat Sheet, the first of its choices with little memory.
OWASP = Profile(memory_kib=19456, passes=2)

#: Only for tests.
CHEAPEST = Profile(memory_kib=8, passes=1)


class _StoredHash(SensitiveStruct, frozen=True):
    parameters: "Parameters"
    salt: bytes
    tag: bytes


class Hasher:
    """Hashes and verifies passwords."""

    def __init__(self, profile: Profile) -> None:
        self._profile = profile

    def hash(self, passwords: Sequence[str]) -> list[str]:
        """Hash passwords, in their normalized form, to PHC strings with a salt of its own each.

        Raises:
            HashingUnavailable: there is not enough memory.
        """
        from nacl.exceptions import RuntimeError as NaclError
        from nacl.pwhash import argon2id

        passes, memory = self._profile.passes, self._profile.memory_kib * _KIB
        try:
            secrets = (normalized(password).encode() for password in passwords)
            return [argon2id.str(secret, passes, memory).decode() for secret in secrets]
        except NaclError:
            raise HashingUnavailable(_NO_MEMORY) from None

    def verify(self, password_hash: str | None, password: str) -> bool:
        """Return whether a password is the right one.

        It costs the same without a hash, so that the time does not tell which accounts exist.

        Args:
            password_hash: a PHC string; None without an account, or for one without a password.
            password: as the user typed it.

        Raises:
            HashingUnavailable: there is not enough memory.
        """
        try:
            secret = normalized(password).encode()
        except UnicodeEncodeError:
            return False  # no password has a lone surrogate
        # No tag is equal to an empty one.
        stored = _parse(password_hash or "") or _StoredHash(self._parameters, _ANY_SALT, b"")
        return hmac.compare_digest(_tag(stored, secret), stored.tag)

    def needs_rehash(self, password_hash: str) -> bool:
        """Return whether a hash has other parameters than new ones."""
        stored = _parse(password_hash)
        return stored is None or stored.parameters != self._parameters

    @cached_property
    def _parameters(self) -> "Parameters":
        from argon2 import Parameters, Type

        return Parameters(
            type=Type.ID,
            version=_VERSION,
            salt_len=_NACL_SALT_OCTETS,
            hash_len=_TAG_OCTETS,
            time_cost=self._profile.passes,
            memory_cost=self._profile.memory_kib,
            parallelism=1,
        )


def _parse(password_hash: str) -> _StoredHash | None:
    """Parse a PHC string; return None if it is none, or costs more than a hash may."""
    from argon2 import extract_parameters
    from argon2.exceptions import InvalidHashError

    try:
        parameters = extract_parameters(password_hash)
        salt, tag = (_octets(text) for text in password_hash.split("$")[-2:])
    except (InvalidHashError, ValueError):
        return None
    return _StoredHash(parameters, salt, tag) if _is_computable(parameters) else None


def _octets(text: str) -> bytes:
    # PHC strings have base64 without padding.
    return b64decode(text + "=" * (-len(text) % 4), validate=True)


def _is_computable(parameters: "Parameters") -> bool:
    """Whether parameters are valid and within our limits."""
    memory, passes = parameters.memory_cost, parameters.time_cost
    return (
        parameters.version in (_OLD_VERSION, _VERSION)
        and parameters.salt_len >= _MIN_SALT_OCTETS
        and parameters.hash_len >= _MIN_TAG_OCTETS
        and 1 <= parameters.parallelism <= _MAX_LANES
        and _MIN_MEMORY_KIB * parameters.parallelism <= memory <= _MAX_MEMORY_KIB
        and passes >= 1
        and memory * passes <= _MAX_MEMORY_KIB_PASSES
    )


def _tag(stored: _StoredHash, secret: bytes) -> bytes:
    """Compute the tag that a password has with the parameters and the salt of a stored hash."""
    from argon2.exceptions import HashingError
    from argon2.low_level import Type, hash_secret_raw
    from nacl.exceptions import RuntimeError as NaclError
    from nacl.pwhash import argon2id

    salt, parameters = stored.salt, stored.parameters
    passes, memory = parameters.time_cost, parameters.memory_cost
    lanes, size = parameters.parallelism, parameters.hash_len
    kind, version = parameters.type, parameters.version
    is_for_nacl = kind is Type.ID and version == _VERSION and lanes == 1
    is_for_nacl &= len(salt) == _NACL_SALT_OCTETS and size >= _NACL_MIN_TAG_OCTETS
    try:
        if is_for_nacl:
            return argon2id.kdf(size, secret, salt, passes, memory * _KIB)
        return hash_secret_raw(secret, salt, passes, memory, lanes, size, kind, version)
    except (NaclError, HashingError):
        raise HashingUnavailable(_NO_MEMORY) from None
