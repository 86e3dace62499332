"""What Ctrl-C does, and the signals that a service manager or a closed terminal sends."""

import os
import signal
import sys
from collections.abc import Callable
from types import FrameType

from anyscale.cli.terminal import say

#: seconds after which the callback has probably ended; if not, the signal comes again
_SOON = 0.005

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def handle_signals() -> None:
    """Stop the work in order at the first signal, so that it can be resumed; exit at the second."""
    _State.react = _interrupt
    sys.unraisablehook = _repeat_if_lost
    for number in _SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:  # as for a job in the background
            signal.signal(number, _handle)


def exit_on_signals() -> None:
    """Exit at the next signal: the work has stopped, and is being reported."""
    _State.react = _exit_at_once


def ignore_signals() -> None:
    """Ignore signals up to the last instruction of the process: its exit status is decided."""
    _State.react = _ignore
    # Python's end would restore the default action of handled signals, and so replace the status.
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _handle(_number: int, _frame: FrameType | None) -> None:
    _State.react()


def _interrupt() -> None:
    _State.react = _exit_at_once
    raise KeyboardInterrupt


def _repeat_if_lost(error: "sys.UnraisableHookArgs") -> None:
    """Interrupt again if the interrupt came inside a callback, such as one of the import system.

    Python ignores an exception there and prints it; the command would continue. After an interrupt
    it would also print how an object failed at its end that was interrupted while it was created.
    """
    if error.exc_type is not KeyboardInterrupt:
        if _State.react is _interrupt:
            sys.__unraisablehook__(error)
        return
    _State.react = _interrupt
    signal.signal(signal.SIGALRM, _handle)
    signal.setitimer(signal.ITIMER_REAL, _SOON)


def _exit_at_once() -> None:
    from anyscale.cli.exit_status import INTERRUPTED, interrupted_message

    try:
        say(interrupted_message())
    except RuntimeError:  # the signal came inside a write to standard error, which is not reentrant
        os.write(2, f"{interrupted_message()}\n".encode())
    finally:
        # Not sys.exit, which would wait for the threads, as the first Ctrl-C does.
        os._exit(INTERRUPTED)


def _ignore() -> None:
    pass


class _State:
    #: One assignment changes it for all signals, which can come between any two instructions.
    react: Callable[[], None] = staticmethod(_ignore)
