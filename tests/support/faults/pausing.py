"""A pause of a command that the test ends."""

import time
from pathlib import Path

__all__ = ["PausingClock"]


class PausingClock:
    """Takes the place of the module `time`; its pauses last until a file exists."""

    def __init__(self, until: Path) -> None:
        self._until = until

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, _: float) -> None:
        while not self._until.exists():
            time.sleep(0.005)
