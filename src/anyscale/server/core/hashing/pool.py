"""Hashing and checking passwords on every core."""

import os
import threading
from collections.abc import Callable, Sequence
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

from anyscale.server.core.hashing.argon2id import CHEAPEST, OWASP, Hasher, Profile
from anyscale.server.core.hashing.worker import (
    NICENESS,
    CheckJob,
    HashJob,
    Job,
    VerifyJob,
    answered,
)
from anyscale.server.core.hashing.worker_pool import HashWorkers
from anyscale.user.passwords import Fault

if TYPE_CHECKING:  # loaded where it is used: most commands hash nothing
    from concurrent.futures import ThreadPoolExecutor

__all__ = ["CHEAPEST", "OWASP", "PasswordHashPool", "Profile"]


class PasswordHashPool:
    """Hashes and checks passwords with one profile, on all cores, one at a time on each.

    Argon2 lets Python's lock go, so that threads use every core; with one lane each, since a hash
    of several lanes starts threads of its own.

    Args:
        profile: the parameters of hashes.
        apart: whether processes of their own do it, and not threads of this one. A server's do,
            since a thread of low priority that waits for a core may hold Python's lock meanwhile.
    """

    def __init__(self, profile: Profile = OWASP, *, apart: bool = False) -> None:
        self.profile = profile
        self._hasher = Hasher(profile)
        self._processes = HashWorkers(profile, self._cores) if apart else None
        self._making = threading.Lock()
        self._made: ThreadPoolExecutor | None = None
        #: hashes computed so far
        self.computed = 0

    def hash(self, password: str) -> str:
        """Hash one password, which is in its normalized form."""
        return self.hash_many([password])[0]

    def hash_many(self, passwords: Sequence[str]) -> list[str]:
        """Hash passwords, which are in their normalized form, on all cores.

        Returns:
            PHC strings, in order, each with a salt of its own.
        """
        if not passwords:
            return []
        futures = [self._pool.submit(self._hash, part) for part in self._parts(passwords)]
        try:
            return [text for future in futures for text in future.result()]
        finally:
            for future in futures:
                future.cancel()

    def faults(
        self, passwords: Sequence[str], own: Sequence[tuple[str | None, ...]], minimum: int
    ) -> list[Fault | None]:
        """Say what is wrong with passwords, as `password_faults` does.

        It is done where passwords are hashed, at the same priority: a look at the list of common
        ones takes some 150 us, a page of them as long as anybody else should wait for the server.
        """
        question = CheckJob(list(passwords), list(own), minimum)
        return self._pool.submit(self._ask, lambda: question).result()

    def verify(self, password_hash: str | None, password: str) -> bool:
        """Say whether a password is the right one, as `Hasher.verify` does."""
        return self.verify_many(lambda: [(password_hash, password)])[0]

    def verify_many(self, take: Callable[[], Sequence[tuple[str | None, str]]]) -> list[bool]:
        """Say of each hash and password whether they belong together, as `Hasher.verify` does.

        Args:
            take: gives them. It is called as soon as something is free to check them, by any
                thread; once, unless it fails, and then once more.
        """
        question = cache(lambda: VerifyJob.of(pairs) if (pairs := take()) else None)
        if self._processes:
            # A process is asked by who needs it: a thread of the pool would be one more to wake.
            return self._ask(question)
        return self._pool.submit(self._ask, question).result()

    def needs_rehash(self, password_hash: str) -> bool:
        """Say whether a hash was made with other parameters than today's."""
        return self._hasher.needs_rehash(password_hash)

    def close(self) -> None:
        """Let the threads and processes go; what they have begun is finished."""
        if self._made:
            self._made.shutdown(cancel_futures=True)
        if self._processes:
            self._processes.close()

    def _parts(self, passwords: Sequence[str]) -> list[Sequence[str]]:
        # A process gets its share at once: whatever wakes a server's thread while every core is
        # busy, as each hash by itself would, makes others wait for it.
        size = -(-len(passwords) // self._cores) if self._processes else 1
        return [passwords[at : at + size] for at in range(0, len(passwords), size)]

    def _hash(self, passwords: Sequence[str]) -> list[str]:
        question = HashJob(list(passwords))
        result = self._ask(lambda: question)
        self.computed += len(result)
        return result

    def _ask(self, question: Callable[[], Job | None]) -> list[Any]:
        if self._processes:
            return self._processes.ask(question)
        asked = question()
        return answered(self._hasher, asked) if asked else []

    @property
    def _pool(self) -> "ThreadPoolExecutor":
        with self._making:  # the first two passwords may come at once
            self._made = self._made or self._new_pool()
        return self._made

    def _new_pool(self) -> "ThreadPoolExecutor":
        from concurrent.futures import ThreadPoolExecutor

        return ThreadPoolExecutor(self._cores, "hashing", initializer=self._begin_thread)

    @cached_property
    def _cores(self) -> int:
        if hasattr(os, "sched_getaffinity"):
            return len(os.sched_getaffinity(0))
        return os.cpu_count() or 1

    def _begin_thread(self) -> None:
        if not self._processes and os.uname().sysname == "Linux":
            # There every thread has a priority of its own. At a low one, whatever else this
            # process does goes on as if nothing were hashed.
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
