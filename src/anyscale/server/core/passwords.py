"""Hashing and checking passwords."""

import os
import threading
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from msgspec import Struct

from anyscale.user.passwords import normalized

if TYPE_CHECKING:  # loaded where they are used: most commands hash nothing
    from concurrent.futures import Future, ThreadPoolExecutor

    from argon2 import PasswordHasher

__all__ = ["CHEAPEST", "OWASP", "Hashing", "Profile"]


class Profile(Struct, frozen=True, kw_only=True):
    """Parameters of Argon2id (RFC 9106)."""

    memory_kib: int
    passes: int
    lanes: int = 1
    salt_octets: int = 16
    tag_octets: int = 32


#: OWASP Password Storage Cheat Sheet, its first choice of little memory; some 20 ms of one core.
OWASP = Profile(memory_kib=19456, passes=2)

#: Only for tests.
CHEAPEST = Profile(memory_kib=8, passes=1)


class Hashing:
    """Hashes and checks passwords with one profile, in one thread a core at the lowest priority.

    Argon2 lets Python's lock go, so that threads use every core; with one lane each, since a hash
    of several lanes starts threads of its own.
    """

    def __init__(self, profile: Profile = OWASP) -> None:
        self.profile = profile
        #: hashes computed so far
        self.computed = 0

    def submit(self, password: str) -> "Future[str]":
        """Begin to hash a password, which is in its normalized form."""
        return self._pool.submit(self._hash, password)

    def hash_many(self, passwords: Sequence[str]) -> list[str]:
        """Hash passwords, which are in their normalized form, on all cores.

        Returns:
            PHC strings, in order, each with a salt of its own.
        """
        if not passwords:
            return []
        futures = [self.submit(password) for password in passwords]
        try:
            return [future.result() for future in futures]
        finally:
            for future in futures:
                future.cancel()

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

    def needs_rehash(self, password_hash: str) -> bool:
        """Say whether a hash was made with other parameters than today's."""
        return self._argon2.check_needs_rehash(password_hash)

    def close(self) -> None:
        """Let the threads go; what they have begun is finished."""
        if "_pool" in self.__dict__:
            self._pool.shutdown(cancel_futures=True)

    def _hash(self, password: str) -> str:
        result = self._argon2.hash(password)
        self.computed += 1
        return result

    @cached_property
    def _argon2(self) -> "PasswordHasher":
        from argon2 import PasswordHasher, Type

        return PasswordHasher(
            time_cost=self.profile.passes,
            memory_cost=self.profile.memory_kib,
            parallelism=self.profile.lanes,
            hash_len=self.profile.tag_octets,
            salt_len=self.profile.salt_octets,
            type=Type.ID,
        )

    @cached_property
    def _pool(self) -> "ThreadPoolExecutor":
        from concurrent.futures import ThreadPoolExecutor

        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        return ThreadPoolExecutor(cores, "hashing", initializer=_yield_to_others)

    @cached_property
    def _nobody(self) -> str:
        return self._argon2.hash(os.urandom(16).hex())


def _yield_to_others() -> None:
    # On Linux every thread has a priority of its own. At the lowest one, whatever else this
    # process answers is answered as fast as when nothing is hashed.
    if os.uname().sysname == "Linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)
