"""Bounded thread pools: blocking work runs in threads, one pool for each kind of work.

A pool that is full refuses more work (429), so that no kind of work can use up the threads of
another one (the bulkhead pattern).
"""

import asyncio
import math
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from functools import partial
from typing import Final, ParamSpec, TypeVar

from anyscale.errors import Overloaded
from anyscale.server.core.login.networks import site_of
from anyscale.server.http.metrics import POOL_REQUESTS

Answer = TypeVar("Answer")
Arguments = ParamSpec("Arguments")

#: more than the clients of a server may have at once
_CONNECTIONS = 4096

#: Seconds without a call after which a pool is idle. In this time a client that sends one request
#: after the other prepares the next one.
_LULL = 0.2

#: sign-ins of unknown browsers at once while imported hashes remain
_REFUSALS = 1_000

_FULL = "too many requests of this kind at once: try again in a second"


class BoundedThreadPool:
    """Threads for one kind of work, `name` in the metrics, and places to wait for one."""

    def __init__(self, name: str, threads: int, waiting: int) -> None:
        self._limit = threads + waiting
        # An executor for each pool: one for all, with a limit for each kind, costs twice as much.
        self._executor = ThreadPoolExecutor(threads, name)
        self._inside = 0
        #: when the last call ended, by `time.monotonic`
        self._left_at = -math.inf
        #: set whenever a call ends
        self._freed = asyncio.Event()
        self._gauge = POOL_REQUESTS.labels(name)

    @property
    def free(self) -> int:
        """How many more calls the pool takes now."""
        return self._limit - self._inside

    @property
    def is_busy(self) -> bool:
        """Whether there are calls in the pool, or were a moment ago."""
        return self._inside > 0 or time.monotonic() - self._left_at < _LULL

    async def run(
        self, call: Callable[Arguments, Answer], *args: Arguments.args, **kwargs: Arguments.kwargs
    ) -> Answer:
        """Run a call in a thread. A call that has started runs to its end, even if cancelled.

        Raises:
            Overloaded: the pool is full.
        """
        if self.free <= 0:
            raise Overloaded(_FULL)
        self._count(1)
        # In the context of the request, so that the log lines of the thread have its id.
        in_context = partial(copy_context().run, call, *args, **kwargs)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, in_context)
        finally:
            self._left_at = time.monotonic()
            self._count(-1)
            self._freed.set()

    async def run_when_free(
        self, call: Callable[Arguments, Answer], *args: Arguments.args, **kwargs: Arguments.kwargs
    ) -> Answer:
        """Run a call in a thread, and wait for a place first, however long that takes."""
        while self.free <= 0:
            self._freed.clear()
            await self._freed.wait()
        return await self.run(call, *args, **kwargs)

    def _count(self, calls: int) -> None:
        self._inside += calls
        self._gauge.inc(calls)


class FairShares:
    """Shares places among the networks of the clients: none gets more than it leaves free."""

    def __init__(self) -> None:
        #: how many places the clients of a network have
        self._taken: Counter[str] = Counter()

    @contextmanager
    def take(self, address: str, free: int) -> Iterator[None]:
        """Take one of the free places for a client until the block ends.

        Raises:
            Overloaded: the places that the client may take are taken.
        """
        network = site_of(address)
        if self._taken[network] >= free:
            raise Overloaded(_FULL)
        self._taken[network] += 1
        try:
            yield
        finally:
            self._taken[network] -= 1
            if not self._taken[network]:
                del self._taken[network]


class SharedThreadPool:
    """A pool that the networks of the clients share fairly."""

    def __init__(self, name: str, threads: int, waiting: int) -> None:
        self._pool = BoundedThreadPool(name, threads, waiting)
        self._shares = FairShares()

    @property
    def is_busy(self) -> bool:
        """Whether there are calls in the pool, or were a moment ago."""
        return self._pool.is_busy

    async def run(self, call: Callable[[], Answer], address: str) -> Answer:
        """Run a call for a client in a thread, as `BoundedThreadPool.run` does.

        Raises:
            Overloaded: the places that the client may take are taken.
        """
        with self._shares.take(address, self._pool.free):
            return await self._pool.run(call)


class HeldAnswers:
    """Answers that wait for a moment: without a thread, and no more of them than a limit.

    The networks of the clients share the places fairly.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._inside = 0
        self._shares = FairShares()

    @contextmanager
    def place(self, address: str) -> Iterator[None]:
        """Take a place for a request of a client whose answer may have to wait.

        Raises:
            Overloaded: the places that the client may take are taken.
        """
        with self._shares.take(address, self._limit - self._inside):
            self._inside += 1
            try:
                yield
            finally:
                self._inside -= 1

    @staticmethod
    async def wait_until(moment: float) -> None:
        """Wait until a moment of `time.monotonic`.

        The time is the purpose: an answer at a fixed time says nothing about the account.
        """
        await asyncio.sleep(max(0.0, moment - time.monotonic()))  # no event: the moment itself


class LoginThreadPool:
    """Threads for sign-ins: some for known clients, as many others for unknown ones.

    Neither one network nor unknown clients from all over the world keep out or delay a browser that
    has signed in before.
    """

    def __init__(self, threads: int, waiting: int) -> None:
        self._known = SharedThreadPool("login", threads, waiting)
        self._unknown = SharedThreadPool("login", threads, waiting)
        #: For sign-ins by hashes that other systems have made: one may take a second.
        self._imported = SharedThreadPool("imported_login", threads, waiting)
        #: refusals that wait so that their time does not reveal whose hash is imported
        self.refusals: Final = HeldAnswers(_REFUSALS)
        #: For the look-up of the account, which finds whether the client is known, before the
        #: sign-in takes a place. A look-up takes less than a millisecond, so this pool has a place
        #: for each connection of the server.
        self.look_ups: Final = BoundedThreadPool("login", 2, _CONNECTIONS)
        #: For sign-ins to applications: the requests of applications and of the browsers that they
        #: send. They come without a token, so they take no place of a signed-in user.
        self.applications: Final = BoundedThreadPool("applications", 4, 64)

    @property
    def is_busy(self) -> bool:
        """Whether there are sign-ins in the pool, or were a moment ago."""
        return any(one.is_busy for one in (self._known, self._unknown, self._imported))

    async def run(self, call: Callable[[], Answer], address: str, *, is_known: bool) -> Answer:
        """Run a sign-in in a thread, as `SharedThreadPool.run` does.

        A known client has proved who it is: by the device cookie of the account, a session, a link
        or the identity provider.
        """
        pool = self._known if is_known else self._unknown
        return await pool.run(call, address)

    async def run_imported(self, call: Callable[[], Answer], address: str) -> Answer:
        """Run a sign-in by an imported hash, as `SharedThreadPool.run` does."""
        return await self._imported.run(call, address)


class IdentityProviderThreadPools:
    """Threads for requests to the identity provider.

    Sign-ins that wait for the provider at their end do not keep others from starting.
    """

    def __init__(self) -> None:
        self.start: Final = BoundedThreadPool("identity_provider", 4, 32)
        self.finish: Final = SharedThreadPool("identity_provider", 8, 32)


class ThreadPools:
    """The thread pools of a server process."""

    def __init__(self) -> None:
        cores = os.cpu_count() or 1
        #: authentication: reads a token or a session; writes that it was used, or denied
        self.auth: BoundedThreadPool = BoundedThreadPool("auth", 4, 128)
        #: lookups and lists, and short writes: users change their own sessions, tokens and links
        self.read: BoundedThreadPool = BoundedThreadPool("read", 8, 64)
        #: changes of users by an owner, and all of a batch except its passwords
        self.write: BoundedThreadPool = BoundedThreadPool("write", 4, 12)
        #: passwords of a batch: all cores hash one chunk, and the next one is ready
        self.hashing: BoundedThreadPool = BoundedThreadPool("hashing", 2, 4)
        #: sign-ins and changes of a password, for known and for unknown clients each: one thread
        #: for each core to hash, and as many to use the database
        self.login: LoginThreadPool = LoginThreadPool(2 * cores, waiting=64)
        #: requests to the identity provider, which may not respond for seconds
        self.identity_provider: IdentityProviderThreadPools = IdentityProviderThreadPools()
        #: readiness and metrics, which must respond while all other pools are full
        self.monitoring: BoundedThreadPool = BoundedThreadPool("monitoring", 3, 64)

    def are_busy(self) -> bool:
        """Return whether users or clients wait, or did so a moment ago.

        Those that wait only for the identity provider do not count.
        """
        pools = (self.auth, self.read, self.write, self.hashing, self.login)
        return any(pool.is_busy for pool in pools)
