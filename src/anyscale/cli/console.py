"""How far long work is: a bar on a terminal, a line now and then elsewhere."""

import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress

__all__ = ["pause", "show"]

#: seconds of work before anything is drawn
_PATIENCE = 1.0

#: seconds between two lines where there is no terminal
_LINE_EVERY = 10.0


class _State:
    bar: "Progress | None" = None
    phase = ""
    started = 0.0
    last_line = 0.0


def show(phase: str, done: int, total: int) -> None:
    """Say how far a phase is. Called often; it draws seldom."""
    now = time.monotonic()
    if phase != _State.phase:
        pause()
        _State.phase, _State.started, _State.last_line = phase, now, now
    if now - _State.started < _PATIENCE or not total:
        return
    if sys.stderr.isatty():
        _draw(phase, done, total)
    elif now - _State.last_line >= _LINE_EVERY:
        _State.last_line = now
        _tell(phase, done, total, now - _State.started)


def pause() -> None:
    """Take the bar away, so that a line can be written; the next `show` draws it again."""
    if _State.bar:
        _State.bar.stop()
        _State.bar = None


def _tell(phase: str, done: int, total: int, seconds: float) -> None:
    from anyscale.cli.formats import log

    left = seconds / done * (total - done) if done else 0
    rate = f", {done / seconds:.0f} a second" if phase == "Hashing" else ""
    log(f"{phase}: {done * 100 // total}%{rate}, {left:.0f} s left")


def _draw(phase: str, done: int, total: int) -> None:
    if _State.bar is None:
        _State.bar = _new_bar(phase)
    seconds = time.monotonic() - _State.started
    rate = f"{done / seconds:.0f}/s" if phase == "Hashing" else ""
    _State.bar.update(_State.bar.task_ids[0], completed=done, total=total, rate=rate)


def _new_bar(phase: str) -> "Progress":
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        TextColumn("left"),
        console=Console(stderr=True),
        transient=True,
    )
    bar.add_task(phase, total=None, rate="")
    bar.start()
    return bar
