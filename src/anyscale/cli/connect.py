"""The control plane that a command uses."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from shlex import join
from typing import TYPE_CHECKING, Final

import click

from anyscale.cli.terminal import log, note_outage

if TYPE_CHECKING:  # imported where it is used: the help of a command needs no control plane
    from anyscale.transport.base import Transport

host_option: Final = click.option(
    "--host",
    metavar="URL",
    help="The control plane: https://... of a server, or `embedded` for a database of your own. "
    "Default: ANYSCALE_HOST, then ~/.anyscale/credentials.json, then the embedded one.",
)


@contextmanager
def open_control_plane(host: str | None) -> Iterator["Transport"]:
    """Open the control plane that `--host`, the environment or the credentials file names.

    Its messages during long calls go to the log.

    Raises:
        ConfigError: as `resolve` and `open_transport` do.
    """
    from anyscale.config import COMMAND, resolve
    from anyscale.transport import open_transport

    target = resolve(host, None, words=COMMAND)
    with closing(open_transport(target, on_notice=log, on_outage=note_outage)) as transport:
        yield transport


def log_control_plane(transport: "Transport") -> None:
    """Log which control plane a command uses, so that the output shows a wrong `--host`."""
    log(f"Using the control plane at {transport.where}")


def suggested_command(*words: str, argument: str | None = None) -> str:
    """Return a command for a message, quoted for a shell, between backticks.

    It has the `--host` of the running command, so that it uses the same control plane.

    Args:
        words: the command and its options.
        argument: its positional argument, which may begin as an option does.
    """
    host: str | None = click.get_current_context().params["host"]
    command = ["anyscale", *words, *(["--host", host] if host else [])]
    if argument is not None:
        command += ["--", argument] if argument.startswith("-") else [argument]
    return f"`{join(command)}`"


def suggested_search(text: str, finds: str) -> str:
    """Return the end of an error: a search for a text, and its result; empty for a blank text."""
    if not text.strip():
        return ""
    return f": {suggested_command('user', 'list', '--search', text)} {finds}"
