"""Hashing and checking passwords on every core."""

import os
import threading
from collections.abc import Callable, Sequence
from functools import cache, cached_property, partial
from queue import LifoQueue
from typing import TYPE_CHECKING, TypeVar

from anyscale.server.core.argon2id import CHEAPEST, OWASP, Hasher, Profile
from anyscale.server.core.hashing_process import NICENESS, HashingProcess
from anyscale.user.passwords import Fault

if TYPE_CHECKING:  # loaded where it is used: most commands hash nothing
    from concurrent.futures import ThreadPoolExecutor

__all__ = ["CHEAPEST", "OWASP", "Hashing", "Profile"]

Result = TypeVar("Result")


class Hashing:
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
        self._apart = apart
        self._hasher = Hasher(profile)
        self._making = threading.Lock()
        self._made: ThreadPoolExecutor | None = None
        #: One a core; None is one that is still to begin. Who takes one asks it alone. The last one
        #: used comes first, so that no more begin than are needed.
        self._processes: LifoQueue[HashingProcess | None] = LifoQueue()
        for _ in range(self._cores):
            self._processes.put(None)
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
        work = partial(self._done, lambda hasher: hasher.faults(passwords, own, minimum))
        return self._pool.submit(work).result()

    def verify(self, password_hash: str | None, password: str) -> bool:
        """Say whether a password is the right one, as `Hasher.verify` does."""
        return self.verify_many(lambda: [(password_hash, password)])[0]

    def verify_many(self, take: Callable[[], Sequence[tuple[str | None, str]]]) -> list[bool]:
        """Say of each hash and password whether they belong together, as `Hasher.verify` does.

        Args:
            take: gives them. It is called once, as soon as something is free to check them.
        """
        taken = cache(take)  # also who does it instead of a process that died has these

        def check(hasher: "Hasher | HashingProcess") -> list[bool]:
            return hasher.verify_many(taken()) if taken() else []

        work = partial(self._done, check)
        # A process is asked by who needs it: a thread of the pool would be one more to wake.
        return work() if self._apart else self._pool.submit(work).result()

    def needs_rehash(self, password_hash: str) -> bool:
        """Say whether a hash was made with other parameters than today's."""
        return self._hasher.needs_rehash(password_hash)

    def close(self) -> None:
        """Let the threads and processes go; what they have begun is finished."""
        if self._made:
            self._made.shutdown(cancel_futures=True)
        # All of them first: one that is in use comes when it has finished.
        for process in [self._processes.get() for _ in range(self._cores)]:
            if process:
                process.close()
            self._processes.put(None)

    def _parts(self, passwords: Sequence[str]) -> list[Sequence[str]]:
        # A process gets its share at once: whatever wakes a server's thread while every core is
        # busy, as each hash by itself would, makes others wait for it.
        size = -(-len(passwords) // self._cores) if self._apart else 1
        return [passwords[at : at + size] for at in range(0, len(passwords), size)]

    def _hash(self, passwords: Sequence[str]) -> list[str]:
        result = self._done(lambda hasher: hasher.hash(passwords))
        self.computed += len(result)
        return result

    def _done(self, work: Callable[[Hasher | HashingProcess], Result]) -> Result:
        """Have a process do something when one is free; or this thread, if that one is gone."""
        if not self._apart:
            return work(self._hasher)
        process = self._processes.get()
        try:
            process = process or self._new_process()
            return work(process or self._hasher)
        except (EOFError, OSError):
            if process:
                process.close()
            process = None
            return work(self._hasher)
        finally:
            self._processes.put(process)

    def _new_process(self) -> HashingProcess | None:
        try:
            return HashingProcess(self.profile)
        except OSError:  # too many processes or files, or no memory: then this thread does it
            return None

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
        if not self._apart and os.uname().sysname == "Linux":
            # There every thread has a priority of its own. At a low one, whatever else this
            # process does goes on as if nothing were hashed.
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
