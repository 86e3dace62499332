"""Bounded thread pools: blocking work runs in threads, one pool for each kind of work.

A pool that is full refuses more work (429), so that no kind of work can use up the threads of
another one (the bulkhead pattern).
"""

import asyncio
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from anyscale.errors import Overloaded
from anyscale.server.http.metrics import POOL_REQUESTS

__all__ = ["BoundedThreadPool", "ThreadPools"]

Answer = TypeVar("Answer")


class BoundedThreadPool:
    """Threads for one kind of work, and a bounded number of calls that wait for one.

    Args:
        name: the pool's label in the metrics.
        threads: how many calls run at the same time.
        waiting: how many more calls may wait for a thread.
    """

    def __init__(self, name: str, threads: int, waiting: int) -> None:
        self._limit = threads + waiting
        # An executor for each pool: one for all, with a limit for each kind, costs twice as much.
        self._executor = ThreadPoolExecutor(threads, name)
        self._inside = 0
        self._gauge = POOL_REQUESTS.labels(name)

    async def run(self, call: Callable[[], Answer]) -> Answer:
        """Run a call in a thread. A call that has started runs to its end, even if cancelled.

        Raises:
            Overloaded: the pool is full.
        """
        with self._place():
            return await asyncio.get_running_loop().run_in_executor(self._executor, call)

    @contextmanager
    def _place(self) -> Iterator[None]:
        if self._inside >= self._limit:
            raise Overloaded("too many requests of this kind at once: ask again in a second")
        self._inside += 1
        self._gauge.set(self._inside)
        try:
            yield
        finally:
            self._inside -= 1
            self._gauge.set(self._inside)


class ThreadPools:
    """The thread pools of a server process."""

    def __init__(self) -> None:
        cores = os.cpu_count() or 1
        #: authentication: reads a token or a session; writes that it was used, or denied
        self.auth = BoundedThreadPool("auth", 4, 128)
        #: lookups and lists, and the short writes of users about their own account
        self.read = BoundedThreadPool("read", 8, 64)
        #: changes of users by an owner, and all of a batch except its passwords
        self.write = BoundedThreadPool("write", 4, 12)
        #: passwords of a batch: all cores hash one chunk, and the next one is ready
        self.hashing = BoundedThreadPool("hashing", 2, 4)
        #: sign-ins and changes of a password: half of the threads hash, half use the database
        self.login = BoundedThreadPool("login", 2 * cores, 64)
        #: requests to the identity provider, which may not respond for seconds
        self.identity_provider = BoundedThreadPool("identity_provider", 8, 32)
        #: readiness and metrics, which must respond while all other pools are full
        self.monitoring = BoundedThreadPool("monitoring", 3, 64)
