"""Imports: the run that creates the users of a file, with calls in this process."""

from functools import cached_property
from typing import Final

from msgspec import structs

from anyscale.batch_run.outcome import Outcome
from anyscale.batch_run.run import BatchRun
from anyscale.domain.conflicts import RESERVED_CODES
from anyscale.domain.user_sources import Reading, chunks
from anyscale.domain.validation import Policy, shown
from anyscale.errors import AnyscaleError, BatchRefused, KeyReused, Problem
from anyscale.server.background.file_run import FileRun, RunResult, stop_reason
from anyscale.server.background.upload import Upload
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.batches.comparison import FieldDifference
from anyscale.server.core.callers import SessionCaller


class FormKey:
    """The key of a form, as a `RunKey`: the request waits until the batch is open."""

    is_resumable = True

    def __init__(self, key: str, result: RunResult) -> None:
        self._key = key
        self._result = result

    def get_key(self) -> str:
        return self._key

    def find_key(self) -> str | None:
        return self._key or None

    def store_batch(self, batch_id: str) -> None:
        """Let the request show the page of the batch."""
        self._result.open(batch_id)


class FileImport(FileRun):
    """A check of a file, or a run that creates its users.

    Args:
        control_plane, upload, caller: see `FileRun`.
        key: the idempotency key; empty for a check.
        batch_id: of the batch that it continues with; empty for a new one.
        if_exists: of that batch; else the form has it.
    """

    path = "/console/batches"

    def __init__(
        self,
        control_plane: ControlPlane,
        upload: Upload,
        caller: SessionCaller,
        key: str = "",
        batch_id: str = "",
        if_exists: str = "",
    ) -> None:
        super().__init__(control_plane, upload, caller, key, batch_id)
        self._if_exists: Final = if_exists or upload.if_exists

    @cached_property
    def _policy(self) -> Policy:
        return structs.replace(
            self._control_plane.batches.policy, accept_weak_hashes=self.upload.accept_weak_hashes
        )

    @property
    def refused_domains(self) -> list[str]:
        """Domains of users by SSO of the file that SSO refuses."""
        return self._refused(self.file.sso_domains)

    def check(self) -> Outcome:
        """Check the file as the command's `--dry-run` does; write nothing.

        Raises:
            BatchRefused: something is wrong.
            RequestInvalid: it has no users.
        """
        with self._people_noted(self._policy):
            outcome = self._new_run().dry_run()
        self._require_users(self.file.users_read)
        return outcome

    def work(self) -> None:
        """Create the users, and tell which batch that is."""
        with self._people_noted(self._policy):
            batch = self._create().batch
        self._require_users(batch is not None)
        assert batch
        self.result.open(batch.batch_id)

    def stop_message(self, error: AnyscaleError) -> str:
        """Return why it stopped: the page of its batch shows it while the batch is open."""
        if isinstance(error, BatchRefused):
            lines = "; ".join(str(problem) for problem in error.problems[:3])
            return f"The run stopped, and no user was created: {lines}"
        reason = stop_reason(error)
        return f"The run stopped: {reason}. No user was created. Choose the same file to continue."

    def _create(self) -> Outcome:
        """Create the users. What a check finds is raised before the batch is opened."""
        run = self._new_run()
        try:
            if self.result.run_id:
                self._require_same_file()
                self.result.is_compared = True
            else:
                run.dry_run()
        except BatchRefused as error:
            if any(problem.code not in RESERVED_CODES for problem in error.problems):
                raise
        return run.run()

    def _new_run(self) -> BatchRun:
        # No attribute: a cycle would keep the places of all emails until Python finds it.
        return BatchRun(
            self._calls(),
            self.file,
            FormKey(self.key, self.result),
            if_exists=self._if_exists,
            label=self._label,
            mail_links=self.upload.mail_links,
            accept_weak_hashes=self.upload.accept_weak_hashes,
            drop_command=f"its page, {self.path}/{{}}".format,
            log=self.state.note,
            on_progress=self.state.note_progress,
        )

    def _require_same_file(self) -> None:
        """Compare the file with the reserved chunks, before anything is changed.

        Raises:
            BatchRefused: the file has problems, or `KeyReused`: it is another file.
        """
        batches, batch_id = self._control_plane.batches, self.result.run_id
        reserved = batches.reserved_chunks(batch_id)
        reading = self.file.reading(self._policy)
        number = -1
        for number, chunk in enumerate(chunks(reading, self._policy.chunk_users)):
            passwords = () if reading.problems else chunk.passwords
            difference = batches.difference(batch_id, number, chunk.users, passwords)
            if difference and not reading.problems:
                raise KeyReused(self._words(difference, reading))
        if reading.problems:
            raise BatchRefused(reading.problems, reading.problems.more)
        if number + 1 < reserved:
            raise KeyReused(f"{self.file.name} is shorter than the file of this import")

    def _words(self, difference: FieldDifference, reading: Reading) -> str:
        position = difference.position
        place = f"user {position + 1:,} of {self.file.name}"
        if difference.given is not None:
            (problem,) = reading.locate([Problem(index=position, code="", detail="")])
            place += f" (line {problem.line})"
        if difference.field == "email":
            given = shown(difference.given) if difference.given else "nobody"
            reserved = shown(difference.reserved) if difference.reserved else "nobody"
            return f"{place} differs: it is {given} instead of {reserved}"
        if difference.field == "skipped":
            return f"a user from user {position + 1:,} on differs from the file of this import"
        return f"{place} differs: {shown(difference.given or '')} has another {difference.field}"
