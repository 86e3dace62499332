"""Standard error: log lines, messages, and how far long work is.

On a terminal, progress is a bar; elsewhere it is a log line every few seconds.
"""

import os
import sys
import time
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress

__all__ = ["clear_progress", "escaped", "log", "null_stream", "say", "show_progress"]

#: When the command started: this module is the first one that it loads.
_STARTED = time.monotonic()

#: seconds of work before any progress is shown
_SHOW_AFTER = 1.0

#: seconds between two log lines where there is no terminal
_LINE_EVERY = 10.0


class _State:
    bar: "Progress | None" = None
    phase = ""
    started = 0.0
    last_line = 0.0


def log(text: str) -> None:
    """Write a log line, with the seconds since the command started."""
    say(f"(anyscale +{time.monotonic() - _STARTED:.1f}s) {text}")


def say(text: str) -> None:
    """Write a line. If standard error cannot be written, the work goes on without it.

    It may have the text of a server, a database or a file name.
    """
    clear_progress()
    try:
        sys.stderr.write(f"{escaped(text)}\n")
        sys.stderr.flush()
    except OSError:
        sys.stderr = null_stream()


def escaped(text: str) -> str:
    """Escape what is not printable: it may control a terminal, or forge a line."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)


def show_progress(phase: str, done: int, total: int) -> None:
    """Show how far a phase is. It may be called often; it draws seldom."""
    now = time.monotonic()
    if phase != _State.phase:
        clear_progress()
        _State.phase, _State.started, _State.last_line = phase, now, now
    if now - _State.started < _SHOW_AFTER or not total:
        return
    if sys.stderr.isatty():
        _draw(phase, done, total, now - _State.started)
    elif now - _State.last_line >= _LINE_EVERY:
        _State.last_line = now
        _log_progress(phase, done, total, now - _State.started)


def clear_progress() -> None:
    """Remove the bar, so that a line can be written; the next `show_progress` draws it again."""
    if _State.bar:
        _State.bar.stop()
        _State.bar = None


def null_stream() -> TextIO:
    """Return a stream that discards all text, in place of one that cannot be written."""
    return open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123 - pathlib takes long to load


def _log_progress(phase: str, done: int, total: int, seconds: float) -> None:
    remaining = seconds / done * (total - done) if done else 0
    rate = f", {done / seconds:.0f} a second" if phase == "Hashing" else ""
    log(f"{phase}: {done * 100 // total}%{rate}, {remaining:.0f} s left")


def _draw(phase: str, done: int, total: int, seconds: float) -> None:
    if _State.bar is None:
        _State.bar = _new_bar(phase)
    rate = f"{done / seconds:.0f}/s" if phase == "Hashing" else ""
    _State.bar.update(_State.bar.task_ids[0], completed=done, total=total, rate=rate)


def _new_bar(phase: str) -> "Progress":
    from rich import console, progress

    bar = progress.Progress(
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.TaskProgressColumn(),
        progress.TextColumn("{task.fields[rate]}"),
        progress.TimeRemainingColumn(),
        progress.TextColumn("left"),
        console=console.Console(stderr=True),
        transient=True,
    )
    bar.add_task(phase, total=None, rate="")
    bar.start()
    return bar
