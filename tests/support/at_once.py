"""Calls that are made at the same moment."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TypeVar

Result = TypeVar("Result")

#: until all threads have started
_SECONDS = 60


def at_once(calls: Sequence[Callable[[], Result]]) -> list[Result]:
    """Make each call in a thread of its own, all at the same moment; return their results."""
    start = Barrier(len(calls))

    def make(call: Callable[[], Result]) -> Result:
        start.wait(_SECONDS)
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(make, calls))
