"""`anyscale user suspend` and `restore`: one account, or those that a users file chooses."""

from collections.abc import Callable
from functools import partial, reduce
from inspect import cleandoc
from typing import Any, NamedTuple

import click

from anyscale.cli.account_argument import check_account, find_account
from anyscale.cli.connect import (
    host_option,
    log_control_plane,
    open_control_plane,
)
from anyscale.cli.exit_status import GO_ON, REFUSED, explain_interrupt
from anyscale.cli.formats import write_json, write_records
from anyscale.cli.options import WholeNumber, keep_links_option, text_or_json_option, yes_option
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
from anyscale.cli.user.replaced_by_sync import refuse_replaced
from anyscale.cli.users_file import (
    chosen_file_options,
    file_options,
    open_users_file,
    quiet_option,
    refuse_file,
    say_notes,
    users_file_option,
)
from anyscale.comparison.suspension_by_list import (
    SuspensionPlan,
    change_unless_owner,
    plan_named,
)
from anyscale.domain.models.users import User
from anyscale.domain.phrases import quantity
from anyscale.errors import AnyscaleError, BatchRefused, BatchUnfinished
from anyscale.transport.base import Transport
from anyscale.users_file import UsersFile

_COLUMNS = ("email", "name", "lastname", "user_id")

#: emails that a message lists
_MOST = 5


class _Words(NamedTuple):
    """What a command does, and how help and messages name it."""

    suspend: bool
    verb: str
    doing: str
    done: str
    #: of accounts that are in the state already
    unchanged: str


_SUSPEND = _Words(True, "suspend", "Suspending", "suspended", "suspended already")
_RESTORE = _Words(False, "restore", "Restoring", "restored", "not suspended")

_EXIT_STATUS = """

\b
Exit status:
  0    done
  1    a user of the file has no account, or the command refused
  2    the command line or the file is wrong
  3    unfinished: run the same command again
  130  interrupted: the same as 3
"""

_Callback = Callable[..., None]
_Decorator = Callable[[_Callback], _Callback]


class _Suspend(click.Command):
    """The command, which names `sync` for an option that it had."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        options = {
            "--missing-from": ["--suspend-missing", "-f"],
            "--at-most": ["--at-most-suspend"],
        }
        refuse_replaced(ctx, "--missing-from", args, options)
        return super().parse_args(ctx, args)


def _command(
    words: _Words, text: str, *more: _Decorator, cls: type[click.Command] = click.Command
) -> click.Command:
    """Return a command with the argument and the options that both have, and more of them."""
    decorators: tuple[_Decorator, ...] = (
        click.argument("account", metavar="[EMAIL|ID]", required=False),
        users_file_option(text=f"{words.verb.title()} the users in this file."),
        *more,
        file_options,
        click.option(
            "--dry-run", is_flag=True, help=f"Only show the accounts that it would {words.verb}."
        ),
        yes_option,
        quiet_option,
        text_or_json_option,
        host_option,
    )
    callback: _Callback = partial(_change, words)
    callback = reduce(lambda done, add: add(done), reversed(decorators), callback)
    return click.command(words.verb, cls=cls, help=cleandoc(text) + _EXIT_STATUS)(callback)


class _FileChoices(NamedTuple):
    """The options of a change of the accounts that a file chooses."""

    dry_run: bool
    yes: bool
    output: str
    at_most: int | None = None
    keep_links: bool = False


def _change(
    words: _Words,
    *,
    account: str | None,
    users_file: str | None,
    host: str | None,
    **options: Any,
) -> None:
    choices = _FileChoices(**options)
    if (account is None) == (users_file is None):
        raise click.UsageError("use one of EMAIL|ID and -f FILE")
    if account is not None:
        _refuse_with_an_account(choices)
        _change_one(words, account, host, keep_links=choices.keep_links)
    elif choices.keep_links:
        raise click.UsageError("--keep-links is for EMAIL|ID: a file never suspends an owner")
    else:
        assert users_file is not None
        _change_by_file(words, users_file, choices, host)


def _refuse_with_an_account(choices: _FileChoices) -> None:
    """Raise `UsageError` for an option that only a file has, such as `--dry-run`."""
    options = {
        "--dry-run": choices.dry_run,
        "--at-most": choices.at_most is not None,
        **dict.fromkeys(chosen_file_options(), True),
        "-o json": choices.output == "json",
    }
    if given := [name for name, is_given in options.items() if is_given]:
        raise click.UsageError(
            f"{given[0]} is for -f FILE: without it, the command changes one account"
        )


def _change_one(words: _Words, account: str, host: str | None, *, keep_links: bool) -> None:
    check_account(account)
    with open_control_plane(host) as transport:
        user = find_account(transport, account)
        if words.suspend:
            transport.users.suspend(user.user_id, keep_links=keep_links)
        else:
            transport.users.restore(user.user_id)
    found = SuspensionPlan(suspend=words.suspend)
    found.add(user)
    if found.unchanged:
        log(f"{user.email} was {words.unchanged}.")
    else:
        log_change(f"{user.email} is {words.done}.")


def _change_by_file(words: _Words, path: str, choices: _FileChoices, host: str | None) -> None:
    with open_users_file(path) as file, open_control_plane(host) as transport:
        log_control_plane(transport)
        plan = _plan(transport, file, words, choices)
        say_notes(file)
        is_stopped = choices.at_most is not None and len(plan.to_change) > choices.at_most
        _show(plan, words, choices, is_stopped=is_stopped)
        if is_stopped:
            count = quantity(len(plan.to_change), "account")
            limit = f"--at-most is {choices.at_most:,}"
            say(f"error: {count} to suspend, and {limit}: nobody was suspended")
            raise click.exceptions.Exit(REFUSED)
        done = 0 if choices.dry_run else _change_all(transport, plan, words, yes=choices.yes)
        if choices.output == "json":
            write_json(_document(plan, words, done))
    # An email may be mistyped: the account that was meant is as before.
    if plan.without_account:
        raise click.exceptions.Exit(REFUSED)


def _plan(
    transport: Transport, file: UsersFile, words: _Words, choices: _FileChoices
) -> SuspensionPlan:
    try:
        return plan_named(transport, file, show_progress, suspend=words.suspend)
    except BatchRefused as error:
        refuse_file(file, error, choices.output, f"nobody was {words.done}")
    finally:
        clear_progress()


def _show(plan: SuspensionPlan, words: _Words, choices: _FileChoices, *, is_stopped: bool) -> None:
    is_change = bool(plan.to_change or plan.without_account) and not choices.dry_run
    is_change = is_change or is_stopped
    if choices.output == "text" and (is_change or not is_quiet()):
        _list(plan.to_change, is_stopped=is_stopped)
    (log_change if is_change else log)(_planned(plan, words))


def _planned(plan: SuspensionPlan, words: _Words) -> str:
    text = f"{quantity(len(plan.to_change), 'account')} to {words.verb}."
    if plan.unchanged:
        text += f" {quantity(plan.unchanged, 'account')} {words.unchanged}."
    if plan.owners:
        text += f" {len(plan.owners):,} kept as owner: {_listed([u.email for u in plan.owners])}."
    if plan.without_account:
        text += f" Without an account: {_listed(plan.without_account)}."
    return text


def _list(accounts: list[User], *, is_stopped: bool) -> None:
    limits = [*(["--at-most"] if is_stopped else []), *(["--quiet"] if is_quiet() else [])]
    listed = accounts[:MOST_LISTED] if limits else accounts
    if listed:
        write_records(listed, _COLUMNS, "text")
    if more := len(accounts) - len(listed):
        others = quantity(more, "account")
        say(f"... and {others} more: --dry-run without {' and '.join(limits)} lists all of them")


def _change_all(transport: Transport, plan: SuspensionPlan, words: _Words, *, yes: bool) -> int:
    """Suspend or restore the accounts of a plan; return how many were."""
    if not plan.to_change:
        return 0
    count = len(plan.to_change)
    effect = f"This {words.verb}s {quantity(count, 'account')}."
    confirm(effect, f"nobody was {words.done}", yes=yes)
    done = 0
    for at, user in enumerate(plan.to_change):
        explain_interrupt(f"at least {quantity(done, 'account')} {words.done} so far; {GO_ON}")
        show_progress(words.doing, at, count)
        try:
            if refusal := change_unless_owner(transport, user, suspend=words.suspend):
                plan.skipped.append((user, refusal))
                say(f"{user.email}: {refusal}")
            else:
                done += 1
        except AnyscaleError as error:
            message = f"{done:,} of {quantity(count, 'account')} {words.done}, and then: {error}"
            raise BatchUnfinished(message) from error
    clear_progress()
    log_change(f"{quantity(done, 'account')} {words.done}.")
    return done


def _document(plan: SuspensionPlan, words: _Words, done: int) -> dict[str, object]:
    return {
        f"to_{words.verb}": [_identity(user.user_id, user.email) for user in plan.to_change],
        words.done: done,
        "already_suspended" if words.suspend else "not_suspended": plan.unchanged,
        "kept_owners": [_identity(user.user_id, user.email) for user in plan.owners],
        "skipped": [
            _identity(user.user_id, user.email) | {"reason": reason}
            for user, reason in plan.skipped
        ],
        "without_account": plan.without_account,
    }


def _identity(user_id: str, email: str) -> dict[str, str]:
    return {"user_id": user_id, "email": email}


def _listed(emails: list[str]) -> str:
    more = len(emails) - _MOST
    return ", ".join(emails[:_MOST]) + (f" and {more} more" if more > 0 else "")


suspend: click.Command = _command(
    _SUSPEND,
    """Suspend accounts: they cannot sign in, their sessions end and their tokens stop.

    Name one account, or a users file: emails are enough. With a file, it shows the
    accounts, and asks. Owners are never suspended by a file. After an interruption, the same
    command continues.

    \b
    Examples:
      anyscale user suspend jane@example.com
      anyscale user suspend -f leavers.csv --dry-run
      anyscale user suspend -f leavers.csv --at-most 20 --yes
    """,
    click.option("--at-most", type=WholeNumber(min=0), help="Suspend nobody if it would be more."),
    keep_links_option,
    cls=_Suspend,
)

restore: click.Command = _command(
    _RESTORE,
    """Let suspended accounts sign in again.

    Name one account, or a users file: emails are enough. With a file, it shows the
    accounts, and asks. Owners are never restored by a file. After an interruption, the same
    command continues.

    \b
    Examples:
      anyscale user restore jane@example.com
      anyscale user restore -f leavers.csv --dry-run
    """,
)
