"""How many requests are under way at once: as many as the control plane bears."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["AdaptiveLimit"]


class AdaptiveLimit:
    """Lets some requests go at a time: half as many after a refusal, one more after good answers.

    Additive increase and multiplicative decrease, as TCP does it (RFC 5681).

    Args:
        most: requests at a time.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._allowed = float(most)
        self._under_way = 0
        self._changed = threading.Condition()

    @property
    def allowed(self) -> int:
        """How many requests may be under way now."""
        return int(self._allowed)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for a turn, and have it during the block."""
        with self._changed:
            self._changed.wait_for(lambda: self._under_way < self.allowed)
            self._under_way += 1
        try:
            yield
        finally:
            with self._changed:
                self._under_way -= 1
                self._changed.notify_all()

    def refused(self) -> None:
        """Note that the control plane had too much to do."""
        with self._changed:
            self._allowed = max(1.0, self._allowed / 2)

    def answered(self) -> None:
        """Note that it did not."""
        with self._changed:
            self._allowed = min(float(self._most), self._allowed + 1 / self._allowed)
            self._changed.notify_all()
