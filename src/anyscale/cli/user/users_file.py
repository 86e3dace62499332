"""Open the users file of a command."""

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager

from anyscale.cli.console import say
from anyscale.user.files import STDIN, UsersFile

__all__ = ["open_users_file"]


@contextmanager
def open_users_file(path: str, file_format: str | None) -> Iterator[UsersFile]:
    """Open a users file, or standard input for `-`; on a terminal, say how to end the input.

    Raises:
        ConfigError: it cannot be opened.
    """
    if path == STDIN and sys.stdin and sys.stdin.isatty():
        say("Reading users from the terminal: end with Ctrl-D.")
    with closing(UsersFile.open(path, file_format)) as file:
        yield file
