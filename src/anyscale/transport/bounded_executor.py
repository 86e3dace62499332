"""Make a bounded number of calls at a time, and return their results in order."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

__all__ = ["BoundedExecutor"]

Result = TypeVar("Result")


class BoundedExecutor(Generic[Result]):
    """Makes calls in threads, at most `size` at a time; each keeps its chunk in memory.

    Leaving the block waits for the calls in progress. An error of a call is raised where its
    result is returned.

    `cancel_retries` makes calls fail that wait for their next attempt. `log` receives a message if
    an interrupted run still waits: hashing a chunk takes seconds.
    """

    def __init__(
        self, size: int, cancel_retries: Callable[[], None], log: Callable[[str], None]
    ) -> None:
        self._size = size
        self._cancel_retries = cancel_retries
        self._log = log
        self._calls: deque[Future[Result]] = deque()
        self._pool = ThreadPoolExecutor(size, "chunk")

    def __enter__(self) -> "BoundedExecutor[Result]":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:  # the results of the other calls are not needed any more
            self._cancel_retries()
        if kind is KeyboardInterrupt and not all(call.done() for call in self._calls):
            self._log("Stopping after what is under way...")
        self._pool.shutdown(cancel_futures=True)

    def submit(self, call: Callable[[], Result]) -> list[Result]:
        """Start a call as soon as there is room; return the results that came meanwhile."""
        results = []
        while self._calls and (len(self._calls) >= self._size or self._calls[0].done()):
            results.append(self._calls[0].result())
            self._calls.popleft()  # not before: an interrupted wait leaves the call in progress
        self._calls.append(self._pool.submit(call))
        return results

    def drain(self) -> list[Result]:
        """Wait for the calls in progress, and return their results."""
        results = [call.result() for call in self._calls]
        self._calls.clear()
        return results
