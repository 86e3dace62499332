"""Argon2id (RFC 9106): one password hash after another, in the calling thread.

PyNaCl computes the hashes with one lane: its libsodium chooses AVX-512, AVX2 or plain C when it
loads. argon2-cffi computes all others. Both write the same PHC strings.
"""

import hmac
import os
from base64 import b64decode
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from msgspec import Struct

from anyscale.errors import HashingUnavailable
from anyscale.user.passwords import normalized

if TYPE_CHECKING:  # imported where they are used: most commands hash nothing
    from argon2 import Parameters

__all__ = ["CHEAPEST", "OWASP", "Hasher", "Profile"]

_KIB = 1024

#: The version of Argon2 that both libraries write, 1.3; and 1.0, of old hashes.
_VERSION = 0x13
_OLD_VERSION = 0x10

#: PyNaCl takes salts of this length alone, and computes no shorter tag.
_NACL_SALT_OCTETS = _NACL_MIN_TAG_OCTETS = 16

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
    """Parameters of Argon2id."""

    memory_kib: int
    passes: int
    lanes: int = 1
    salt_octets: int = 16
    tag_octets: int = 32


#: OWASP Password Storage Cheat Sheet, the first of its choices with little memory.
OWASP = Profile(memory_kib=19456, passes=2)

#: For tests alone.
CHEAPEST = Profile(memory_kib=8, passes=1)


class _StoredHash(Struct, frozen=True):
    """A parsed PHC string."""

    parameters: "Parameters"
    salt: bytes
    tag: bytes


class Hasher:
    """Hashes and verifies passwords.

    Args:
        profile: the parameters of new hashes.
    """

    def __init__(self, profile: Profile) -> None:
        self._profile = profile

    def hash(self, passwords: Sequence[str]) -> list[str]:
        """Hash normalized passwords, one after another.

        Returns:
            PHC strings in the same order, each with a salt of its own.

        Raises:
            HashingUnavailable: there is not enough memory.
        """
        hash_one = self._hash_by_nacl if self._is_for_nacl else self._hash_by_argon2
        return [hash_one(password.encode()) for password in passwords]

    def verify(self, password_hash: str | None, password: str) -> bool:
        """Return whether a password is the right one.

        It costs the same without a hash, so that the time does not tell which accounts exist.

        Args:
            password_hash: a PHC string; None without an account, or for one without a password.
            password: as the user typed it.

        Raises:
            HashingUnavailable: there is not enough memory.
        """
        stored = _parse(password_hash or "")
        try:
            secret = normalized(password).encode()
        except UnicodeEncodeError:
            return False  # no password has a lone surrogate
        tag = _tag(stored or self._dummy, secret)
        return stored is not None and hmac.compare_digest(tag, stored.tag)

    def needs_rehash(self, password_hash: str) -> bool:
        """Return whether a hash has other parameters than new ones."""
        stored = _parse(password_hash)
        return stored is None or stored.parameters != self._parameters

    @property
    def _is_for_nacl(self) -> bool:
        profile = self._profile
        return (profile.lanes, profile.salt_octets, profile.tag_octets) == (1, 16, 32)

    def _hash_by_nacl(self, password: bytes) -> str:
        from nacl.exceptions import RuntimeError as NaclError
        from nacl.pwhash import argon2id

        memory = self._profile.memory_kib * _KIB
        try:
            return argon2id.str(password, self._profile.passes, memory).decode()
        except NaclError:
            raise HashingUnavailable(_NO_MEMORY) from None

    def _hash_by_argon2(self, password: bytes) -> str:
        from argon2.exceptions import HashingError
        from argon2.low_level import Type, hash_secret

        profile = self._profile
        salt, costs = os.urandom(profile.salt_octets), (profile.passes, profile.memory_kib)
        try:
            return hash_secret(
                password, salt, *costs, profile.lanes, profile.tag_octets, Type.ID
            ).decode()
        except HashingError:
            raise HashingUnavailable(_NO_MEMORY) from None

    @cached_property
    def _parameters(self) -> "Parameters":
        from argon2 import Parameters, Type

        profile = self._profile
        return Parameters(
            type=Type.ID,
            version=_VERSION,
            salt_len=profile.salt_octets,
            hash_len=profile.tag_octets,
            time_cost=profile.passes,
            memory_cost=profile.memory_kib,
            parallelism=profile.lanes,
        )

    @cached_property
    def _dummy(self) -> _StoredHash:
        return _StoredHash(self._parameters, os.urandom(self._profile.salt_octets), b"")


def _parse(password_hash: str) -> _StoredHash | None:
    """Parse a PHC string; None if it is none, or costs more than a hash may."""
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
    from argon2.low_level import Type

    parameters = stored.parameters
    is_for_nacl = (
        parameters.type is Type.ID
        and parameters.version == _VERSION
        and parameters.parallelism == 1
        and parameters.salt_len == _NACL_SALT_OCTETS
        and parameters.hash_len >= _NACL_MIN_TAG_OCTETS
    )
    return (_tag_by_nacl if is_for_nacl else _tag_by_argon2)(parameters, stored.salt, secret)


def _tag_by_nacl(parameters: "Parameters", salt: bytes, secret: bytes) -> bytes:
    from nacl.exceptions import RuntimeError as NaclError
    from nacl.pwhash import argon2id

    memory = parameters.memory_cost * _KIB
    try:
        return argon2id.kdf(parameters.hash_len, secret, salt, parameters.time_cost, memory)
    except NaclError:
        raise HashingUnavailable(_NO_MEMORY) from None


def _tag_by_argon2(parameters: "Parameters", salt: bytes, secret: bytes) -> bytes:
    from argon2.exceptions import HashingError
    from argon2.low_level import hash_secret_raw

    try:
        return hash_secret_raw(
            secret,
            salt,
            parameters.time_cost,
            parameters.memory_cost,
            parameters.parallelism,
            parameters.hash_len,
            parameters.type,
            parameters.version,
        )
    except HashingError:
        raise HashingUnavailable(_NO_MEMORY) from None
