"""The run of `anyscale user batch-create`: what it remembers, what it says, what it writes."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from anyscale.cli.console import clear_progress, log, say, show_progress
from anyscale.cli.exit_status import remember_run, say_problems
from anyscale.cli.formats import OutputLost, write_json, write_records
from anyscale.cli.user.resume_file import RunFile, abandoned
from anyscale.data_dir import data_dir
from anyscale.errors import (
    AnyscaleError,
    BatchRefused,
    BatchRunning,
    BatchUnfinished,
    KeyReused,
    NotFound,
    StoreUnavailable,
    Unavailable,
)
from anyscale.transport.base import Transport
from anyscale.user.batch_run import BatchRun, Outcome
from anyscale.user.files import STDIN, UsersFile
from anyscale.user.models import AdminCreatedUser, Batch

__all__ = ["create", "say_if_typed", "try_out"]


def try_out(transport: Transport, file: UsersFile, if_exists: str, output: str) -> None:
    """Check and look up as `create` would, and write nothing."""
    log("Checking users...")
    outcome = _told(_batch_run(transport, file, if_exists, lambda: "").dry_run, output)
    _say(outcome)
    _write(outcome, output)


def create(transport: Transport, file: UsersFile, if_exists: str, output: str) -> None:
    """Create the users of a file, and forget the run once everything was written."""
    with ExitStack() as stack:
        log("Creating users...")
        run = _Run(transport, file, if_exists, stack)
        batch_run = _batch_run(transport, file, if_exists, run.begin, run)
        outcome = _settled(run, lambda: _told(lambda: _created(run, batch_run), output))
        _say(outcome)
        with _after_all(outcome):
            _write(outcome, output)
            # The database's last writes come first: a kill among them finds the run remembered.
            transport.close()
            run.end()


def _created(run: "_Run", batch_run: BatchRun) -> Outcome:
    try:
        return batch_run.run()
    except KeyReused:
        # The file has another text, though its size and time are those of the earlier run's.
        if not run.taken_up:
            raise
        run.text_changed = True
        return batch_run.run()


def _settled(run: "_Run", call: Callable[[], Outcome]) -> Outcome:
    """Make a call. If it fails, forget the run, unless something of it may be left behind."""
    try:
        return call()
    except (BatchUnfinished, BatchRunning):
        raise
    except BatchRefused:
        run.forget()
        raise
    except AnyscaleError as error:
        if run.taken_up or (isinstance(error, Unavailable) and error.begun):
            raise BatchUnfinished(str(error)) from error
        run.forget()
        raise
    except OSError as error:  # the control plane's are translated
        raise BatchUnfinished(f"cannot read {run.file_name}: {error.strerror}") from error


@contextmanager
def _after_all(outcome: Outcome) -> Iterator[None]:
    """Tell the truth about what fails when the users are accounts already."""
    done = "nobody was to be created"
    if outcome.batch:
        done = f"the users were created (batch {outcome.batch.batch_id})"
    try:
        yield
    except OutputLost as error:
        raise BatchUnfinished(f"{done}, but their list could not be written: {error}") from error
    except AnyscaleError as error:
        raise BatchUnfinished(f"{done}, but {error}") from error


def say_if_typed(users_file: str) -> None:
    """Tell a person who may not know that the command waits for what is typed."""
    if users_file == STDIN and sys.stdin and sys.stdin.isatty():
        say("Reading users from the terminal: end with Ctrl-D.")


class _Run:
    """What is remembered of this run. Standard input cannot be read again, so nothing is of it."""

    def __init__(
        self, transport: Transport, file: UsersFile, if_exists: str, stack: ExitStack
    ) -> None:
        self.resumable = file.path is not None
        self.file_name = file.name
        #: Whether something of an earlier run may be left, with which this one goes on.
        self.taken_up = False
        #: Whether the control plane has found that the file is not what the earlier run read.
        self.text_changed = False
        self._transport = transport
        self._file = file
        self._if_exists = if_exists
        self._stack = stack
        self._kept: RunFile | None = None

    def begin(self) -> str:
        """Find out whether an earlier run is to be gone on with; give the idempotency key."""
        if self._file.path is None:
            log(f"Using the control plane at {self._transport.where}")
            return os.urandom(16).hex()
        kept = self._kept or self._keep(self._file.path)
        if kept.earlier is None:
            return self._begin_anew(kept)
        batch = self._earlier_batch(kept)
        same = (kept.earlier.stamp, kept.earlier.if_exists) == (self._file.stamp, self._if_exists)
        if self.text_changed or not same:
            self._settle_other(batch)
            return self._begin_anew(kept)
        if batch and batch.state in ("dropped", "expired"):
            log(f"Its unfinished batch {batch.batch_id} was {batch.state}: a new one begins.")
            return self._begin_anew(kept)
        if batch and batch.state == "open":
            since = f"{batch.opened_at:%Y-%m-%d %H:%M:%S} UTC"
            log(f"Going on with batch {batch.batch_id}, opened at {since}.")
        return kept.earlier.key

    def note_batch(self, batch_id: str) -> None:
        """Remember the batch that was opened."""
        if self._kept:
            self._kept.note_batch(batch_id)

    def end(self) -> None:
        """Forget the run."""
        if self._kept:
            self._kept.end()

    def forget(self) -> None:
        """Forget the run after an error, which is what is to be told of, whatever this meets."""
        with suppress(StoreUnavailable):
            self.end()

    def _keep(self, path: str) -> RunFile:
        log(f"Using the control plane at {self._transport.where}")
        kept = RunFile(_folder(), self._transport.where, path)
        self._kept = self._stack.enter_context(kept)
        remember_run()
        self.taken_up = kept.earlier is not None
        return kept

    def _begin_anew(self, kept: RunFile) -> str:
        key = kept.begin(self._file.stamp, self._if_exists)
        self.taken_up = False
        return key

    def _earlier_batch(self, kept: RunFile) -> Batch | None:
        assert kept.earlier is not None
        try:
            if kept.batch_id:
                return self._transport.show(kept.batch_id)
            return self._transport.find(kept.earlier.key)
        except NotFound:
            return None

    def _settle_other(self, batch: Batch | None) -> None:
        """End the batch of a run that was of another text, or with other options."""
        if batch and batch.state == "open":
            self._transport.drop(batch.batch_id)
            log(f"{_CHANGED}: its unfinished batch {batch.batch_id} was dropped.")
        elif batch and batch.state == "published":
            log(f"{_CHANGED}: an earlier run of it had created batch {batch.batch_id}.")


_CHANGED = "The file or the options have changed"


def _batch_run(
    transport: Transport,
    file: UsersFile,
    if_exists: str,
    begin: Callable[[], str],
    run: _Run | None = None,
) -> BatchRun:
    return BatchRun(
        transport,
        file,
        get_key=begin,
        if_exists=if_exists,
        resumable=run is not None and run.resumable,
        on_opened=run.note_batch if run else lambda _: None,
        is_abandoned=lambda batch_id: abandoned(_folder(), batch_id),
        log=log,
        on_progress=show_progress,
    )


def _told(call: Callable[[], Outcome], output: str) -> Outcome:
    """Make a call, and tell its problems to people or to machines."""
    try:
        return call()
    except BatchRefused as refused:
        if output == "json":
            write_json({"problems": [problem.to_dict() for problem in refused.problems]})
        else:
            say_problems(refused)
        raise
    finally:
        clear_progress()


def _say(outcome: Outcome) -> None:
    for line in outcome.lines():
        log(line)


def _write(outcome: Outcome, output: str) -> None:
    if output != "text":
        write_records(outcome.users, AdminCreatedUser.__struct_fields__, output)


def _folder() -> Path:
    return data_dir(os.environ) / "runs"
