"""The commands, by name, module and one line of help. Only what is used is imported."""

import os
import signal
from importlib import import_module
from types import FrameType
from typing import Any

import click

from anyscale import __version__

__all__ = ["root"]

_GROUPS = {
    "audit": ("anyscale.cli.audit", "Read and check the trail of who did what."),
    "batch": ("anyscale.cli.batch", "Look at batches and drop unfinished ones."),
    "completion": ("anyscale.cli.completion", "Print the completion script of a shell."),
    "server": (
        "anyscale.cli.server",
        "Host a control plane: start it, and make its tokens and owners.",
    ),
    "user": ("anyscale.cli.user.commands", "Create users, list them, and change their accounts."),
}


#: Ctrl-C, and the ends that a service manager or a closed terminal brings
_ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _Root(click.Group):
    """Loads a group when it is used, and ends every command with the right exit status."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(_GROUPS)

    def get_command(self, _ctx: click.Context, name: str) -> click.Command | None:
        if name not in _GROUPS:
            return None
        command = import_module(_GROUPS[name][0]).command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _GROUPS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        for number in _ENDINGS:
            if signal.getsignal(number) != signal.SIG_IGN:  # as for a job in the background
                signal.signal(number, _interrupt)
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit):
            raise
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the last door
            from anyscale.cli.exit_status import exit_status_of

            ctx.exit(exit_status_of(error))
        finally:
            # The status is settled. Python's own end would give it up for the signal's.
            signal.signal(signal.SIGINT, signal.SIG_IGN)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    """End the work in order at the first Ctrl-C, and at once at the second: it can go on later."""
    for number in _ENDINGS:
        signal.signal(number, _end_at_once)
    raise KeyboardInterrupt


def _end_at_once(_number: int, _frame: FrameType | None) -> None:
    from anyscale.cli.exit_status import INTERRUPTED, say_interrupted

    say_interrupted()
    # Not an exit: that would wait for the threads, which is what the first Ctrl-C does.
    os._exit(INTERRUPTED)


@click.group(cls=_Root, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="%(prog)s %(version)s")
def root() -> None:
    """Create user accounts from a file: whole or nothing, at any size.

    \b
    Example:
      anyscale user batch-create --users-file users.yaml
    """
