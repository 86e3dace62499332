"""`anyscale user suspend`: one account, or those that a users file chooses."""

import click

from anyscale.cli.connect import (
    host_option,
    log_control_plane,
    open_control_plane,
    suggested_command,
)
from anyscale.cli.exit_status import GO_ON, explain_interrupt
from anyscale.cli.formats import write_json, write_records
from anyscale.cli.problem_report import problems_in_words, report_problems
from anyscale.cli.terminal import clear_progress, confirm, log, say, show_progress
from anyscale.cli.user.account_argument import check_account, find_account
from anyscale.cli.users_file import (
    column_hint,
    column_option,
    format_option,
    one_users_file,
    open_users_file,
    reading_options,
    say_notes,
)
from anyscale.errors import AnyscaleError, BatchRefused, BatchUnfinished, ConfigError
from anyscale.transport.base import Transport
from anyscale.user.files import UsersFile
from anyscale.user.suspension import (
    SuspensionPlan,
    plan_missing,
    plan_named,
    suspend_unless_owner,
)

_COLUMNS = ("email", "name", "lastname", "user_id")

REFUSED, WRONG_FILE = 1, 2

#: emails that a message lists
_MOST = 5


@click.command("suspend")
@click.argument("account", metavar="[EMAIL|ID]", required=False)
@click.option(
    "-f",
    "--users-file",
    multiple=True,
    callback=one_users_file,
    type=click.Path(),
    metavar="PATH",
    help="Suspend the users in this file.",
)
@click.option(
    "--missing-from",
    multiple=True,
    callback=one_users_file,
    type=click.Path(),
    metavar="PATH",
    help="Suspend the users who are not in this file: people who left.",
)
@format_option
@column_option
@click.option("--dry-run", is_flag=True, help="Only show the accounts that it would suspend.")
@click.option("--at-most", type=click.IntRange(min=0), help="Suspend nobody if it would be more.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@click.option(
    "-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True
)
@host_option
def suspend(
    account: str | None,
    users_file: str | None,
    missing_from: str | None,
    file_format: str | None,
    columns: dict[str, str],
    dry_run: bool,
    at_most: int | None,
    yes: bool,
    output: str,
    host: str | None,
) -> None:
    """Suspend accounts: they cannot sign in, their sessions end and their tokens stop.

    Name one account, or a users file, of which emails are enough. With a file, it shows the
    accounts, and asks. Owners are never suspended by a file. After an interruption, the same
    command goes on.

    \b
    Examples:
      anyscale user suspend jane@example.com
      anyscale user suspend -f leavers.csv --dry-run
      anyscale user suspend --missing-from staff.csv
    """
    path = users_file if users_file is not None else missing_from
    chosen = [way for way in (account, users_file, missing_from) if way is not None]
    if len(chosen) != 1:
        raise click.UsageError("say one of EMAIL|ID, -f FILE and --missing-from FILE")
    if path is None:
        assert account is not None
        _suspend_one(account, host)
        return
    with open_users_file(path, file_format, columns) as file, open_control_plane(host) as transport:
        log_control_plane(transport)
        plan = _plan(transport, file, missing=users_file is None)
        if output == "text" and plan.to_suspend:
            write_records(plan.to_suspend, _COLUMNS, output)
        log(_planned(plan))
        _require_safe(plan, file, at_most, missing=users_file is None)
        done = 0 if dry_run else _suspend_all(transport, plan, yes=yes)
        if output == "json":
            write_json(_document(plan, done))


def _suspend_one(account: str, host: str | None) -> None:
    check_account(account)
    with open_control_plane(host) as transport:
        user = find_account(transport, account)
        transport.users.suspend(user.user_id)
    log(f"{user.email} is suspended.")


def _plan(transport: Transport, file: UsersFile, *, missing: bool) -> SuspensionPlan:
    try:
        return (plan_missing if missing else plan_named)(transport, file, show_progress)
    except BatchRefused as error:
        report_problems(error, "text")
        if hint := column_hint(file, error):
            say(hint)
        say(f"error: {problems_in_words(error.count)}; nobody was suspended.")
        raise click.exceptions.Exit(WRONG_FILE) from None
    finally:
        clear_progress()
        say_notes(file)


def _planned(plan: SuspensionPlan) -> str:
    text = f"{_accounts(len(plan.to_suspend))} to suspend."
    if plan.suspended:
        text += f" {_accounts(plan.suspended)} suspended already."
    if plan.owners:
        text += f" {len(plan.owners)} kept as owner: {_listed([u.email for u in plan.owners])}."
    if plan.without_account:
        text += f" Without an account: {_listed(plan.without_account)}."
    return text


def _require_safe(
    plan: SuspensionPlan, file: UsersFile, at_most: int | None, *, missing: bool
) -> None:
    """End the command if the file is probably not the one that was meant."""
    if missing and not plan.users:
        raise ConfigError(f"{file.name} has no users: every account would be suspended")
    if missing and plan.without_account:
        create = suggested_command(
            "user", "batch-create", "-f", file.name, *reading_options(), "--if-exists", "skip"
        )
        missed = len(plan.without_account)
        lack = f"{missed} of {plan.users} users of {file.name} {'has' if missed == 1 else 'have'}"
        say(
            f"error: {lack} no account, so an email may be mistyped, and its user would be "
            "suspended: nobody was suspended. Correct the file, or create the accounts first: "
            f"{create}"
        )
        raise click.exceptions.Exit(REFUSED)
    if at_most is not None and len(plan.to_suspend) > at_most:
        count = _accounts(len(plan.to_suspend))
        say(f"error: {count} to suspend, and --at-most is {at_most}: nobody was suspended")
        raise click.exceptions.Exit(REFUSED)


def _suspend_all(transport: Transport, plan: SuspensionPlan, *, yes: bool) -> int:
    """Suspend the accounts of a plan; return how many were suspended."""
    if not plan.to_suspend:
        return 0
    count = len(plan.to_suspend)
    confirm(f"This suspends {_accounts(count)}.", "nobody was suspended", yes=yes)
    done = 0
    for at, user in enumerate(plan.to_suspend):
        explain_interrupt(f"at least {_accounts(done)} suspended so far; {GO_ON}")
        show_progress("Suspending", at, count)
        try:
            done += suspend_unless_owner(transport, user)
        except AnyscaleError as error:
            message = f"{done} of {_accounts(count)} suspended, and then: {error}"
            raise BatchUnfinished(message) from error
    clear_progress()
    log(f"{_accounts(done)} suspended.")
    return done


def _document(plan: SuspensionPlan, done: int) -> dict[str, object]:
    return {
        "to_suspend": [_identity(user.user_id, user.email) for user in plan.to_suspend],
        "suspended": done,
        "already_suspended": plan.suspended,
        "kept_owners": [_identity(user.user_id, user.email) for user in plan.owners],
        "without_account": plan.without_account,
    }


def _identity(user_id: str, email: str) -> dict[str, str]:
    return {"user_id": user_id, "email": email}


def _listed(emails: list[str]) -> str:
    more = len(emails) - _MOST
    return ", ".join(emails[:_MOST]) + (f" and {more} more" if more > 0 else "")


def _accounts(count: int) -> str:
    return "1 account" if count == 1 else f"{count:,} accounts"
