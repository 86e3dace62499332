"""Standard error: log lines, messages, questions, and the progress of long work.

On a terminal, progress is a bar; elsewhere it is a log line every few seconds.
"""

import os
import sys
import time
from typing import TYPE_CHECKING, Final, TextIO

from anyscale.domain.phrases import with_command

if TYPE_CHECKING:  # loaded when work takes long
    from anyscale.progress import ProgressDisplay
    from anyscale.transport.base import Outage

#: When the command started: this module is the first one that it loads.
_STARTED = time.monotonic()


#: lines of a list that nobody is to read to its end
MOST_LISTED: Final = 50


class _State:
    display: "ProgressDisplay | None" = None
    #: whether only changes, problems and errors are written
    is_quiet = False


def be_quiet(quiet: bool) -> None:
    """Write no log lines and no progress from now on, but changes, problems and errors."""
    _State.is_quiet = quiet


def is_quiet() -> bool:
    """Whether only changes, problems and errors are written."""
    return _State.is_quiet


def log(text: str) -> None:
    """Write a log line, with the seconds since the command started."""
    if not _State.is_quiet:
        log_change(text)


def log_change(text: str) -> None:
    """Write a log line about something that was changed, or is to be changed."""
    say(f"(anyscale +{time.monotonic() - _STARTED:.1f}s) {text}")


def say(text: str) -> None:
    """Write a line. If standard error cannot be written, the work continues without it.

    It may have the text of a server, a database or a file name. A command in it is named as the
    operator runs it.
    """
    clear_progress()
    try:
        sys.stderr.write(f"{_with_colours(escaped(with_command(text, os.environ)))}\n")
        sys.stderr.flush()
    except OSError:
        sys.stderr = null_stream()


def _with_colours(text: str) -> str:
    """Return a line with `error` in red, and names and commands in bold, if a terminal has colours.

    That is not so with NO_COLOR (no-color.org), TERM=dumb or no terminal.
    """
    has_colours = sys.stderr.isatty() and os.environ.get("TERM") not in (None, "dumb", "unknown")
    if not has_colours or os.environ.get("NO_COLOR"):
        return text
    import re  # click has imported it

    text = re.sub(r"(`[^`]+`|(?<!\w)'[^']+'(?!\w))", "\x1b[1m\\1\x1b[0m", text)
    return re.sub("^([Ee]rror:)", "\x1b[1;31m\\1\x1b[0m", text)


def ask(question: str) -> str:
    """Write a question; return the answer, empty if the terminal ends or it is not UTF-8."""
    say(question)
    try:
        return sys.stdin.readline().strip()
    except UnicodeDecodeError:  # the terminal has another encoding
        return ""


def confirm(effect: str, otherwise: str, *, yes: bool) -> None:
    """Ask before something is changed, unless `--yes` was said.

    Args:
        effect: a sentence.
        otherwise: what is true if the answer is not yes.
        yes: whether the option was given.

    Raises:
        ConfigError: there is no terminal, or the answer is not yes.
    """
    if yes:
        return
    from anyscale.errors import ConfigError

    require_terminal(otherwise)
    if ask(f"{effect} Type yes to continue:") != "yes":
        raise ConfigError(f"that is not yes: {otherwise}")


def require_terminal(otherwise: str) -> None:
    """Raise a `ConfigError` if no user can see and answer a question, as in a script."""
    if all(stream and stream.isatty() for stream in (sys.stdin, sys.stderr)):
        return
    from anyscale.errors import ConfigError

    raise ConfigError(
        f"cannot ask, since standard input is not a terminal: use --yes to continue; {otherwise}"
    )


def escaped(text: str) -> str:
    """Escape what is not printable: it may control a terminal, or forge a line."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)


def show_progress(phase: str, done: int, total: int, count: int | None = None) -> None:
    """Show the progress of a phase, and its number of users or passwords: by default `done`."""
    if _State.is_quiet:
        return
    from anyscale.progress import ProgressDisplay

    _State.display = _State.display or ProgressDisplay(log)
    _State.display.show(phase, done, total, done if count is None else count)


def note_outage(outage: "Outage") -> None:
    """Show an outage until more is done: see `ProgressDisplay.note_outage`."""
    if _State.display:
        _State.display.note_outage(outage)


def clear_progress() -> None:
    """Remove the bar, so that a line can be written; the next `show_progress` draws it again."""
    if _State.display:
        _State.display.clear()


def null_stream() -> TextIO:
    """Return a stream that discards all text, in place of one that cannot be written."""
    return open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123 - pathlib takes long to load


def is_null_stream(stream: TextIO) -> bool:
    """Return whether a stream is in place of one that cannot be written."""
    return getattr(stream, "name", None) == os.devnull
