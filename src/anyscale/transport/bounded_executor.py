"""Several calls at a time, as many as the control plane bears, with their answers in order."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Generic, TypeVar

__all__ = ["BoundedExecutor"]

Answer = TypeVar("Answer")


class BoundedExecutor(Generic[Answer]):
    """Makes calls in threads, at most `size` at a time; more would keep more pages in memory.

    Args:
        size: calls at a time.
        hurry: lets calls fail that wait to be repeated.
        log: is told that an interrupted run still waits: a page of passwords takes seconds.

    Leaving the block waits for the calls under way. A call that failed raises where its answer is
    collected.
    """

    def __init__(self, size: int, hurry: Callable[[], None], log: Callable[[str], None]) -> None:
        self._size = size
        self._hurry = hurry
        self._log = log
        self._calls: deque[Future[Answer]] = deque()
        self._pool = ThreadPoolExecutor(size, "page")

    def __enter__(self) -> "BoundedExecutor[Answer]":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is not None:  # what the other calls wait for does not matter any more
            self._hurry()
        if kind is KeyboardInterrupt and not all(call.done() for call in self._calls):
            self._log("Stopping after what is under way...")
        self._pool.shutdown(cancel_futures=True)

    def submit(self, call: Callable[[], Answer]) -> list[Answer]:
        """Make a call as soon as there is room; give the answers that came meanwhile."""
        answers = []
        while self._calls and (len(self._calls) >= self._size or self._calls[0].done()):
            answers.append(self._calls[0].result())
            self._calls.popleft()  # not before: an interrupted wait is for one that is under way
        self._calls.append(self._pool.submit(call))
        return answers

    def drain(self) -> list[Answer]:
        """Wait for the calls under way, and give their answers."""
        answers = [call.result() for call in self._calls]
        self._calls.clear()
        return answers
