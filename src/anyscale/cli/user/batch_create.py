"""`anyscale user batch-create`: the command and its run."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial

import click

from anyscale.batch_run.outcome import Outcome
from anyscale.batch_run.run import BatchRun
from anyscale.cli.connect import (
    host_option,
    log_control_plane,
    open_control_plane,
    suggested_command,
)
from anyscale.cli.formats import OutputLost, output_option, require_written, write_records
from anyscale.cli.options import OptionCommand
from anyscale.cli.problem_report import report_problems
from anyscale.cli.signals import ignore_signals
from anyscale.cli.terminal import clear_progress, is_quiet, log, log_change, say, show_progress
from anyscale.cli.user.resume_file import is_abandoned
from anyscale.cli.user.resume_state import ResumeState, resume_folder
from anyscale.cli.user.sign_in_hint import Hints, mail_hints, sign_in_hints
from anyscale.cli.users_file import (
    column_hint,
    file_options,
    open_users_file,
    quiet_option,
    reading_options,
    say_notes,
    users_file_option,
)
from anyscale.domain.labels import checked_label
from anyscale.domain.models.users import AdminCreatedUser
from anyscale.errors import (
    AnyscaleError,
    BatchRefused,
    BatchRunning,
    BatchUnfinished,
    ConfigError,
    KeyReused,
    NotAuthenticated,
    StoreUnavailable,
    Unavailable,
)
from anyscale.transport.base import Transport

#: the latest batches, of one request, among which a batch is found that is being undone
_LATEST_BATCHES = 500

#: after a run that the same command does not resume, and of which no batch is left open
_AGAIN = "Run the same command again: it begins a new batch, or reports which users exist by now."


def _label(_ctx: click.Context, _option: click.Parameter, label: str | None) -> str | None:
    try:
        checked_label(label)
    except ConfigError as error:
        raise click.UsageError(f"--label: {error}") from None
    return label


@click.command("batch-create", cls=OptionCommand, option="-f")
@users_file_option(
    required=True,
    text="Path to a YAML file that contains the information for user accounts to be created. "
    "JSON, JSON Lines, CSV and Excel (.xlsx) work too, and - is standard input.",
)
@file_options
@click.option(
    "--if-exists",
    type=click.Choice(["fail", "skip"]),
    default="fail",
    show_default=True,
    help="What to do if an email has an account: refuse the batch, or skip the user.",
)
@click.option(
    "--label",
    callback=_label,
    metavar="TEXT",
    help="How people recognize the batch in lists. Default: the name of the file.",
)
@click.option("--dry-run", is_flag=True, help="Check everything, and write nothing.")
@click.option(
    "--mail-links",
    is_flag=True,
    help="Let the server mail a link to set the password to each user that cannot sign in yet.",
)
@click.option(
    "--accept-weak-hashes",
    is_flag=True,
    help="Import weak hashes of passwords too, wrapped in Argon2id.",
)
@quiet_option
@output_option
@host_option
def batch_create(
    users_file: str,
    if_exists: str,
    label: str | None,
    dry_run: bool,
    mail_links: bool,
    accept_weak_hashes: bool,
    output: str,
    host: str | None,
) -> None:
    """Batch create, as an admin, users without email verification.

    \b
    Examples:
      anyscale user batch-create --users-file users.yaml
      anyscale user batch-create -f users.csv --dry-run
      anyscale user batch-create -f a.csv --column Rufname=name --column Team=
      generate-users | anyscale user batch-create -f - --format jsonl -o json

    The file is YAML, JSON, JSON Lines, CSV or Excel (.xlsx), by the ending of its name, or as
    --format says.

    A user has a name (the first name) and an email, and may have password or password_hash,
    is_sso_user, lastname, title and external_id.

    All or nothing: it creates every user of the file, or none and says why. If it was cut short,
    run the same command again.

    \b
    Exit status:
      0    done
      1    refused: emails exist, no permission, no connection; nobody was created
      2    the command line or the file is wrong; nobody was created
      3    unfinished, or the outcome is not known: run the same command again
      130  interrupted: the same as 3
    """
    with (
        _opened(host, mail_links=mail_links) as transport,
        open_users_file(users_file) as file,
        closing(ResumeState(transport, file, if_exists)) as state,
    ):
        log("Checking users..." if dry_run else "Creating users...")
        run = BatchRun(
            transport,
            file,
            state,
            if_exists=if_exists,
            label=label,
            is_abandoned=partial(is_abandoned, resume_folder()),
            drop_command=lambda batch_id: suggested_command("batch", "drop", argument=batch_id),
            mail_links=mail_links,
            accept_weak_hashes=accept_weak_hashes,
            log=log,
            on_progress=show_progress,
        )
        if dry_run:
            log_control_plane(transport)
            outcome = _with_problems_reported(transport, state, run.dry_run, output)
            _report(transport, state, outcome, output)
        else:
            hints = mail_hints if mail_links else sign_in_hints
            with _way_out_noted(state):
                _create(transport, state, run, output, hints)


@contextmanager
def _opened(host: str | None, *, mail_links: bool) -> Iterator[Transport]:
    """Open the control plane, which must be able to send mail if links are to be mailed."""
    with open_control_plane(host) as transport:
        if mail_links:
            transport.mails.send_links([])  # a refusal comes before any work
        yield transport


def _create(
    transport: Transport, state: ResumeState, run: BatchRun, output: str, hints: Hints
) -> None:
    """Create the users of a file; end the run once its result was written."""
    with _ended_unless_unfinished(state):
        outcome = _with_problems_reported(transport, state, run.run, output)
    with _users_created(outcome):
        _report(transport, state, outcome, output, hints)
        # The database's last writes come first: after a kill among them the run is resumed.
        transport.close()
        # From here on the same command would not resume the run, so the status must be 0.
        ignore_signals()
        state.end()


def _call_again_if_changed(state: ResumeState, call: Callable[[], Outcome]) -> Outcome:
    """Make a call; make it again as a new run if the file is not the one of the resumed run."""
    try:
        return call()
    except KeyReused:
        # The text differs, though the file has the size and the time that the previous run stored.
        if not state.is_resumed:
            raise
        state.text_changed = True
        return call()


@contextmanager
def _ended_unless_unfinished(state: ResumeState) -> Iterator[None]:
    """End the run after an error, unless something of it may be left: then it is unfinished."""
    try:
        yield
    except (BatchUnfinished, BatchRunning):
        raise
    except AnyscaleError as error:
        may_be_left = state.is_resumed or (isinstance(error, Unavailable) and error.outcome_unknown)
        if may_be_left and not isinstance(error, BatchRefused):
            raise BatchUnfinished(str(error)) from error
        with suppress(StoreUnavailable):  # the first error is the one to be reported
            state.end()
        raise


@contextmanager
def _way_out_noted(state: ResumeState) -> Iterator[None]:
    """Add to an error how to continue after a run that the same command does not resume."""
    try:
        yield
    except BatchUnfinished as error:
        if not state.is_resumable:
            error.add_note(_way_out(error))
        raise


def _way_out(error: BatchUnfinished) -> str:
    if error.batch_id is None:
        return _AGAIN
    drop = suggested_command("batch", "drop", argument=error.batch_id)
    token = " with a new token" if isinstance(error.__cause__, NotAuthenticated) else ""
    return f"Drop the batch{token} by {drop}, then run the same command again."


@contextmanager
def _users_created(outcome: Outcome) -> Iterator[None]:
    """Add to an error that the users exist: it occurred after they were created."""
    done = "nobody was to be created"
    if outcome.batch:
        done = f"the users were created (batch {outcome.batch.batch_id})"
    try:
        yield
    except OutputLost as error:
        raise BatchUnfinished(f"{done}, but their list could not be written: {error}") from error
    except AnyscaleError as error:
        raise BatchUnfinished(f"{done}, but {error}") from error


def _with_problems_reported(
    transport: Transport, state: ResumeState, call: Callable[[], Outcome], output: str
) -> Outcome:
    """Make a call; if it refuses the batch, write the problems in the format of `-o`."""
    try:
        return _call_again_if_changed(state, call)
    except BatchRefused as error:
        report_problems(error, output, state.file.entries)
        if hint := column_hint(state.file, error):
            say(hint)
        if error.codes["email_exists"] and (
            hint := _hint_of_undo(transport) or _hint_of_rerun(state, error)
        ):
            error.add_note(hint)
        raise
    finally:
        clear_progress()
        say_notes(state.file)


def _report(
    transport: Transport,
    state: ResumeState,
    outcome: Outcome,
    output: str,
    hints: Hints = sign_in_hints,
) -> None:
    created = outcome.batch if outcome.created and not outcome.dry_run else None
    write = log_change if created else log
    for line in outcome.lines():
        write(line)
    if outcome.batch and not outcome.dry_run:
        for line in hints(transport, outcome.batch):
            write(line)
    if output != "text":
        fields = AdminCreatedUser.__struct_fields__
        require_written(write_records(outcome.users, fields, output))
    if outcome.skipped and state.is_resumable and not is_quiet():
        verify = _verify_command(state)
        say(f"{verify} shows where the accounts of skipped users differ from the file.")
    if created:
        # No log line, of which there are only those of the interface.
        undo = suggested_command("batch", "undo", argument=created.batch_id)
        say(f"This is batch {created.batch_id}: {undo} deletes its accounts.")
    if outcome.skipped and (hint := _hint_of_undo(transport)):
        say(hint)


def _hint_of_rerun(state: ResumeState, error: BatchRefused) -> str | None:
    """Ask whether the file was created before, if each of its entries has an account."""
    if error.codes["email_exists"] < state.file.entries or not state.is_resumable:
        return None
    return f"Was this file created already? {_verify_command(state)} compares it with the accounts."


def _verify_command(state: ResumeState) -> str:
    return suggested_command("user", "verify", "-f", state.file.name, *reading_options())


def _hint_of_undo(transport: Transport) -> str | None:
    """Say if one of the latest batches is being undone: its accounts may be those that exist."""
    with suppress(AnyscaleError):  # the result of the run is what counts
        for batch in transport.batches.list(open_only=False, before="", limit=_LATEST_BATCHES):
            if batch.state == "undoing":
                undo = suggested_command("batch", "undo", argument=batch.batch_id)
                return (
                    f"batch {batch.batch_id} is being undone, and still has accounts: {undo} "
                    "continues"
                )
    return None
