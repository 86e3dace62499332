"""`anyscale user sync`."""

from collections.abc import Iterator

import click

from anyscale.cli.connect import (
    host_option,
    log_control_plane,
    open_control_plane,
    suggested_command,
)
from anyscale.cli.exit_status import GO_ON, REFUSED, UNFINISHED, explain_interrupt
from anyscale.cli.formats import write_json, write_text
from anyscale.cli.options import (
    OptionCommand,
    WholeNumber,
    not_empty,
    text_or_json_option,
    yes_option,
)
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
from anyscale.cli.user.questions import say_questions, show_questions
from anyscale.cli.user.sign_in_hint import locked_out_hints, sign_in_hints
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
from anyscale.comparison.sync_options import SyncOptions
from anyscale.comparison.sync_run import SyncRun
from anyscale.domain.models.sync import SyncPlan, SyncResult, SyncStep
from anyscale.domain.phrases import quantity
from anyscale.errors import BatchRefused
from anyscale.transport.base import Transport
from anyscale.users_file import UsersFile

#: after a plan that does not run
_NOTHING = "nothing was changed"

_limit = WholeNumber(min=0)


@click.command("sync", cls=OptionCommand, option="-f")
@users_file_option(required=True, text="The file of all users, or - for standard input.")
@file_options
@click.option("--create", is_flag=True, help="Create the accounts of new users.")
@click.option("--correct", is_flag=True, help="Correct the accounts that differ.")
@click.option("--suspend-missing", is_flag=True, help="Suspend the users who are not in the file.")
@click.option("--restore", is_flag=True, help="Also restore users that an earlier sync suspended.")
@click.option("--at-most-create", type=_limit, help="Change nothing if it would create more.")
@click.option("--at-most-correct", type=_limit, help="Change nothing if it would correct more.")
@click.option("--at-most-suspend", type=_limit, help="Change nothing if it would suspend more.")
@click.option(
    "--they-differ",
    multiple=True,
    callback=not_empty,
    metavar="EMAIL",
    help="The user with this email and the account in question are two people. Repeatable.",
)
@same_person_option
@click.option(
    "--renumbered", type=_limit, help="So many users have new numbers, and are the same people."
)
@unterminated_option
@click.option("--dry-run", is_flag=True, help="Only show the plan.")
@yes_option
@quiet_option
@text_or_json_option
@host_option
def sync(
    users_file: str,
    create: bool,
    correct: bool,
    suspend_missing: bool,
    restore: bool,
    at_most_create: int | None,
    at_most_correct: int | None,
    at_most_suspend: int | None,
    they_differ: tuple[str, ...],
    same_person: tuple[str, ...],
    renumbered: int | None,
    unterminated: bool,
    dry_run: bool,
    yes: bool,
    output: str,
    host: str | None,
) -> None:
    """Bring the accounts up to date with a file of all users.

    It shows what it would create, correct and suspend, and why; then it asks, and does it. With
    --create, --correct or --suspend-missing it does only that. Owners stay as they are, and no
    password is set. After an interruption, the same command continues.

    If it is not sure whose an account is, it asks, and leaves the people of that question as they
    are: --same-person, --renumbered and --they-differ answer. Values that lost letters are problems
    of the file.

    Without --at-most-suspend or --at-most-correct, more suspensions, or accounts that get another
    name, email or external id or lose a value or SSO, than 50, or than a tenth of the accounts that
    are not suspended if that is more, stop it.

    \b
    Exit status:
      0    done, or there is nothing to do
      1    a limit or the server stopped it; nothing was changed
      2    the command line or the file is wrong; nothing was changed
      3    unfinished, or something is left, such as a question
      130  interrupted: the same as 3

    \b
    Examples:
      anyscale user sync -f staff.csv --dry-run
      anyscale user sync -f staff.csv --at-most-correct 20 --yes -q
    """
    every_kind = not (create or correct or suspend_missing)
    options = SyncOptions(
        create=create or every_kind,
        correct=correct or every_kind,
        suspend_missing=suspend_missing or every_kind,
        restore=restore,
        at_most_create=at_most_create,
        at_most_correct=at_most_correct,
        at_most_suspend=at_most_suspend,
        they_differ=frozenset(they_differ),
        same_person=frozenset(same_person),
        renumbered=renumbered,
    )
    with open_users_file(users_file) as file, open_control_plane(host) as transport:
        log_control_plane(transport)
        run = SyncRun(
            transport,
            file,
            options,
            drop_command=lambda batch_id: suggested_command("batch", "drop", argument=batch_id),
            log=log_change,  # it creates accounts, or says which open batch is in the way
            on_progress=show_progress,
        )
        plan = _plan(run, file, output)
        say_notes(file)
        if not unterminated:
            require_end(file, "a part of it would be taken for the whole", _NOTHING)
        if output == "text":
            _show(plan, file.name, is_cut=bool(plan.stops) or is_quiet())
        is_change = bool(plan.steps or plan.blocked or plan.stops or plan.questions)
        (log_change if is_change else log)(_summary(plan))
        try:
            if not dry_run and not plan.stops:
                _apply(transport, run, plan, yes=yes)
            if plan.questions:
                say_questions(transport, plan.questions)
        finally:
            if output == "json":
                write_json(plan.to_dict())
    if plan.stops:
        raise click.exceptions.Exit(REFUSED)
    left = 0 if dry_run else len(plan.blocked) + len(run.result.left)
    if left:
        say(
            f"{quantity(left, 'account')} {'is' if left == 1 else 'are'} not up to date: look at "
            "the reasons above, correct what they name, and run the same command again."
        )
    if left or plan.questions:
        raise click.exceptions.Exit(UNFINISHED)


def _plan(run: SyncRun, file: UsersFile, output: str) -> SyncPlan:
    try:
        return run.plan()
    except BatchRefused as error:
        refuse_file(file, error, output, _NOTHING)
    finally:
        clear_progress()


def _show(plan: SyncPlan, name: str, *, is_cut: bool) -> None:
    """Write the questions and the steps of a plan, in a list that is cut at most 50 of each kind.

    A quiet run says nothing of what stays as it is.
    """
    show_questions(plan.questions, name, is_cut=is_cut)
    kinds = [plan.create, plan.correct, plan.restore, plan.suspend, plan.blocked]
    for steps in kinds if is_quiet() else [*kinds, plan.left]:
        shown = steps[:MOST_LISTED] if is_cut else steps
        write_text(_line(step, name) for step in shown)
        if more := len(steps) - len(shown):
            say(f"... and {quantity(more, 'account')} more to {steps[0].kind}: -o json lists all")
    for reason in plan.stops[:MOST_LISTED]:
        say(f"error: {reason}")
    if more := len(plan.stops[MOST_LISTED:]):
        say(f"... and {more:,} more reasons")


def _line(step: SyncStep, name: str) -> str:
    place = f"{name}:{step.cell or f'{step.line}:{step.column}'}: " if step.line else ""
    person = f"{step.name}, {step.user_id}" if step.user_id else step.name
    return f"{place}{step.kind} {step.email} ({person}): {step.reason}"


def _summary(plan: SyncPlan) -> str:
    counts = [
        f"{len(steps):,} to {kind}"
        for kind, steps in (
            ("create", plan.create),
            ("correct", plan.correct),
            ("restore", plan.restore),
            ("suspend", plan.suspend),
        )
        if steps
    ]
    text = f"{quantity(plan.checked, 'user')} checked: {', '.join(counts) or 'nothing to do'}."
    if plan.questions:
        text += f" {quantity(len(plan.questions), 'question')}."
    if left := len(plan.left) + len(plan.blocked):
        text += f" {left:,} left as {'it is' if left == 1 else 'they are'}."
    return f"{text} {_NOTHING.capitalize()}." if plan.stops else text


def _apply(transport: Transport, run: SyncRun, plan: SyncPlan, *, yes: bool) -> None:
    if not plan.steps:
        run.store_answers()
        return
    confirm(f"This changes {quantity(plan.steps, 'account')}.", _NOTHING, yes=yes)
    explain_interrupt(_Interrupted(run.result))
    try:
        run.apply(plan)
    finally:
        clear_progress()
        for step in run.result.left:
            say(f"{step.email}: {step.reason}")
    for line in _report(transport, run):
        log_change(line)
    if batch := run.batch:
        undo = suggested_command("batch", "undo", argument=batch.batch_id)
        say(f"This is batch {batch.batch_id}: {undo} deletes its accounts.")


def _report(transport: Transport, run: SyncRun) -> Iterator[str]:
    yield f"{str(run.result).capitalize()}."
    if run.batch:
        yield from sign_in_hints(transport, run.batch)
    if run.result.locked_out:
        yield from locked_out_hints(run.result.locked_out)


class _Interrupted:
    """The text of an interrupt: what was done by then."""

    def __init__(self, result: SyncResult) -> None:
        self._result = result

    def __str__(self) -> str:
        return f"at least {self._result} so far; {GO_ON}"
