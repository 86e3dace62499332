"""Make a bounded number of calls at a time, and return their results in order."""

import math
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Generic, TypeVar

from anyscale.interruptible_wait import interruptible_wait

Result = TypeVar("Result")

#: Seconds between two calls of `on_wait`.
_TICK = 0.5

#: Seconds that an interrupted run, or a closed generator, waits for the calls in progress.
_GRACE = 2.0

_STOPPING = "Stopping after the requests in progress: press Ctrl-C again to exit at once..."


class BoundedExecutor(Generic[Result]):
    """Makes calls in threads, at most `size` at a time; each keeps its chunk in memory.

    Leaving the block waits for the calls in progress, but after an interrupt, or if a generator is
    closed, no longer than some seconds: a call that lasts longer is abandoned. An error of a call
    is raised where its result is returned.

    Args:
        size: calls at a time.
        cancel_retries: makes calls fail that wait for their next attempt.
        log: receives a message if an interrupted run still waits.
        on_wait: is called now and then while results are waited for.
    """

    def __init__(
        self,
        size: int,
        cancel_retries: Callable[[], None],
        log: Callable[[str], None],
        on_wait: Callable[[], None] = lambda: None,
    ) -> None:
        self._size = size
        self._cancel_retries = cancel_retries
        self._log = log
        self._on_wait = on_wait
        self._calls: deque[Future[Result]] = deque()

    def __enter__(self) -> "BoundedExecutor[Result]":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:  # the results of the other calls are not needed any more
            self._cancel_retries()
        is_interrupted = kind is KeyboardInterrupt
        if is_interrupted and not all(call.done() for call in self._calls):
            self._log(_STOPPING)
        interruptible_wait(
            lambda seconds: not wait(self._calls, seconds).not_done,
            _GRACE if is_interrupted or kind is GeneratorExit else math.inf,
        )

    def submit(self, call: Callable[[], Result]) -> list[Result]:
        """Start a call as soon as there is room; return the results that have come."""
        results = []
        while self._calls and (len(self._calls) >= self._size or self._calls[0].done()):
            results.append(self._first_result())
        self._calls.append(start_call(call))
        return results

    def drain(self) -> list[Result]:
        """Wait for the calls in progress, and return their results."""
        results = []
        while self._calls:
            results.append(self._first_result())
        return results

    def _first_result(self) -> Result:
        while not wait([self._calls[0]], _TICK).done:
            self._on_wait()
        result = self._calls[0].result()
        self._calls.popleft()  # not before: an interrupted wait leaves the call in progress
        return result


def start_call(call: Callable[[], Result]) -> Future[Result]:
    """Make a call in a thread of its own, which does not keep the process from ending.

    A pool would: Python waits for its threads at the end, and a call may wait for a server.
    """
    future: Future[Result] = Future()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as error:  # noqa: BLE001 - it is raised where the result is returned
            future.set_exception(error)

    try:
        threading.Thread(target=run, name="chunk", daemon=True).start()
    except RuntimeError:  # a limit of processes: one call at a time needs no other thread
        run()
    return future
