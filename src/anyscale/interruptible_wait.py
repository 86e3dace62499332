"""Wait so that a signal interrupts it, whenever the signal comes."""

import math
from collections.abc import Callable

#: seconds of one short wait
_SHORT = 0.2


def interruptible_wait(wait: Callable[[float], object], seconds: float = math.inf) -> bool:
    """Wait by short waits, and return whether the event has happened.

    A signal that comes between two instructions, just before a wait, does not interrupt it: Python
    calls the handler after the wait.

    Args:
        wait: waits for at most a number of seconds, and returns something true if the event has
            happened.
        seconds: of all short waits; by default without an end.
    """
    while seconds > 0:
        if wait(min(seconds, _SHORT)):
            return True
        seconds -= _SHORT
    return False
