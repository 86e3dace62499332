"""The lock of the one connection that writes."""

import math
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue

#: Seconds after which a waiting thread looks again whether it is first, if no thread has woken it.
_LOOK_AGAIN = 0.5


class WriterLock:
    """A lock that threads get in the order in which they came, and slices in turns.

    `threading.Lock` has no order: a thread that writes slice after slice took it again before the
    threads that waited for it, which wrote once in several slices.

    A slice is a part of long work, such as a batch, of which several may wait. Another write joins
    the line between two slices, so that it waits for one of them, and each slice for one of them.

    Ctrl-C can raise KeyboardInterrupt between any two lines of the main thread, and must not leave
    the lock locked: in an embedded run the process continues. So the first thread of a line has the
    lock, and a thread joins and leaves the line by one call of a `deque`, which is never half done.
    """

    def __init__(self) -> None:
        self._line: deque[_Turn] = deque()

    def locked(self) -> bool:
        return bool(self._line)

    @contextmanager
    def lock(self, seconds: float | None = None, *, is_slice: bool = False) -> Iterator[bool]:
        """Lock for the block; give False if other threads keep the lock for so many seconds."""
        self.leave()  # a place that an interrupt left: the thread would wait for itself
        turn = _Turn(is_slice=is_slice)
        try:
            self._join(turn)
            yield self._wait(turn, seconds)
        finally:
            self._remove(turn)

    def leave(self) -> None:
        """Leave the line for the calling thread: an interrupt can skip the end of its block.

        Python calls the end of a block as any function, and Ctrl-C can come before its first line.
        """
        for turn in list(self._line):
            if turn.thread == threading.get_ident():
                self._remove(turn)

    def _join(self, turn: "_Turn") -> None:
        line = list(self._line)
        for place in range(1, len(line)):
            if not turn.is_slice and line[place - 1].is_slice and line[place].is_slice:
                # Never before the first one, although others may have left.
                self._line.insert(place, turn)
                return
        self._line.append(turn)

    def _wait(self, turn: "_Turn", seconds: float | None) -> bool:
        deadline = time.monotonic() + (math.inf if seconds is None else seconds)
        while self._line[0] is not turn:
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            with suppress(Empty):
                turn.bell.get(timeout=min(left, _LOOK_AGAIN))
        return True

    def _remove(self, turn: "_Turn") -> None:
        with suppress(ValueError):  # an interrupt came before it was in the line
            self._line.remove(turn)
        with suppress(IndexError):  # there is no next one
            self._line[0].bell.put(None)


class _Turn:
    """The place of a thread in the line."""

    def __init__(self, *, is_slice: bool) -> None:
        self.is_slice = is_slice
        self.thread = threading.get_ident()
        #: wakes the thread when it is first
        self.bell = SimpleQueue[None]()
