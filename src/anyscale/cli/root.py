"""The groups of commands, and the exit status of every command."""

from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from typing import IO, Any

import click

from anyscale import __version__
from anyscale.cli.lazy_group import LazyGroup
from anyscale.cli.signals import exit_on_signals, handle_signals, ignore_signals
from anyscale.cli.terminal import say

_GROUPS = {
    "application": (
        "application:group",
        "Create and manage the applications that sign users in.",
    ),
    "audit": ("audit:group", "Read and check the audit log."),
    "batch": ("batch:group", "List batches, show one, drop an unfinished one, undo one."),
    "completion": (
        "completion:completion",
        "Print a script that completes commands and options in SHELL.",
    ),
    "login": ("login:login", "Store a token of a server in a file that only you can read."),
    "mail": ("mail:group", "Show the mails that are due, sent and failed, and stop them."),
    "server": (
        "server:group",
        "Host a control plane: start it, create its tokens and owners.",
    ),
    "user": ("user:group", "Create users, list them, and manage their accounts."),
}

_NO_MEMORY = "error: there is not enough memory: see `ulimit -v`, or the limits of the container"
_UNFINISHED = 3


def _exit_status_of(error: BaseException) -> int:
    """Explain an error; a lack of memory first, since the explanations need some."""
    from anyscale.errors.memory import is_lack_of_memory

    if not is_lack_of_memory(error):
        try:
            from anyscale.cli.exit_status import exit_status_of

            return exit_status_of(error)
        except (ImportError, MemoryError) as new:
            if not is_lack_of_memory(new):
                raise
    say(_NO_MEMORY)
    return _UNFINISHED


class _WrongCommandLine(click.UsageError):
    """A wrong command line, which stands out on a terminal as every other error does."""

    def show(self, file: IO[Any] | None = None) -> None:
        text = StringIO()
        super().show(file or text)
        for line in text.getvalue().splitlines():
            say(line)


class _Root(LazyGroup):
    """Ends every command with the right exit status."""

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            with super()._explained():
                yield
        except click.exceptions.NoArgsIsHelpError:
            raise
        except click.UsageError as error:
            raise _WrongCommandLine(error.format_message(), error.ctx) from None

    def invoke(self, ctx: click.Context) -> Any:
        handle_signals()
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit):
            raise
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - no traceback reaches a user
            exit_on_signals()
            ctx.exit(_exit_status_of(error))
        finally:
            ignore_signals()


@click.group(
    cls=_Root,
    package="anyscale.cli",
    lazy_commands=_GROUPS,
    pages={"completion": "docs/configuration.md", "login": "docs/operations/tokens.md"},
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, "-V", "--version", message="%(prog)s %(version)s")
def root() -> None:
    """Create user accounts from a file: whole or nothing, at any size.

    \b
    Example:
      anyscale user batch-create --users-file users.yaml
    """
