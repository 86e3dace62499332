"""Wait for a condition."""

import time
from collections.abc import Callable

#: seconds of a pause
_LONGEST = 0.1


def wait_until(
    condition: Callable[[], object], seconds: float = 120, *, interval: float = 0.005
) -> None:
    """Poll a condition until it is true; fail after so many seconds, enough on a slow machine.

    A pause is at least `interval`, and longer the longer the wait has been: beside other tests it
    takes seconds, of which many requests in the pauses of the first moment would need a third.
    """
    begin = time.monotonic()
    while not condition():
        waited = time.monotonic() - begin
        assert waited < seconds, "the condition did not become true"
        time.sleep(max(interval, min(waited / 10, _LONGEST)))
