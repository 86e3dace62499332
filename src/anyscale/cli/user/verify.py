"""`anyscale user verify`."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import NoReturn

import click

from anyscale.cli.connect import host_option, open_control_plane
from anyscale.cli.exit_status import GO_ON, explain_interrupt
from anyscale.cli.formats import OutputLost, write_pieces, write_text
from anyscale.cli.options import OptionCommand, WholeNumber, text_or_json_option
from anyscale.cli.terminal import (
    MOST_LISTED,
    clear_progress,
    confirm,
    is_quiet,
    log,
    log_change,
    say,
    show_progress,
)
from anyscale.cli.user.sign_in_hint import locked_out_hint
from anyscale.cli.users_file import (
    file_options,
    open_users_file,
    quiet_option,
    refuse_file,
    require_end,
    same_person_option,
    say_notes,
    unterminated_option,
    users_file_option,
)
from anyscale.comparison.corrections import Confirmed, Correction, correct, correct_emails
from anyscale.comparison.differences import shown_value
from anyscale.comparison.verification import Verification
from anyscale.domain.models.users import Difference, User
from anyscale.domain.phrases import quantity
from anyscale.domain.validation import shown
from anyscale.errors import (
    AnyscaleError,
    BatchRefused,
    BatchUnfinished,
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
    NotPermitted: " with an owner's token",
}


@click.command("verify", cls=OptionCommand, option="-f")
@users_file_option(required=True, text="The users file, or - for standard input.")
@file_options
@click.option("--extra", is_flag=True, help="List also the accounts that the file lacks.")
@click.option(
    "--apply", is_flag=True, help="Then correct the accounts: names, titles, emails, numbers, SSO."
)
@click.option(
    "--at-most",
    type=WholeNumber(min=0),
    help="With --apply: correct nobody if it would be more.",
)
@click.option("--yes", is_flag=True, help="With --apply: do not ask for confirmation.")
@same_person_option
@unterminated_option
@quiet_option
@text_or_json_option
@host_option
def verify(
    users_file: str,
    extra: bool,
    apply: bool,
    at_most: int | None,
    yes: bool,
    same_person: Sequence[str],
    unterminated: bool,
    output: str,
    host: str | None,
) -> None:
    """Compare a users file with the accounts; passwords are neither sent nor compared.

    It compares the fields that the file has: a file without titles says nothing of titles. Only the
    email is required. If the file has external ids, such as personnel numbers, they decide whose
    account it is, and a changed email is a difference.

    With --apply it shows the differences, asks, and sets the fields of the accounts to those of the
    file. It stops at an account that somebody has edited since. It creates, suspends and restores
    nobody. After an interruption, the same command continues.

    \b
    Exit status:
      0    nothing is different, or all of it was corrected
      1    something is different
      2    the command line or the file is wrong
      3    the file could not be compared, or not all was corrected
      130  interrupted

    \b
    Examples:
      anyscale user verify -f users.csv
      anyscale user verify -f users.csv --apply
    """
    if at_most is not None and not apply:
        raise click.UsageError("--at-most is for --apply")
    if same_person and apply:
        raise click.UsageError(
            "--same-person is for a comparison: `anyscale user sync --correct` corrects the account"
        )
    if unterminated and not apply:
        raise click.UsageError("--unterminated is for --apply")
    with open_users_file(users_file) as file:
        try:
            with open_control_plane(host) as transport:
                report = _compared(transport, file, output, same_person, extra=extra, apply=apply)
                different = report.count
                if apply:
                    different = _applied(
                        *(transport, file, report, at_most),
                        unterminated=unterminated,
                        yes=yes,
                    )
        except BatchRefused as error:
            refuse_file(file, error, output, "nothing was compared")
        except (ConfigError, BatchUnfinished):
            raise
        except AnyscaleError as error:
            _refuse(str(error), _AGAIN_WITH.get(type(error), ""))
        except OutputLost as error:
            _refuse(f"standard output could not be written: {error}")
        finally:
            clear_progress()
    if different:
        raise click.exceptions.Exit(DIFFERENT)


def _refuse(error: str, needed: str = "") -> NoReturn:
    """End a command that could not compare, and say how to continue."""
    say(f"error: {error}")
    say(f"The file was not compared to its end, and nothing was changed: run it again{needed}.")
    raise click.exceptions.Exit(NOT_COMPARED) from None


def _compared(
    transport: Transport,
    file: UsersFile,
    output: str,
    same_person: Sequence[str],
    *,
    extra: bool,
    apply: bool,
) -> "_Report":
    """Compare and write the differences."""
    log(f"Comparing with the control plane at {transport.where}")
    verification = Verification(
        transport, file, keep_ids=extra, same_person=same_person, on_progress=show_progress
    )
    report = _Report(file.name, verification, Confirmed() if apply else None, extra=extra)
    pieces = report.json() if output == "json" else report.lines()
    if not (write_pieces if output == "json" else write_text)(pieces):
        if not apply:  # `... | head` has read enough; the summary would count a part
            return report
        deque(pieces, 0)  # the question and the exit status are about all differences
    say_notes(file)
    (log_change if report.count else log)(report.summary())
    return report


def _applied(
    transport: Transport,
    file: UsersFile,
    compared: "_Report",
    at_most: int | None,
    *,
    unterminated: bool,
    yes: bool,
) -> int:
    """Correct the accounts that differ; return how many differences and extra accounts remain."""
    confirmed = compared.confirmed
    assert confirmed is not None
    if not confirmed.accounts:
        log("There is nothing to correct.")
        return compared.count
    if not unterminated:
        require_end(file, "a cut value would become that of an account", "nobody was corrected")
    count = quantity(confirmed.accounts, "account")
    if at_most is not None and confirmed.accounts > at_most:
        say(f"error: {count} to correct, and --at-most is {at_most}: nobody was corrected")
        raise click.exceptions.Exit(DIFFERENT)
    confirm(f"This corrects {count}.", "nobody was corrected", yes=yes)
    now = _Report(file.name, Verification(transport, file), None, extra=False)
    fields = _correct_all(transport, confirmed.corrections(now.differences()), confirmed.accounts)
    return now.count - fields + compared.extra_count


def _correct_all(transport: Transport, corrections: Iterable[Correction], count: int) -> int:
    """Make the corrections; return how many fields were corrected."""
    done = _Done(count)
    try:
        emails = [one for one in corrections if done.correct(transport, one)]
        for correction, refusal in correct_emails(transport, emails):
            done.note_email(correction, refusal)
    except AnyscaleError as error:
        message = f"{done.accounts:,} of {quantity(count, 'account')} corrected, and then: {error}"
        raise BatchUnfinished(message) from error
    clear_progress()
    log_change(f"{quantity(done.accounts, 'account')} corrected.")
    if done.locked_out:
        log_change(locked_out_hint(done.locked_out))
    return done.fields


class _Done:
    """What was corrected so far, of so many accounts."""

    def __init__(self, count: int) -> None:
        self._count = count
        self.accounts: int = 0
        self.fields: int = 0
        #: accounts without SSO and without a password since
        self.locked_out: int = 0

    def correct(self, transport: Transport, correction: Correction) -> bool:
        """Correct all but the email of an account; return whether the email is due."""
        self._show()
        details = correction.details.to_dict()
        if details:
            corrected = correct(transport, correction)
            if isinstance(corrected, str):
                say(f"{correction.email}: {corrected}")
                return False
            self.fields += len(details)
            is_without_sso = correction.changes.is_sso_user is False
            self.locked_out += is_without_sso and not corrected.has_password
        self.accounts += correction.email_change is None
        return correction.email_change is not None

    def note_email(self, correction: Correction, refusal: str | None) -> None:
        """Count the changed email of an account, or say why it was refused."""
        self._show()
        if refusal:
            say(f"{correction.email}: {refusal}")
            return
        self.accounts += 1
        self.fields += 1

    def _show(self) -> None:
        accounts = quantity(self.accounts, "account")
        explain_interrupt(f"at least {accounts} corrected so far; {GO_ON}")
        show_progress("Correcting", self.accounts, self._count)


class _Report:
    """The differences as text or JSON, one after the other: a million of them take no memory."""

    def __init__(
        self, name: str, verification: Verification, confirmed: Confirmed | None, *, extra: bool
    ) -> None:
        #: gets the differences, if they may be corrected
        self.confirmed = confirmed
        self._difference_count = 0
        self.extra_count: int = 0
        #: of the extra accounts: the administrator has dealt with them already
        self._suspended_count = 0
        self._name = name
        self._verification = verification
        self._extra = extra

    @property
    def count(self) -> int:
        """How many differences and extra accounts were written so far."""
        return self._difference_count + self.extra_count

    def lines(self) -> Iterator[str]:
        renamed: Difference | None = None
        for difference in self.differences():
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
        yield from _json_list('{"differences": [', self.differences())
        yield f', "checked": {self._verification.checked}'
        if self._extra:
            yield from _json_list(', "extra": [', self._extra_users())
        yield "}\n"

    def summary(self) -> str:
        users = quantity(self._verification.checked, "user")
        text = f"{users} checked: {quantity(self._difference_count, 'difference')}."
        if self._extra:
            text += f" {_extra_counted(self.extra_count, self._suspended_count)}"
        return text

    def differences(self) -> Iterator[Difference]:
        for difference in self._verification.differences():
            self._difference_count += 1
            if self.confirmed is not None:
                self.confirmed.add(difference)
            clear_progress()
            yield difference

    def _extra_users(self) -> Iterator[User]:
        for user in self._verification.extra() if self._extra else chain[User]():
            self.extra_count += 1
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
