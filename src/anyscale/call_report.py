"""The reports of a call of the SDK: log lines, and its progress."""

import logging
from typing import TYPE_CHECKING

from anyscale.progress import ProgressDisplay, can_draw

if TYPE_CHECKING:
    from anyscale.transport.base import Outage

LOGGER = logging.getLogger("anyscale")


class CallReport:
    """Logs the steps of a call, and shows its progress on standard error.

    Args:
        progress: Whether to show progress; None for only where a bar can be drawn.
    """

    def __init__(self, progress: bool | None) -> None:
        is_shown = can_draw() if progress is None else progress
        self._display = ProgressDisplay(_write_line) if is_shown else None

    def show(self, phase: str, done: int, total: int, count: int) -> None:
        """Show the progress of a phase: see `Progress`."""
        if self._display:
            self._display.show(phase, done, total, count)

    def log(self, text: str) -> None:
        self.close()
        LOGGER.info(text)

    def warn(self, text: str) -> None:
        """Log what keeps the call waiting: Python shows it where no logging is set up."""
        self.close()
        LOGGER.warning(text)

    def note_outage(self, outage: "Outage") -> None:
        """Show an outage until more is done: see `ProgressDisplay.note_outage`."""
        if self._display:
            self._display.note_outage(outage)

    def close(self) -> None:
        """Remove the bar; the next `show` draws it again."""
        if self._display:
            self._display.clear()


def _write_line(text: str) -> None:
    from rich.console import Console

    Console(stderr=True).out(text, highlight=False)
