"""The progress of long work: a bar on a terminal or in a notebook, elsewhere a line now and then.

The command and the SDK show it. rich is imported when the first bar is drawn.
"""

import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from anyscale.batch_run.recent_rate import RecentRate

if TYPE_CHECKING:  # loaded when a bar is drawn
    from rich.console import Console

    from anyscale.transport.base import Outage

#: seconds of work before progress is shown, so that short work does not flicker; hashing is slow
_SHOW_AFTER = {"Hashing": 0.0}
_SHOW_OTHERS_AFTER = 1.0

#: seconds between two drawings of the bar, and between two lines
_DRAW_EVERY, _LINE_EVERY = 0.1, 10.0

#: seconds over which a rate is measured, and after which it is known
_RATE_SECONDS, _RATE_KNOWN_AFTER = 10.0, 1.0

_BAR_COLUMNS, _NOTEBOOK_COLUMNS = 40, 100


class _Status(NamedTuple):
    """What a bar or a line shows."""

    phase: str
    done: int
    total: int
    #: users or passwords a second, and the seconds left; None as long as they are not known
    rate: float | None
    left: float | None
    outage: "Outage | None"
    now: float

    @property
    def percent(self) -> str:
        return f"{self.done * 100 // self.total}%"


class ProgressDisplay:
    """Shows one phase of the work after the other.

    `write_line` receives a line every few seconds where no bar can be drawn.
    """

    def __init__(self, write_line: Callable[[str], None]) -> None:
        self._write_line = write_line
        self._lock = threading.RLock()  # a signal may come while its thread draws
        self._bar: _TerminalBar | _NotebookBar | None = None
        self._phase = ""
        self._outage: Outage | None = None
        self._started = self._shown = 0.0
        self._done_rate, self._count_rate = _new_rate(), _new_rate()

    def show(self, phase: str, done: int, total: int, count: int) -> None:
        """Show the progress of a phase: see `Progress`. It may be called often; it draws seldom."""
        now = time.monotonic()
        with self._lock:
            if phase != self._phase:
                self._start(phase, now)
            status = self._status(done, total, count, now)
            if not total or now - self._started < _SHOW_AFTER.get(phase, _SHOW_OTHERS_AFTER):
                return
            if can_draw():
                self._draw(status, now)
            elif now - self._shown >= _LINE_EVERY:
                self._shown = now
                self._write_line(_line(status))

    def note_outage(self, outage: "Outage") -> None:
        """Show an outage in place of the rate until more is done: see `open_transport`."""
        with self._lock:
            self._outage = outage
            self._done_rate.note_outage()
            self._count_rate.note_outage()

    def clear(self) -> None:
        """Remove the bar, so that a line can be written; the next `show` draws it again."""
        with self._lock:
            if self._bar:
                self._bar.clear()
                self._bar = None

    def _start(self, phase: str, now: float) -> None:
        self.clear()
        self._phase, self._started, self._shown = phase, now, now
        self._done_rate, self._count_rate = _new_rate(), _new_rate()

    def _status(self, done: int, total: int, count: int, now: float) -> _Status:
        speed, rate = self._done_rate.add(done, now), self._count_rate.add(count, now)
        if not speed:
            outage = self._outage if self._done_rate.is_interrupted else None
            return _Status(self._phase, done, total, None, None, outage, now)
        left = (total - done) / speed - self._done_rate.seconds_since_step(now)
        return _Status(self._phase, done, total, rate, max(0.0, left), None, now)

    def _draw(self, status: _Status, now: float) -> None:
        if self._bar and now - self._shown < _DRAW_EVERY:
            return
        self._bar = self._bar or (_NotebookBar() if _is_notebook() else _TerminalBar())
        self._bar.draw(status)
        self._shown = now


def _new_rate() -> RecentRate:
    return RecentRate(_RATE_SECONDS, _RATE_KNOWN_AFTER)


def can_draw() -> bool:
    """Return whether standard error can show a bar: on a notebook or a capable terminal."""
    is_terminal = sys.stderr is not None and sys.stderr.isatty()
    return (is_terminal and os.environ.get("TERM") not in ("dumb", "unknown")) or _is_notebook()


def _is_notebook() -> bool:
    # The stream of ipykernel, which its own processes have and others that load it have not.
    return type(sys.stderr).__module__.startswith("ipykernel.")


class _TerminalBar:
    """A bar in the last line of the terminal."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(stderr=True, force_terminal=True)

    def draw(self, status: _Status) -> None:
        # Not the last column: some terminals wrap a line that reaches it.
        self._replace(_rendered(self._console, status, self._console.width - 1))

    def clear(self) -> None:
        self._replace("")

    def _replace(self, text: str) -> None:
        with suppress(OSError, ValueError):  # the terminal was closed: the work continues
            self._console.file.write(f"\r\x1b[2K{text}")
            self._console.file.flush()


class _NotebookBar:
    """A bar below a cell. rich's own needs ipywidgets, and without them shows nothing."""

    def __init__(self) -> None:
        import io
        from importlib import import_module

        from rich.console import Console

        self._console = Console(
            file=io.StringIO(),
            force_terminal=True,
            force_jupyter=False,
            color_system="standard",
            width=_NOTEBOOK_COLUMNS,
        )
        # It runs the notebook, and is not a dependency of this package.
        display = import_module("IPython.display").display
        self._handle = display({"text/plain": ""}, raw=True, display_id=True)

    def draw(self, status: _Status) -> None:
        self._replace(_rendered(self._console, status, _NOTEBOOK_COLUMNS))

    def clear(self) -> None:
        self._replace("")

    def _replace(self, text: str) -> None:
        self._handle.update({"text/plain": text}, raw=True)


def _line(status: _Status) -> str:
    parts = [f"{status.phase}: {status.percent}"]
    if status.rate is not None and status.left is not None:
        parts += [f"{status.rate:,.0f} a second", f"{status.left:,.0f} s left"]
    if status.outage:
        parts.append(status.outage.describe(status.now))
    return ", ".join(parts)


def _rendered(console: "Console", status: _Status, width: int) -> str:
    """Return one line of text with a bar, in the colors of the console."""
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    rate = left = ""
    if status.rate is not None and status.left is not None:
        rate, left = f"{status.rate:,.0f}/s", f"{timedelta(seconds=round(status.left))} left"
    if status.outage:
        waited = status.now - status.outage.since
        left = f"waiting: {waited:.0f} of {status.outage.patience:.0f} s"
    percent = f"{status.percent:>4}"
    texts = (status.phase, percent, rate, left)
    # On a narrow terminal the bar becomes shorter: rich would shorten the texts.
    room = width - sum(len(text) + 1 for text in texts)
    line = Table.grid(*[""] * 5, padding=(0, 1))
    for column in line.columns:
        column.no_wrap = True
    line.add_row(
        status.phase,
        ProgressBar(status.total, status.done, width=max(1, min(_BAR_COLUMNS, room))),
        Text(percent, "progress.percentage"),
        Text(rate, "progress.data.speed"),
        Text(left, "progress.remaining"),
    )
    with console.capture() as captured:
        console.print(line, width=width, no_wrap=True, overflow="crop", crop=True)
    return captured.get().split("\n")[0].rstrip()
