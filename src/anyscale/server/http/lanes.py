"""Threads for work that waits or computes, so many of a kind, and a polite refusal beyond them."""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from anyscale.errors import Overloaded
from anyscale.server.http.figures import QUEUED

__all__ = ["Lane", "Lanes"]

Answer = TypeVar("Answer")


class Lane:
    """A kind of work.

    Args:
        name: of the kind.
        threads: that do it at a time.
        waiting: how many more may wait for one.
    """

    def __init__(self, name: str, threads: int, waiting: int) -> None:
        self._most = threads + waiting
        # Its own: a common pool with a limit for each kind costs each call twice as much.
        self._threads = ThreadPoolExecutor(threads, name)
        self._inside = 0
        self._gauge = QUEUED.labels(name)

    async def run(self, call: Callable[[], Answer]) -> Answer:
        """Make a call in a thread of its own. Once begun, it is finished.

        Raises:
            Overloaded: too many wait already.
        """
        if self._inside >= self._most:
            raise Overloaded("too many requests of this kind at once: ask again in a second")
        self._inside += 1
        self._gauge.set(self._inside)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, call)
        finally:
            self._inside -= 1
            self._gauge.set(self._inside)


class Lanes:
    """The kinds of work of a control plane; none of them waits for another."""

    def __init__(self) -> None:
        cores = os.cpu_count() or 1
        #: whose token or session it is
        self.asking = Lane("asking", 4, 128)
        #: look-ups and lists, and the short writes of people about themselves
        self.reading = Lane("reading", 8, 64)
        #: pages of users, and what opens, publishes or drops a batch
        self.writing = Lane("writing", 4, 12)
        #: pages of passwords: one is hashed by all cores, and the next one is ready
        self.hashing = Lane("hashing", 2, 4)
        #: People's passwords: while one half of them is hashed, the other asks the database.
        self.signing = Lane("signing", 2 * cores, 64)
        #: the identity provider, which may hang: its callers alone then wait
        self.provider = Lane("provider", 8, 32)
        #: health, which must be seen even when everything else is full
        self.watching = Lane("watching", 2, 64)
        self.counting = Lane("counting", 1, 8)
