"""Threads for work of one kind that waits or computes, and a polite refusal beyond them."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from anyscale.errors import Overloaded
from anyscale.server.http.metrics import QUEUED

__all__ = ["BoundedThreadPool"]

Answer = TypeVar("Answer")


class BoundedThreadPool:
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
        with self.place():
            return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    @contextmanager
    def place(self) -> Iterator[None]:
        """Be one of those who have a thread or wait for one.

        Raises:
            Overloaded: too many are already.
        """
        if self._inside >= self._most:
            raise Overloaded("too many requests of this kind at once: ask again in a second")
        self._inside += 1
        self._gauge.set(self._inside)
        try:
            yield
        finally:
            self._inside -= 1
            self._gauge.set(self._inside)
