"""A run of batch-create that the same command can resume after a crash."""

import os
from pathlib import Path

from anyscale.cli.connect import log_control_plane
from anyscale.cli.console import log
from anyscale.cli.exit_status import note_resumable
from anyscale.cli.user.resume_file import ResumeFile, resume_file_path, stored_run
from anyscale.data_dir import data_dir
from anyscale.errors import BatchUndone, NotFound
from anyscale.transport.base import Transport
from anyscale.user.files import UsersFile
from anyscale.user.models import Batch

__all__ = ["ResumableRun", "resume_folder"]

_CHANGED = "The file or the options have changed"


class ResumableRun:
    """Stores what is needed to resume a run of a users file, and finds what a previous run left.

    Standard input cannot be read again, so nothing is stored for it.
    """

    def __init__(self, transport: Transport, file: UsersFile, if_exists: str) -> None:
        self.is_resumable = file.path is not None
        self.file_name = file.name
        #: Whether this run may resume a previous one, of which something may be left.
        self.is_resumed = (
            file.path is not None
            and resume_file_path(resume_folder(), transport.where, file.path).exists()
        )
        #: Whether the control plane has found that the file differs from what that run read.
        self.text_changed = False
        self._transport = transport
        self._file = file
        self._if_exists = if_exists
        self._state: ResumeFile | None = None

    @property
    def entries(self) -> int:
        """The number of entries of the file, once it was read to its end."""
        return self._file.entries

    def get_key(self) -> str:
        """Return the idempotency key: that of the previous run, if this one resumes it.

        Raises:
            BatchRunning: another process is working on the same users file.
            StoreUnavailable: the resume file cannot be written.
        """
        if self._file.path is None:
            log_control_plane(self._transport)
            return os.urandom(16).hex()
        state = self._state or self._open(self._file.path)
        if state.previous is None:
            return self._start_new(state)
        try:
            batch = self._previous_batch(state)
        except BatchUndone:
            log("The batch of the previous run was undone: a new one begins.")
            return self._start_new(state)
        input_of_previous = (state.previous.stamp, state.previous.if_exists)
        if self.text_changed or input_of_previous != (self._file.stamp, self._if_exists):
            self._end_previous(batch)
            return self._start_new(state)
        if batch and batch.state in ("dropped", "expired"):
            log(f"Its unfinished batch {batch.batch_id} was {batch.state}: a new one begins.")
            return self._start_new(state)
        if batch and batch.state == "open":
            since = f"{batch.opened_at:%Y-%m-%d %H:%M:%S} UTC"
            log(f"Going on with batch {batch.batch_id}, opened at {since}.")
        return state.previous.key

    def find_key(self) -> str | None:
        """Return the key of the previous run, if `get_key` would resume it. Write nothing."""
        if self._file.path is None or self.text_changed:
            return None
        path = resume_file_path(resume_folder(), self._transport.where, self._file.path)
        run = stored_run(path)
        is_same = run and (run.stamp, run.if_exists) == (self._file.stamp, self._if_exists)
        return run.key if run and is_same and not self._is_undone(run.key) else None

    def _is_undone(self, key: str) -> bool:
        try:
            self._transport.find(key)
        except BatchUndone:
            return True
        return False

    def store_batch(self, batch_id: str) -> None:
        """Store the id of the batch that was opened."""
        if self._state:
            self._state.store_batch(batch_id)

    def end(self) -> None:
        """Remove the resume file: the run has ended, and its result was reported."""
        if self._state:
            self._state.remove()

    def close(self) -> None:
        """Close the resume file."""
        if self._state:
            self._state.close()

    def _open(self, path: str) -> ResumeFile:
        log_control_plane(self._transport)
        self._state = state = ResumeFile(resume_folder(), self._transport.where, path)
        note_resumable()
        self.is_resumed = state.previous is not None
        return state

    def _start_new(self, state: ResumeFile) -> str:
        key = state.start_new(self._file.stamp, self._if_exists)
        self.is_resumed = False
        return key

    def _previous_batch(self, state: ResumeFile) -> Batch | None:
        assert state.previous is not None
        try:
            # Without the id, the key finds it, unless it was dropped.
            found = self._transport.find(state.previous.key)
            return found or (self._transport.show(state.batch_id) if state.batch_id else None)
        except NotFound:
            return None

    def _end_previous(self, batch: Batch | None) -> None:
        """Drop the batch of a previous run with another text or other options, if it is open."""
        if batch and batch.state == "open":
            self._transport.drop(batch.batch_id)
            log(f"{_CHANGED}: its unfinished batch {batch.batch_id} was dropped.")
        elif batch and batch.state == "published":
            log(f"{_CHANGED}: an earlier run of it had created batch {batch.batch_id}.")


def resume_folder() -> Path:
    """Return the folder of the resume files."""
    return data_dir(os.environ) / "runs"
