"""The lock of the one connection that writes."""

import threading
from collections import deque
from types import TracebackType

__all__ = ["WriterLock"]


class WriterLock:
    """A lock that threads get in the order in which they asked for it.

    `threading.Lock` has no order: a thread that writes slice after slice took it again before the
    threads that waited for it, which wrote once in several slices.
    """

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._is_locked = False
        #: for each thread that waits, a lock that is released when this one is its own
        self._waiting: deque[threading.Lock] = deque()

    def locked(self) -> bool:
        """Return whether a thread has the lock."""
        return self._is_locked

    def acquire(self, seconds: float | None = None) -> bool:
        """Take the lock; return False if other threads keep it for so many seconds."""
        with self._mutex:
            if not self._is_locked:
                self._is_locked = True
                return True
            turn = threading.Lock()
            turn.acquire()
            self._waiting.append(turn)
        is_mine = False
        try:
            is_mine = turn.acquire(timeout=-1 if seconds is None else seconds)
        finally:
            if not is_mine:  # Ctrl-C, or the time is up
                self._give_up(turn)
        return is_mine

    def release(self) -> None:
        with self._mutex:
            self._hand_on()

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()

    def _give_up(self, turn: threading.Lock) -> None:
        with self._mutex:
            if turn in self._waiting:
                self._waiting.remove(turn)
            else:  # it was this thread's turn already
                self._hand_on()

    def _hand_on(self) -> None:
        if self._waiting:
            self._waiting.popleft().release()
        else:
            self._is_locked = False
