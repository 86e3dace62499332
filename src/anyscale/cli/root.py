"""The groups of commands, what happens on a signal, and the exit status of every command."""

import os
import signal
from types import FrameType
from typing import Any

import click

from anyscale import __version__
from anyscale.cli.console import say
from anyscale.cli.lazy_group import LazyGroup

__all__ = ["root"]

_GROUPS = {
    "audit": ("audit:group", "Read and check the audit log."),
    "batch": ("batch:group", "List batches, show one, drop an unfinished one."),
    "completion": (
        "completion:completion",
        "Print a script that completes commands and options in SHELL.",
    ),
    "server": (
        "server:group",
        "Host a control plane: start it, create its tokens and owners.",
    ),
    "user": ("user:group", "Create users, list them, and manage their accounts."),
}

#: Ctrl-C, and the signals that a service manager or a closed terminal sends
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _Root(LazyGroup):
    """Ends every command with the right exit status."""

    def invoke(self, ctx: click.Context) -> Any:
        for number in _SIGNALS:
            if signal.getsignal(number) != signal.SIG_IGN:  # as for a job in the background
                signal.signal(number, _interrupt)
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit):
            raise
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - no traceback reaches a user
            from anyscale.cli.exit_status import exit_status_of

            ctx.exit(exit_status_of(error))
        finally:
            # The exit status is decided. A signal while Python exits would replace it.
            signal.signal(signal.SIGINT, signal.SIG_IGN)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    """Stop the work in order at the first Ctrl-C, so that it can be resumed; exit at the second."""
    for number in _SIGNALS:
        signal.signal(number, _exit_at_once)
    raise KeyboardInterrupt


def _exit_at_once(_number: int, _frame: FrameType | None) -> None:
    from anyscale.cli.exit_status import INTERRUPTED, interrupted_message

    try:
        say(interrupted_message())
    except RuntimeError:  # the signal came inside a write to standard error, which is not reentrant
        os.write(2, f"{interrupted_message()}\n".encode())
    finally:
        # Not sys.exit, which would wait for the threads, as the first Ctrl-C does.
        os._exit(INTERRUPTED)


@click.group(
    cls=_Root,
    package="anyscale.cli",
    lazy_commands=_GROUPS,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, message="%(prog)s %(version)s")
def root() -> None:
    """Create user accounts from a file: whole or nothing, at any size.

    \b
    Example:
      anyscale user batch-create --users-file users.yaml
    """
