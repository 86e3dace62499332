"""Open the users file of a command."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import reduce
from shlex import quote
from typing import Any, Final, NoReturn

import click

from anyscale.cli.options import not_empty
from anyscale.cli.problem_report import report_problems
from anyscale.cli.terminal import be_quiet, escaped, is_quiet, say
from anyscale.domain.phrases import quantity
from anyscale.errors import BatchRefused, ConfigError
from anyscale.malloc import return_large_blocks
from anyscale.users_file import FORMATS, STDIN, UsersFile
from anyscale.users_file.tables.header import chosen_columns

WRONG_FILE = 2

#: where a command keeps how its file is to be read, and the columns as they were typed
_CHOICES, _TYPED = f"{__name__}.choices", f"{__name__}.columns"

#: characters of the name of a column that a hint repeats
_LONGEST = 100


def _keep(ctx: click.Context, option: click.Parameter, value: Any) -> None:
    ctx.meta.setdefault(_CHOICES, {})[option.name] = value


def _keep_columns(ctx: click.Context, option: click.Parameter, texts: Sequence[str]) -> None:
    ctx.meta[_TYPED] = texts
    try:
        _keep(ctx, option, chosen_columns(texts))
    except ConfigError as error:
        raise click.UsageError(f"--column {error}") from None


_FILE_OPTIONS = (
    click.option(
        "--format",
        "file_format",
        type=click.Choice(list(FORMATS)),
        expose_value=False,
        callback=_keep,
        help="The format of the file. Default: what its name ends with, such as .csv; else YAML.",
    ),
    click.option(
        "--column",
        "columns",
        multiple=True,
        expose_value=False,
        callback=_keep_columns,
        metavar="HEADER=FIELD",
        help="For CSV and Excel: the field of a column, like Vorname=name. Nothing after the = "
        "leaves the column out. Repeatable.",
    ),
    click.option(
        "--sheet",
        expose_value=False,
        callback=_keep,
        metavar="NAME",
        help="For Excel: the sheet. Default: the first visible one.",
    ),
    click.option(
        "--encoding",
        expose_value=False,
        callback=_keep,
        metavar="NAME",
        help="For CSV: the encoding, such as windows-1252. Default: UTF-8.",
    ),
)


def file_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that say how `open_users_file` reads the file."""
    return reduce(lambda done, option: option(done), reversed(_FILE_OPTIONS), command)


def _choices() -> dict[str, Any]:
    """Return the values of these options of the running command, as `UsersFile.open` takes them."""
    choices: dict[str, Any] = click.get_current_context().meta[_CHOICES]
    return choices


def chosen_file_options() -> list[str]:
    """Return the names of these options that were used."""
    names = {"file_format": "format", "columns": "column"}
    return [f"--{names.get(name, name)}" for name, value in _choices().items() if value]


quiet_option: Final = click.option(
    "-q",
    "--quiet",
    is_flag=True,
    expose_value=False,
    callback=lambda _ctx, _option, quiet: be_quiet(quiet),
    help="Write only what is changed and what is wrong, in lists of at most 50 lines.",
)


unterminated_option: Final = click.option(
    "--unterminated",
    is_flag=True,
    help="Accept a CSV or YAML file whose last line has no end: it was not cut off.",
)


def require_end(file: UsersFile, effect: str, outcome: str) -> None:
    """Raise `ConfigError` if the file that was read may be cut off, and say what that would do."""
    if file.may_be_cut:
        # Google Sheets ends no CSV. The last cell may be cut even if the line has all of its cells.
        sheets = ", from Google Sheets as .xlsx" if file.format.is_table else ""
        raise ConfigError(
            f"the last line of {file.name} has no end, so it may be cut off, and {effect}: "
            f"{outcome}. Export it again{sheets}, or use --unterminated if it is complete"
        )


def say_notes(file: UsersFile) -> None:
    """Say which columns were recognized, and what was passed over."""
    for note in [] if is_quiet() else file.notes.lines:
        say(note)


def column_hint(file: UsersFile, error: BatchRefused) -> str | None:
    """Return the way to take the columns of a table without editing it."""
    proposed = file.notes.proposed_choices
    is_unknown = error.codes["unknown_key"] > file.notes.nameless_columns
    if not file.format.is_table or not (proposed or is_unknown):
        return None
    choices = [
        f"{shown if len(shown) <= _LONGEST else 'HEADER'}={field}"
        for shown, field in ((" ".join(name.split()), field) for name, field in proposed.items())
    ]
    if any(proposed.values()):
        return f"Without editing the file: {_options(choices)}."
    them = "them" if len(choices) > 1 else "it"
    return (
        f"Without editing the file: {_options(choices or ['HEADER='])} leaves {them} out, and "
        "`--column HEADER=FIELD` names the field of a column."
    )


def _options(choices: Sequence[str]) -> str:
    return f"`{' '.join(f'--column {quote(escaped(choice))}' for choice in choices)}`"


def reading_options() -> list[str]:
    """Return the options that the running command reads its file with, for another command."""
    choices = _choices()
    options = ["--format", choices["file_format"]] if choices["file_format"] else []
    options += [f"--column={text}" for text in click.get_current_context().meta[_TYPED]]
    named = (name for name in ("sheet", "encoding") if choices[name] is not None)
    return options + [f"--{name}={choices[name]}" for name in named]


same_person_option = click.option(
    "--same-person",
    multiple=True,
    callback=not_empty,
    metavar="NUMBER|EMAIL",
    help="The account in question is that of the user with this external id or email. Repeatable.",
)


def _one_users_file(
    _ctx: click.Context, option: click.Parameter, paths: Sequence[str]
) -> str | None:
    # For a repeated option, click takes the last value and ignores the others silently.
    if len(paths) > 1:
        names = "/".join(sorted(option.opts, key=len))
        raise click.UsageError(
            f"{names} is given {len(paths)} times: name one file. Join them first, "
            "or run the command for each"
        )
    return next(iter(paths), None)


def users_file_option(
    *names: str, text: str, required: bool = False
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return the option of a users file: by default `--users-file/-f`.

    Args:
        names: of another option.
        text: its help.
        required: whether the command needs it.
    """
    return click.option(
        *(names or ("--users-file", "-f")),
        required=required,
        multiple=True,
        callback=_one_users_file,
        type=click.Path(),
        metavar="PATH",
        help=text,
    )


def refuse_file(file: UsersFile, error: BatchRefused, output: str, outcome: str) -> NoReturn:
    """Report the problems of a file in the format of `-o`, and end the command with status 2."""
    report_problems(error, output)
    if hint := column_hint(file, error):
        say(hint)
    say_notes(file)
    say(f"error: {quantity(error.count, 'problem')}; {outcome}.")
    raise click.exceptions.Exit(WRONG_FILE) from None


@contextmanager
def open_users_file(path: str) -> Iterator[UsersFile]:
    """Open a users file, or standard input for `-`, as the options of the running command say.

    On a terminal, it says how to end the input.

    Raises:
        ConfigError: it cannot be opened, or an option is for files of another format.
    """
    return_large_blocks()  # the chunks of the file need much memory, one after the other
    if path == STDIN and sys.stdin and sys.stdin.isatty():
        say("Reading users from the terminal: end with Ctrl-D.")
    choices = _choices()
    with closing(UsersFile.open(path, **choices)) as file:
        file.require_options("--format {}".format)
        yield file
