"""Our own hashes, Argon2id (RFC 9106), and verifying those of all schemes, one after another.

PyNaCl computes hashes with one lane, as all new ones: its libsodium chooses AVX-512, AVX2 or plain
C when it loads. `schemes` computes all others, which other systems have created.
"""

import hmac
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from msgspec import Struct, structs

from anyscale.domain.passwords import normalized
from anyscale.errors import HashingUnavailable

if TYPE_CHECKING:  # imported where they are used: most commands verify nothing
    from anyscale.domain.password_hashes.argon2 import Argon2Hash
    from anyscale.domain.password_hashes.parsed_hash import ParsedHash
    from anyscale.server.core.hashing.schemes.wrapped import WrappedHash

_KIB = 1024

#: of new hashes
_TAG_OCTETS = 32


class Profile(Struct, frozen=True, kw_only=True):
    """Parameters of new hashes."""

    memory_kib: int
    passes: int


#: OWASP Password Storage Cheat Sheet, the first of its choices with little memory.
OWASP = Profile(memory_kib=19456, passes=2)

#: about how long one core of today computes a new hash
OWN_MILLISECONDS = 40

#: Only for tests.
CHEAPEST = Profile(memory_kib=8, passes=1)


class Hasher:
    """Hashes and verifies passwords."""

    def __init__(self, profile: Profile) -> None:
        self._profile = profile

    def hash(self, passwords: Sequence[str]) -> list[str]:
        """Hash passwords, in their normalized form, to PHC strings with a salt of its own each.

        Raises:
            HashingUnavailable: there is not enough memory.
        """
        return self._hash([normalized(password).encode() for password in passwords])

    def wrap(self, weak_hashes: Sequence[str]) -> list[str]:
        """Hash the tags of weak hashes once more, so that those need not be stored.

        Raises:
            HashingUnavailable: there is not enough memory.
            RefusedHash: a text is not a hash.
        """
        from anyscale.domain.password_hashes.parsing import parse
        from anyscale.server.core.hashing.schemes.wrapped import wrapped_text

        parsed = [parse(text) for text in weak_hashes]
        outer = self._hash([weak.tag for weak in parsed])
        return [wrapped_text(weak, text) for weak, text in zip(parsed, outer, strict=True)]

    def verify(self, password_hash: str | None, password: str) -> bool:
        """Return whether a password is the right one.

        It costs the same without a hash, so that the time does not tell which accounts exist.

        Args:
            password_hash: a hash of any scheme; None without an account, or for one without a
                password.
            password: as the user typed it.

        Raises:
            HashingUnavailable: there is not enough memory.
        """
        try:
            secret = normalized(password).encode()
        except UnicodeEncodeError:
            return False  # no password has a lone surrogate
        stored = _parse(password_hash or "")
        if stored is None:
            _is_right(self._none, secret)
            return False
        is_right = _is_right(stored, secret)
        # Another system may have hashed what its user typed, in another form of Unicode.
        if not is_right and not self._is_current(stored) and (raw := password.encode()) != secret:
            return _is_right(stored, raw)
        return is_right

    def needs_rehash(self, password_hash: str) -> bool:
        """Return whether a hash is of another scheme than new ones, or has other parameters."""
        stored = _parse(password_hash)
        return stored is None or not self._is_current(stored)

    def _hash(self, secrets: Sequence[bytes]) -> list[str]:
        from nacl.exceptions import RuntimeError as NaclError
        from nacl.pwhash import argon2id

        from anyscale.server.core.hashing.schemes.argon2 import NO_MEMORY

        passes, memory = self._profile.passes, self._profile.memory_kib * _KIB
        try:
            return [argon2id.str(secret, passes, memory).decode() for secret in secrets]
        except NaclError:
            raise HashingUnavailable(NO_MEMORY) from None

    def _is_current(self, stored: "ParsedHash | WrappedHash") -> bool:
        none = self._none
        return (
            isinstance(stored, type(none))
            and len(stored.salt) == len(none.salt)
            and len(stored.tag) == len(none.tag)
            and structs.replace(stored, salt=none.salt, tag=none.tag) == none
        )

    @cached_property
    def _none(self) -> "Argon2Hash":
        """What every new hash has, beside its salt and its tag; it is the hash of no password."""
        from anyscale.domain.password_hashes.argon2 import VERSION, Argon2Hash
        from anyscale.server.core.hashing.schemes.argon2 import NACL_SALT_OCTETS

        return Argon2Hash(
            kind="id",
            version=VERSION,
            memory_kib=self._profile.memory_kib,
            passes=self._profile.passes,
            lanes=1,
            salt=bytes(NACL_SALT_OCTETS),
            tag=bytes(_TAG_OCTETS),
        )


def _parse(password_hash: str) -> "ParsedHash | WrappedHash | None":
    """Parse a stored hash; return None if it is none, or costs more than a hash may."""
    from anyscale.domain.password_hashes.parsed_hash import RefusedHash
    from anyscale.domain.password_hashes.parsing import parse
    from anyscale.server.core.hashing.schemes.wrapped import PREFIX, parse_wrapped

    try:
        is_wrapped = password_hash.startswith(PREFIX)
        return parse_wrapped(password_hash) if is_wrapped else parse(password_hash)
    except RefusedHash:
        return None


def _is_right(stored: "ParsedHash | WrappedHash", secret: bytes) -> bool:
    from anyscale.server.core.hashing.schemes.tags import compute_tag
    from anyscale.server.core.hashing.schemes.wrapped import WrappedHash

    if isinstance(stored, WrappedHash):
        tag = compute_tag(stored.inner, secret)
        is_right = hmac.compare_digest(compute_tag(stored.outer, tag), stored.outer.tag)
        return is_right and bool(tag)
    return hmac.compare_digest(compute_tag(stored, secret), stored.tag)
