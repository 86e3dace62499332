"""Open the users file of a command."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from shlex import quote

import click

from anyscale.cli.terminal import say
from anyscale.user.files import FORMATS, STDIN, UsersFile

__all__ = ["UsersFileCommand", "format_option", "one_users_file", "open_users_file"]

format_option = click.option(
    "--format",
    "file_format",
    type=click.Choice(list(FORMATS)),
    help="The format of the file. Default: what its name ends with, such as .csv; else YAML.",
)


class UsersFileCommand(click.Command):
    """A command that suggests `-f FILE` for a file without the option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        arguments = list(args)  # click empties its list
        try:
            return super().parse_args(ctx, args)
        except click.MissingParameter as error:
            _, files, _ = self.make_parser(ctx).parse_args(arguments)
            if not files:
                raise
            if files == ["help"]:
                raise click.UsageError(f"Say `{ctx.command_path} --help`.", ctx) from None
            raise click.UsageError(
                f"{error.format_message()} Say -f {quote(files[0])}", ctx
            ) from None


def one_users_file(
    _ctx: click.Context, _option: click.Parameter, paths: Sequence[str]
) -> str | None:
    """Return the path of `-f`, an option with `multiple=True`; None without the option.

    For a repeated option, click takes the last value and ignores the others silently.

    Raises:
        UsageError: the option is repeated.
    """
    if len(paths) > 1:
        raise click.UsageError(
            f"-f/--users-file is given {len(paths)} times: name one file. Join them first, or run "
            "the command for each"
        )
    return next(iter(paths), None)


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
