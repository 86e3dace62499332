"""One password hash after another: Argon2id (RFC 9106)."""

import os
import re
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from msgspec import Struct

from anyscale.user.passwords import normalized

if TYPE_CHECKING:  # loaded where it is used: most commands hash nothing
    from argon2 import PasswordHasher

__all__ = ["CHEAPEST", "OWASP", "Hasher", "Profile"]


class Profile(Struct, frozen=True, kw_only=True):
    """Parameters of Argon2id."""

    memory_kib: int
    passes: int
    lanes: int = 1
    salt_octets: int = 16
    tag_octets: int = 32


#: OWASP Password Storage Cheat Sheet, its first choice of little memory; some 20 ms of one core.
OWASP = Profile(memory_kib=19456, passes=2)

#: Only for tests.
CHEAPEST = Profile(memory_kib=8, passes=1)


class Hasher:
    """Hashes and checks passwords, in the thread that asks for it.

    Args:
        profile: the parameters of new hashes.
    """

    def __init__(self, profile: Profile) -> None:
        self._profile = profile

    def hash(self, passwords: Sequence[str]) -> list[str]:
        """Hash passwords, which are in their normalized form, one after another.

        Returns:
            PHC strings, in order, each with a salt of its own.
        """
        return [self._argon2.hash(password) for password in passwords]

    def verify(self, password_hash: str | None, password: str) -> bool:
        """Say whether a password is the right one.

        The cost is the same where there is no hash, so that time tells nobody who has an account.

        Args:
            password_hash: None where there is no account, or one without a password.
            password: as it was typed.
        """
        from argon2.exceptions import InvalidHashError, VerificationError

        nobody = self._nobody  # made now, so that the first account that is missing costs no more
        try:
            right = self._argon2.verify(password_hash or nobody, normalized(password))
        except (VerificationError, InvalidHashError, UnicodeEncodeError):
            return False  # a lone surrogate, which no password has, cannot even be hashed
        return bool(right) and password_hash is not None

    def verify_many(self, pairs: Sequence[tuple[str | None, str]]) -> list[bool]:
        """Say of each hash and password whether they belong together, as `verify` does."""
        return [self.verify(known, password) for known, password in pairs]

    def needs_rehash(self, password_hash: str) -> bool:
        """Say whether a hash was made with other parameters than today's."""
        return not self._todays.fullmatch(password_hash)

    @cached_property
    def _argon2(self) -> "PasswordHasher":
        from argon2 import PasswordHasher, Type

        return PasswordHasher(
            time_cost=self._profile.passes,
            memory_cost=self._profile.memory_kib,
            parallelism=self._profile.lanes,
            hash_len=self._profile.tag_octets,
            salt_len=self._profile.salt_octets,
            type=Type.ID,
        )

    @cached_property
    def _todays(self) -> re.Pattern[str]:
        """What a PHC string with these parameters is like; the library's own check takes longer."""
        from argon2.low_level import ARGON2_VERSION

        profile = self._profile
        costs = f"m={profile.memory_kib},t={profile.passes},p={profile.lanes}"
        # Base64 without padding: four letters for three octets.
        salt, tag = (-(-octets * 4 // 3) for octets in (profile.salt_octets, profile.tag_octets))
        return re.compile(
            rf"\$argon2id\$v={ARGON2_VERSION}\${costs}\$[^$]{{{salt}}}\$[^$]{{{tag}}}"
        )

    @cached_property
    def _nobody(self) -> str:
        return self._argon2.hash(os.urandom(16).hex())
