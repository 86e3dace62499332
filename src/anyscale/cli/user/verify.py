"""`anyscale user verify`."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import NoReturn

import click

from anyscale.cli.connect import host_option, open_control_plane
from anyscale.cli.formats import OutputLost, write_pieces, write_text
from anyscale.cli.options import OptionCommand, text_or_json_option
from anyscale.cli.terminal import (
    MOST_LISTED,
    clear_progress,
    is_quiet,
    log,
    log_change,
    say,
    show_progress,
)
from anyscale.cli.user.replaced_by_sync import refuse_replaced
from anyscale.cli.users_file import (
    file_options,
    open_users_file,
    quiet_option,
    refuse_file,
    same_person_option,
    say_notes,
    users_file_option,
)
from anyscale.comparison.differences import shown_value
from anyscale.comparison.verification import Verification
from anyscale.domain.models.users import Difference, User
from anyscale.domain.phrases import quantity
from anyscale.domain.validation import shown
from anyscale.errors import (
    AnyscaleError,
    BatchRefused,
    ConfigError,
    NotAuthenticated,
    NotPermitted,
)
from anyscale.transport.base import Transport
from anyscale.users_file import UsersFile

DIFFERENT, NOT_COMPARED = 1, 3

#: what the same command needs, run again
_AGAIN_WITH: dict[type[AnyscaleError], str] = {
    NotAuthenticated: " with a new token",
    NotPermitted: " with the token of an owner or a reader",
}


class _Verify(OptionCommand):
    """The command, which names `sync` for an option that it had."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        options = {"--apply": ["--correct"], "--at-most": ["--at-most-correct"], "--extra": []}
        refuse_replaced(ctx, "--apply", args, options)
        return super().parse_args(ctx, args)


@click.command("verify", cls=_Verify, option="-f")
@users_file_option(required=True, text="The users file, or - for standard input.")
@file_options
@click.option("--extra", is_flag=True, help="List also the accounts that the file lacks.")
@same_person_option
@quiet_option
@text_or_json_option
@host_option
def verify(
    users_file: str,
    extra: bool,
    same_person: Sequence[str],
    output: str,
    host: str | None,
) -> None:
    """Compare a users file with the accounts; passwords are neither sent nor compared.

    It compares the fields that the file has: a file without titles says nothing of titles. Only the
    email is required. If the file has external ids, such as personnel numbers, they decide whose
    account it is, and a changed email is a difference.

    It changes nothing: `anyscale user sync` corrects the accounts.

    \b
    Exit status:
      0    nothing is different
      1    something is different
      2    the command line or the file is wrong
      3    the file could not be compared
      130  interrupted

    \b
    Examples:
      anyscale user verify -f users.csv
      anyscale user verify -f users.csv --extra -o json
    """
    with open_users_file(users_file) as file:
        try:
            with open_control_plane(host) as transport:
                report = _compared(transport, file, output, same_person, extra=extra)
        except BatchRefused as error:
            refuse_file(file, error, output, "nothing was compared")
        except ConfigError:
            raise
        except AnyscaleError as error:
            _refuse(str(error), _AGAIN_WITH.get(type(error), ""))
        except OutputLost as error:
            _refuse(f"standard output could not be written: {error}")
        finally:
            clear_progress()
    if report.count:
        raise click.exceptions.Exit(DIFFERENT)


def _refuse(error: str, needed: str = "") -> NoReturn:
    """End a command that could not compare, and say how to continue."""
    say(f"error: {error}")
    say(f"The file was not compared to its end: run it again{needed}.")
    raise click.exceptions.Exit(NOT_COMPARED) from None


def _compared(
    transport: Transport,
    file: UsersFile,
    output: str,
    same_person: Sequence[str],
    *,
    extra: bool,
) -> "_Report":
    log(f"Comparing with the control plane at {transport.where}")
    verification = Verification(
        transport, file, keep_ids=extra, same_person=same_person, on_progress=show_progress
    )
    report = _Report(file.name, verification, extra=extra)
    pieces = report.json() if output == "json" else report.lines()
    # `... | head` has read enough: the summary would count a part.
    if (write_pieces if output == "json" else write_text)(pieces):
        say_notes(file)
        (log_change if report.count else log)(report.summary())
    return report


class _Report:
    """The differences as text or JSON, one after the other: a million of them take no memory."""

    def __init__(self, name: str, verification: Verification, *, extra: bool) -> None:
        self._difference_count = 0
        self._extra_count = 0
        #: of the extra accounts: the administrator has dealt with them already
        self._suspended_count = 0
        self._name = name
        self._verification = verification
        self._extra = extra

    @property
    def count(self) -> int:
        """How many differences and extra accounts were written so far."""
        return self._difference_count + self._extra_count

    def lines(self) -> Iterator[str]:
        renamed: Difference | None = None
        for difference in self._differences():
            if difference.field == "email":
                renamed = difference
            if is_quiet() and self._difference_count > MOST_LISTED:
                continue  # the summary has their number
            cell = difference.cell or f"{difference.line}:{difference.column}"
            place = f"{self._name}:{cell}"
            yield f"{place}: {_described(difference, renamed)}"
        for user in self._extra_users():
            state = " (suspended)" if user.suspended_at else ""
            yield f"{user.email}: has an account ({user.user_id}) and is not in the file{state}"

    def json(self) -> Iterator[str]:
        yield from _json_list('{"differences": [', self._differences())
        yield f', "checked": {self._verification.checked}'
        if self._extra:
            yield from _json_list(', "extra": [', self._extra_users())
        yield "}\n"

    def summary(self) -> str:
        users = quantity(self._verification.checked, "user")
        text = f"{users} checked: {quantity(self._difference_count, 'difference')}."
        if self._extra:
            text += f" {_extra_counted(self._extra_count, self._suspended_count)}"
        return text

    def _differences(self) -> Iterator[Difference]:
        for difference in self._verification.differences():
            self._difference_count += 1
            clear_progress()
            yield difference

    def _extra_users(self) -> Iterator[User]:
        for user in self._verification.extra() if self._extra else chain[User]():
            self._extra_count += 1
            self._suspended_count += user.suspended_at is not None
            yield user


def _extra_counted(count: int, suspended: int) -> str:
    text = f"{quantity(count, 'account')} {'is' if count == 1 else 'are'} not in the file"
    if not suspended:
        return f"{text}."
    return (
        f"{text}, and it is suspended." if count == 1 else f"{text}, {suspended} of them suspended."
    )


def _json_list(opening: str, values: Iterable[Difference | User]) -> Iterator[str]:
    """Give a list in JSON. It is opened with its first value: an earlier failure writes nothing.

    Args:
        opening: the text up to the bracket, which begins the list.
        values: of the list.
    """
    from msgspec.json import encode

    separator = opening
    for value in values:
        yield f"{separator}\n  {encode(value).decode()}"
        separator = ","
    yield "]" if separator == "," else f"{opening}]"


def _described(difference: Difference, renamed: Difference | None) -> str:
    """Describe a difference; `renamed` is the last one that was of an email."""
    email = shown(difference.email)
    if renamed and renamed.index == difference.index:  # the email of the account is another one
        email = shown_value(renamed.account)
    if difference.kind == "question":
        return f"{difference.reason}: is it the same person? `anyscale user sync` asks"
    if difference.kind == "missing":
        return f"{email} has no account"
    if difference.kind == "suspended":
        return f"the account of {email} is suspended"
    ours, theirs = map(shown_value, (difference.file, difference.account))
    kept = ", which no file changes since it is an owner's" if difference.kept else ""
    whose = "with the same external_id" if difference is renamed else f"of {email}"
    return f"{difference.field} is {ours}, and {theirs} in the account {whose}{kept}"
