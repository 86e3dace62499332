"""Limit the requests in progress to as many as the control plane can handle."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class AdaptiveLimit:
    """A limit that halves after a refusal and grows by one after a round of successes.

    Additive increase and multiplicative decrease, as in TCP (RFC 5681, section 3.1).
    """

    def __init__(self, maximum: int) -> None:
        self._maximum = maximum
        self._allowed = float(maximum)
        self._in_progress = 0
        self._changed = threading.Condition()

    @property
    def allowed(self) -> int:
        """How many requests may be in progress now."""
        return int(self._allowed)

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Wait for a free slot, and keep it during the block."""
        with self._changed:
            self._changed.wait_for(lambda: self._in_progress < self.allowed)
            self._in_progress += 1
        try:
            yield
        finally:
            with self._changed:
                self._in_progress -= 1
                self._changed.notify_all()

    def decrease(self) -> None:
        """Halve the limit: the control plane was too busy for a request."""
        with self._changed:
            self._allowed = max(1.0, self._allowed / 2)

    def increase(self) -> None:
        """Raise the limit a little: the control plane handled a request."""
        with self._changed:
            self._allowed = min(float(self._maximum), self._allowed + 1 / self._allowed)
            self._changed.notify_all()
