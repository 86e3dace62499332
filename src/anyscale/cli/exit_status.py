"""What is said when a command fails, and its exit status."""

from pathlib import Path

from anyscale.cli.console import say
from anyscale.cli.formats import OutputLost, ReaderLeft
from anyscale.errors import (
    AnyscaleError,
    BatchRefused,
    BatchRunning,
    BatchUnfinished,
    ConfigError,
)

__all__ = [
    "INTERRUPTED",
    "MOST_PROBLEMS",
    "exit_status_of",
    "remember_run",
    "say_interrupted",
    "say_problems",
]

REFUSED, WRONG_INPUT, UNFINISHED, INTERRUPTED = 1, 2, 3, 130

#: lines of problems on a terminal; `-o json` gives all
MOST_PROBLEMS = 50


def exit_status_of(error: BaseException) -> int:
    """Say what went wrong, and give the exit status that goes with it."""
    if isinstance(error, KeyboardInterrupt):
        say_interrupted()
        return INTERRUPTED
    if isinstance(error, BatchRefused):
        say(f"error: {_count(len(error.problems))}; nobody was created.")
        if any(problem.code == "email_exists" for problem in error.problems):
            say("`--if-exists skip` passes over the users who have an account.")
        return WRONG_INPUT if error.input_is_at_fault else REFUSED
    if isinstance(error, BatchUnfinished | BatchRunning):
        say(f"error: {error}")
        if not isinstance(error, BatchRunning):
            say("Run the same command again: it goes on from there, or says what has come of it.")
        return UNFINISHED
    if isinstance(error, AnyscaleError):
        say(f"error: {error}")
        return WRONG_INPUT if isinstance(error, ConfigError) else REFUSED
    if isinstance(error, OutputLost):
        return _say_output_lost(error)
    say(_internal(error))
    return UNFINISHED


def _say_output_lost(error: OutputLost) -> int:
    """Say that a list could not be written; what a batch writes is not lost this way."""
    if isinstance(error, ReaderLeft):
        return 0
    say(f"error: standard output could not be written: {error}")
    return UNFINISHED


class _Remembered:
    """Whether the same command, run again, goes on where this one stops."""

    run = False


def remember_run() -> None:
    """Note that from now on the same command can go on."""
    _Remembered.run = True


def say_interrupted() -> None:
    """Say that Ctrl-C was heard, and what follows from it."""
    rest = ": run the same command again to go on where it stopped" if _Remembered.run else ""
    say(f"interrupted{rest}")


def say_problems(error: BatchRefused) -> None:
    """Give each problem a line that an editor can jump to."""
    for problem in error.problems[:MOST_PROBLEMS]:
        say(str(problem))
    if (more := len(error.problems) - MOST_PROBLEMS) > 0:
        say(f"... and {_count(more)} more: `-o json` gives all of them")


def _count(problems: int) -> str:
    return "1 problem" if problems == 1 else f"{problems} problems"


def _internal(error: BaseException) -> str:
    # Not its text and not the traceback's lines: they may hold what a user's file held.
    where = error.__traceback__
    while where and where.tb_next:
        where = where.tb_next
    place = f"{Path(where.tb_frame.f_code.co_filename).name}:{where.tb_lineno}" if where else "?"
    return f"error: a fault of this program ({type(error).__name__} at {place}): please report it"
