"""Turn an error into the lines that explain it and the exit status of the command."""

import errno
import os
from pathlib import Path

from anyscale.cli.formats import OutputLost
from anyscale.cli.terminal import say
from anyscale.domain.data_dir import data_dir
from anyscale.domain.phrases import quantity
from anyscale.errors import (
    AnyscaleError,
    BatchGone,
    BatchRefused,
    BatchRunning,
    BatchUnfinished,
    ConfigError,
    NotAuthenticated,
)

REFUSED, WRONG_INPUT, UNFINISHED, INTERRUPTED = 1, 2, 3, 130

#: how to continue after an interrupt of a run that can be resumed
GO_ON = "run the same command again to continue where it stopped"

_NOT_WRITABLE = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})

_SKIP = "`--if-exists skip` skips the users who have an account."

_AGAIN = "Run the same command again: it continues where this one stopped, or reports the result."

_AGAIN_WITH_TOKEN = _AGAIN.replace("again:", "again with a new token:")

#: The batch was dropped or has expired, or another process has published it.
_AGAIN_ANEW = (
    "Run the same command again: it begins a new batch, or reports the result if the users were "
    "created."
)


def exit_status_of(error: BaseException) -> int:
    """Explain an error on standard error; return the exit status."""
    if isinstance(error, KeyboardInterrupt):
        say(interrupted_message())
        return INTERRUPTED
    if isinstance(error, BatchRefused):
        say(f"error: {quantity(error.count, 'problem')}; nobody was created.")
        if error.codes["email_exists"]:
            # The command adds a note if it knows more about the accounts.
            say(next(iter(_notes(error)), _SKIP))
        return WRONG_INPUT if error.input_is_at_fault else REFUSED
    if isinstance(error, BatchUnfinished | BatchRunning):
        say(f"error: {error}")
        if isinstance(error, BatchUnfinished):
            # The command adds a note if the same command does not resume the run.
            say(next(iter(_notes(error)), _advice(error)))
        return UNFINISHED
    if isinstance(error, UnicodeEncodeError):  # the text of an argument goes to the control plane
        error = ConfigError("an argument is not UTF-8")
    if isinstance(error, AnyscaleError):
        _say_error(error)
        _say_other_folder(error.__cause__)
        return WRONG_INPUT if isinstance(error, ConfigError) else REFUSED
    # The output of a list: `batch-create` raises BatchUnfinished if its own result is lost.
    if isinstance(error, OutputLost):
        say(f"error: standard output could not be written: {error}")
        _say_notes(error)
    else:
        say(_internal(error))
    return UNFINISHED


def _advice(error: BatchUnfinished) -> str:
    """Return how to continue after a run that is unfinished."""
    if isinstance(error.__cause__, BatchGone):
        return _AGAIN_ANEW
    return _AGAIN_WITH_TOKEN if isinstance(error.__cause__, NotAuthenticated) else _AGAIN


def _say_error(error: AnyscaleError) -> None:
    for message in error.args if isinstance(error, ConfigError) else [error]:
        say(f"error: {message}")
    _say_notes(error)


def _say_notes(error: BaseException) -> None:
    for note in _notes(error):
        say(note)


def _notes(error: BaseException) -> list[str]:
    return getattr(error, "__notes__", [])


def _say_other_folder(cause: BaseException | None) -> None:
    """Say how to use another data directory, if this user cannot write the present one."""
    if not isinstance(cause, OSError) or cause.errno not in _NOT_WRITABLE:
        return
    failed = Path(os.fsdecode(cause.filename or ""))
    try:
        folder = data_dir(os.environ)
    except ConfigError:  # a command with a server does not need it
        return
    # A folder above it that cannot be created is named by the error as well.
    if failed.is_relative_to(folder) or folder.is_relative_to(failed):
        say("Set ANYSCALE_DATA_DIR to a folder that you can write to.")


class _State:
    #: Its text says what an interrupt leaves, and how to continue; empty if there is nothing.
    explanation: object = ""


def explain_interrupt(explanation: object) -> None:
    """Set the message of an interrupt from now on: the text of `explanation` at that moment."""
    _State.explanation = explanation


def interrupted_message() -> str:
    """Return the message that confirms an interrupt and says how to continue."""
    explanation = str(_State.explanation)
    return f"interrupted: {explanation}" if explanation else "interrupted"


def _internal(error: BaseException) -> str:
    # Neither its text nor the traceback: they may contain parts of a users file.
    frame = error.__traceback__
    while frame and frame.tb_next:
        frame = frame.tb_next
    place = f"{Path(frame.tb_frame.f_code.co_filename).name}:{frame.tb_lineno}" if frame else "?"
    return f"error: a fault of this program ({type(error).__name__} at {place}): please report it"
