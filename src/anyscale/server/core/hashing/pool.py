"""Hashing, checking and verifying passwords on every core."""

import os
import threading
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from anyscale.domain.passwords import PasswordFault, UserTexts
from anyscale.errors import HashingUnavailable
from anyscale.server.core.hashing.argon2id import CHEAPEST, OWASP, Hasher, Profile
from anyscale.server.core.hashing.jobs import (
    NICENESS,
    CheckJob,
    HashJob,
    Job,
    VerifyJob,
    WrapJob,
    execute,
)

if TYPE_CHECKING:  # imported where it is used: most commands hash nothing
    from concurrent.futures import Future, ThreadPoolExecutor

    from anyscale.server.core.hashing.worker_queue import WorkerQueue

__all__ = ["CHEAPEST", "OWASP", "PasswordHashPool", "Profile"]

_NO_THREAD = "the system starts no thread to hash a password: try again later"


class PasswordHashPool:
    """Hashes, checks and verifies passwords: one job on each core at a time.

    Both libraries release Python's lock while they hash, so that threads use every core. All jobs
    raise `HashingUnavailable` if there is no memory or no process for them.

    Args:
        profile: the parameters of new hashes.
        in_processes: whether worker processes do the jobs, as in a server, and not threads of this
            process: a thread of low priority holds Python's lock while it waits for a core.
        niceness: of the worker processes, above that of this process.
        share: the part of the cores that it uses, at least one of them.
    """

    def __init__(
        self,
        profile: Profile = OWASP,
        *,
        in_processes: bool = False,
        niceness: int = NICENESS,
        share: float = 1,
    ) -> None:
        self._hasher = Hasher(profile)
        self._share = share
        self._workers = _workers(profile, self._cores, niceness) if in_processes else None
        self._lock = threading.Lock()
        self._executor: ThreadPoolExecutor | None = None

    def hash(self, password: str) -> str:
        return self.hash_many([password])[0]

    def hash_many(self, passwords: Sequence[str]) -> list[str]:
        """Hash passwords on all cores: PHC strings in the same order."""
        return self._on_all_cores(self._hash, passwords)

    def wrap_many(self, weak_hashes: Sequence[str]) -> list[str]:
        """Wrap weak hashes on all cores, as `Hasher.wrap` does."""
        return self._on_all_cores(self._wrap, weak_hashes)

    def _on_all_cores(
        self, hash_part: Callable[[Sequence[str]], list[str]], secrets: Sequence[str]
    ) -> list[str]:
        if not secrets:
            return []
        futures: list[Future[list[str]]] = []
        try:
            futures.extend(self._threads.submit(hash_part, p) for p in self._parts(secrets))
            return [text for future in futures for text in future.result()]
        except RuntimeError as error:  # the system starts no more threads
            raise HashingUnavailable(_NO_THREAD) from error
        finally:
            for future in futures:
                future.cancel()

    def faults(
        self,
        passwords: Sequence[str],
        own: Sequence[UserTexts],
        minimum: int,
        organization: str = "",
    ) -> list[PasswordFault | None]:
        """Check passwords against the policy, as `password_faults` does.

        At the low priority of hashing: to look one up in the list of common passwords takes some
        150 us, and a chunk of them longer than any other request should wait.
        """
        job = CheckJob(list(passwords), list(own), minimum, organization)
        faults: list[PasswordFault | None] = self._threads.submit(self._run, job).result()
        return faults

    def verify(self, password_hash: str | None, password: str) -> bool:
        job = VerifyJob(password_hash, password.encode(errors="surrogatepass"))
        # With workers, the calling thread runs the job: a thread of the executor would have to be
        # woken too.
        is_right = (
            self._run(job) if self._workers else self._threads.submit(self._run, job).result()
        )
        return bool(is_right)

    def needs_rehash(self, password_hash: str) -> bool:
        return self._hasher.needs_rehash(password_hash)

    def close(self) -> None:
        """Finish the jobs that were started, and end the threads and processes."""
        if self._executor:
            self._executor.shutdown(cancel_futures=True)
        if self._workers:
            self._workers.close()

    def _parts(self, passwords: Sequence[str]) -> list[Sequence[str]]:
        # A worker gets its whole share at once: each result wakes a thread of the server, which
        # makes other requests wait while every core is busy.
        size = -(-len(passwords) // self._cores) if self._workers else 1
        return [passwords[at : at + size] for at in range(0, len(passwords), size)]

    def _hash(self, passwords: Sequence[str]) -> list[str]:
        hashes: list[str] = self._run(HashJob(list(passwords)))
        return hashes

    def _wrap(self, weak_hashes: Sequence[str]) -> list[str]:
        hashes: list[str] = self._run(WrapJob(list(weak_hashes)))
        return hashes

    def _run(self, job: Job) -> Any:
        return self._workers.run(job) if self._workers else execute(self._hasher, job)

    @property
    def _threads(self) -> "ThreadPoolExecutor":
        from concurrent.futures import ThreadPoolExecutor

        with self._lock:  # two threads may need it first
            self._executor = self._executor or ThreadPoolExecutor(
                self._cores, "hashing", initializer=self._lower_priority
            )
        return self._executor

    @cached_property
    def _cores(self) -> int:
        if hasattr(os, "sched_getaffinity"):
            cores = len(os.sched_getaffinity(0))
        else:
            cores = os.cpu_count() or 1
        return max(1, int(cores * self._share))

    def _lower_priority(self) -> None:
        # On Linux each thread has a priority of its own: the other threads of this process continue
        # as if nothing were hashed.
        if not self._workers and os.uname().sysname == "Linux":
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


def _workers(profile: Profile, count: int, niceness: int) -> "WorkerQueue":
    from anyscale.server.core.hashing.worker_queue import WorkerQueue

    return WorkerQueue(profile, count, niceness)
