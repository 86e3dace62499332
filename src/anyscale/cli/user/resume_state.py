"""What batch-create stores of a run, so that the same command resumes it after a crash."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from anyscale.cli.connect import log_control_plane, suggested_command
from anyscale.cli.exit_status import GO_ON, explain_interrupt
from anyscale.cli.terminal import log, say
from anyscale.cli.user.resume_file import (
    ResumeFile,
    RunRecord,
    resume_file_path,
    stored_run,
)
from anyscale.domain.data_dir import data_dir
from anyscale.domain.models.batches import Batch
from anyscale.domain.times import TIME
from anyscale.errors import BatchUndone, NotFound
from anyscale.transport.base import Transport
from anyscale.users_file import UsersFile

_CHANGED = "The file or the options have changed"


class ResumeState:
    """Stores what is needed to resume a run of a users file, and finds what a previous run left.

    Standard input cannot be read again, so nothing is stored for it.
    """

    def __init__(self, transport: Transport, file: UsersFile, if_exists: str) -> None:
        self.is_resumable: Final = file.path is not None
        self.file = file
        self._transport = transport
        self._if_exists = if_exists
        #: Whether this run may resume a previous one, which may have left a batch: also if the file
        #: of that run cannot be read now.
        self.is_resumed: bool = file.path is not None and _exists(self._path_of(file.path))
        #: Whether the control plane has found that the file differs from what that run read.
        self.text_changed = False
        #: of this run, locked since `get_key`
        self._resume_file: ResumeFile | None = None

    def get_key(self) -> str:
        """Return the idempotency key: that of the previous run, if this one resumes it.

        Raises:
            BatchRunning: another process is working on the same users file.
            StoreUnavailable: the resume file cannot be written.
        """
        if self.file.path is None:
            log_control_plane(self._transport)
            return os.urandom(16).hex()
        resume_file = self._resume_file or self._open(self.file.path)
        previous = resume_file.previous
        if previous and self._is_continued(previous, resume_file.batch_id):
            return previous.key
        self.is_resumed = False
        return resume_file.start_new(self.file.stamp, self._if_exists)

    def find_key(self) -> str | None:
        """Return the key of the previous run, if `get_key` would resume it. Write nothing."""
        previous = stored_run(self._path_of(self.file.path)) if self.file.path else None
        if not previous or not self._has_input_of(previous):
            return None
        try:
            self._transport.batches.find(previous.key)
        except BatchUndone:
            return None
        return previous.key

    def store_batch(self, batch_id: str) -> None:
        if self._resume_file:
            self._resume_file.store_batch(batch_id)

    def end(self) -> None:
        """Remove the resume file: the run has ended, and its result was reported."""
        if self._resume_file:
            self._resume_file.remove()

    def close(self) -> None:
        if self._resume_file:
            self._resume_file.close()

    def _path_of(self, users_file: str) -> Path:
        return resume_file_path(resume_folder(), self._transport.where, users_file)

    def _open(self, users_file: str) -> ResumeFile:
        log_control_plane(self._transport)
        where = self._transport.where
        self._resume_file = resume_file = ResumeFile(resume_folder(), where, users_file)
        explain_interrupt(GO_ON)
        self.is_resumed = resume_file.previous is not None
        return resume_file

    def _has_input_of(self, previous: RunRecord) -> bool:
        """Return whether the previous run had the same file and options, as far as is known."""
        stored = (previous.stamp, previous.if_exists)
        return not self.text_changed and stored == (self.file.stamp, self._if_exists)

    def _is_continued(self, previous: RunRecord, batch_id: str | None) -> bool:
        """Return whether this run resumes the previous one. Log its batch, or the reason if not."""
        try:
            batch = self._batch_of(previous, batch_id)
        except BatchUndone:
            log("The batch of the previous run was undone: a new one begins.")
            return False
        if not self._has_input_of(previous):
            self._end_previous(batch)
            return False
        if batch and batch.state in ("dropped", "expired"):
            log(f"Its unfinished batch {batch.batch_id} was {batch.state}: a new one begins.")
            if batch.state == "dropped":
                entries = suggested_command("audit", "list", "--newest-first")
                say(f"{entries} shows who dropped it, and when (`batch.dropped`).")
            return False
        if batch and batch.state == "open":
            since = f"{batch.opened_at:{TIME}}"
            log(f"Continuing with batch {batch.batch_id}, opened at {since}.")
        return True

    def _batch_of(self, previous: RunRecord, batch_id: str | None) -> Batch | None:
        try:
            # The key finds a batch whose id was not stored, unless the batch was dropped.
            found = self._transport.batches.find(previous.key)
            return found or (self._transport.batches.show(batch_id) if batch_id else None)
        except NotFound:
            return None

    def _end_previous(self, batch: Batch | None) -> None:
        """Drop the batch of a previous run with another text or other options, if it is open."""
        if batch and batch.state == "open":
            self._transport.batches.drop(batch.batch_id)
            log(f"{_CHANGED}: its unfinished batch {batch.batch_id} was dropped.")
        elif batch and batch.state == "published":
            log(f"{_CHANGED}: an earlier run of it had created batch {batch.batch_id}.")


def resume_folder() -> Path:
    """Return the folder of the resume files."""
    return data_dir(os.environ) / "runs"


def _exists(path: Path) -> bool:
    """Return whether a file exists; unlike Path.exists, without the errors of its folder."""
    with suppress(OSError):
        path.stat()
        return True
    return False
