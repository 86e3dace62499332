"""A limit on the time of a step that waits for the network."""

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import TypeVar

__all__ = ["SECONDS", "within_time"]

Value = TypeVar("Value")

#: for each step, from the lookup of a name to the last octet
SECONDS = 10.0


def within_time(step: Callable[[], Value]) -> Value:
    """Return what a step returns, or raise what it raises; Ctrl-C ends the wait at once.

    The step runs in a thread that the end of the process does not wait for: no timeout of a socket
    limits the lookup of a name.

    Raises:
        TimeoutError: it took longer than `SECONDS`.
    """
    outcome: SimpleQueue[tuple[Value | None, BaseException | None]] = SimpleQueue()

    def run() -> None:
        try:
            outcome.put((step(), None))
        except BaseException as error:  # noqa: BLE001 - the caller raises it
            outcome.put((None, error))

    threading.Thread(target=run, daemon=True).start()
    try:
        value, error = outcome.get(timeout=SECONDS)
    except Empty:
        raise TimeoutError(f"it took over {SECONDS:.0f} seconds") from None
    if error:
        raise error
    return value  # type: ignore[return-value]  # without an error, it is what the step returned
