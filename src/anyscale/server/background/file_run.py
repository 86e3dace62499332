"""Runs of users files: the run of the command, with calls in this process, for a session."""

from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Final

from msgspec import Struct, structs

from anyscale.batch_run.outcome import Outcome
from anyscale.batch_run.run import BatchRun
from anyscale.domain.conflicts import RESERVED_CODES
from anyscale.domain.labels import label_of_file
from anyscale.domain.user_sources import Reading, chunks
from anyscale.domain.validation import shown
from anyscale.errors import (
    AnyscaleError,
    BatchRefused,
    KeyReused,
    Problem,
    RequestInvalid,
)
from anyscale.server.background.counted_file import CountedFile, Person
from anyscale.server.background.own_calls import OwnCalls
from anyscale.server.background.run_state import RunState, stop_reason
from anyscale.server.background.uploads import Upload
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.batches.comparison import FieldDifference
from anyscale.server.core.callers import SessionCaller

#: problems that a page shows; the text has more
SHOWN = 1_000


def entries_of(problems: Iterable[Problem]) -> set[int]:
    """Return the positions of the entries that problems are about."""
    found = (index for problem in problems for index in (problem.index, problem.other))
    return {index for index in found if index is not None}


def no_users(name: str) -> RequestInvalid:
    """Return the error for a file without users."""
    return RequestInvalid(f"the file {name} has no users")


class StoppedRun(Struct, frozen=True):
    """What a process remembers of a run that has stopped."""

    #: why it stopped
    message: str
    #: of the form that sent its file
    fields: dict[str, str]


class FileRun:
    """A check of a file, or a run that creates its users. It is a `RunKey` too.

    Args:
        control_plane: that runs it.
        upload: the file.
        caller: whose session is checked in each transaction.
        key: the idempotency key; empty for a check.
        batch_id: of the batch that it continues with; empty for a new one.
        if_exists: of that batch; else the form has it.
    """

    is_resumable = True

    def __init__(
        self,
        control_plane: ControlPlane,
        upload: Upload,
        caller: SessionCaller,
        key: str = "",
        batch_id: str = "",
        if_exists: str = "",
    ) -> None:
        self.file: Final = CountedFile(upload)
        self.caller = caller
        self.key = key
        self.batch_id: str = batch_id
        #: becomes the id of the batch as soon as it is open, or an error
        self.opened: Future[str] = Future()
        self.state: Final = RunState()
        #: whether the file is known to be the one of the batch
        self.is_compared: bool = False
        #: position -> who it is, of the entries that have problems, and that others repeat
        self.people: dict[int, Person] = {}
        self.upload = upload
        self._batches = control_plane.batches
        self.policy: Final = structs.replace(
            control_plane.batches.policy, accept_weak_hashes=upload.accept_weak_hashes
        )
        self._control_plane = control_plane
        self._if_exists: str = if_exists or upload.if_exists

    @property
    def run_id(self) -> str:
        """The id of its batch; empty as long as it has none."""
        return self.batch_id

    @property
    def page(self) -> str:
        """The address of its page."""
        return f"/console/batches/{self.batch_id}"

    @property
    def refused_domains(self) -> list[str]:
        """Domains of users by SSO of the file that SSO refuses, perhaps with a typing error."""
        provider = self._control_plane.settings.provider
        return provider.refused(self.file.sso_domains) if provider else []

    def work(self) -> None:
        """Create the users, and tell which batch that is."""
        batch = self.create().batch
        if batch is None:
            raise no_users(self.file.name)
        self.store_batch(batch.batch_id)

    def stop_message(self, error: AnyscaleError) -> str:
        """Return why it stopped: the page of its batch shows it while the batch is open."""
        if isinstance(error, BatchRefused):
            lines = "; ".join(str(problem) for problem in error.problems[:3])
            return f"The run stopped, and no user was created: {lines}"
        reason = stop_reason(error)
        return f"The run stopped: {reason}. No user was created. Choose the same file to continue."

    def check(self) -> Outcome:
        """Check the file as the command's `--dry-run` does; write nothing."""
        with self._rows_noted():
            return self._new_run().dry_run()

    def create(self) -> Outcome:
        """Create the users. What a check finds is raised before the batch is opened."""
        run = self._new_run()
        with self._rows_noted():
            try:
                if self.batch_id:
                    self._require_same_file()
                    self.is_compared = True
                else:
                    run.dry_run()
            except BatchRefused as error:
                if any(problem.code not in RESERVED_CODES for problem in error.problems):
                    raise
            return run.run()

    def _new_run(self) -> BatchRun:
        # No attribute: a cycle would keep the places of all emails until Python finds it.
        return BatchRun(
            OwnCalls(self._control_plane, self.caller, self.state.require_running),
            self.file,
            self,
            if_exists=self._if_exists,
            label=label_of_file(self.upload.fields.get("name", "")),
            mail_links=self.upload.mail_links,
            accept_weak_hashes=self.upload.accept_weak_hashes,
            drop_command="its page, /console/batches/{}".format,
            log=self.state.note,
            on_progress=self.state.note_progress,
        )

    @contextmanager
    def _rows_noted(self) -> Iterator[None]:
        """Note who the rows with problems are, as long as the file is there."""
        try:
            yield
        except BatchRefused as error:
            self.people = self.file.people_at(entries_of(error.problems), self.policy)
            raise

    def get_key(self) -> str:
        return self.key

    def find_key(self) -> str | None:
        return self.key or None

    def store_batch(self, batch_id: str) -> None:
        """Tell that the batch is open."""
        self.batch_id, self.is_compared = batch_id, True
        if not self.opened.done():
            self.opened.set_result(batch_id)

    def _require_same_file(self) -> None:
        """Compare the file with the reserved chunks, before anything is changed.

        Raises:
            BatchRefused: the file has problems, or `KeyReused`: it is another file.
        """
        reserved = self._batches.reserved_chunks(self.batch_id)
        reading = self.file.reading(self.policy)
        number = -1
        for number, chunk in enumerate(chunks(reading, self.policy.chunk_users)):
            passwords = () if reading.problems else chunk.passwords
            difference = self._batches.difference(self.batch_id, number, chunk.users, passwords)
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
