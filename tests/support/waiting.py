"""Wait for a condition."""

import time
from collections.abc import Callable

__all__ = ["wait_until"]


def wait_until(
    condition: Callable[[], object], seconds: float = 30, *, interval: float = 0.005
) -> None:
    """Poll a condition until it is true; fail after so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not become true"
        time.sleep(interval)
