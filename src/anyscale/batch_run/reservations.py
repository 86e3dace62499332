"""Reserve the emails of a batch, chunk by chunk, while other open batches may have some of them."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

from anyscale.batch_run.email_conflicts import EmailConflicts
from anyscale.batch_run.run_calls import Progress, RunCalls
from anyscale.domain.conflicts import conflict_problems
from anyscale.domain.models.batches import Batch, Conflict, ReservedChunk
from anyscale.domain.user_sources import Chunk, Reading, UserSource, chunks
from anyscale.domain.validation import Policy
from anyscale.errors import BatchRefused

__all__ = ["Reservations", "Reserved"]


class Reserved(NamedTuple):
    """What reserving all emails of a batch has counted."""

    reading: Reading
    entries: int
    #: users whose password is to be hashed
    passwords: int


class Reservations:
    """Reserves, or only looks up, the emails of all users of a source."""

    def __init__(
        self,
        source: UserSource,
        policy: Policy,
        calls: RunCalls,
        conflicts: EmailConflicts,
        on_progress: Progress,
    ) -> None:
        self._source = source
        self._policy = policy
        self._calls = calls
        self._conflicts = conflicts
        self._on_progress = on_progress
        #: entries of the current reading so far
        self._entries = 0

    def look_up_all(self, reading: Reading) -> tuple[int, list[Conflict]]:
        """Count the users of a reading, and list the entries whose emails are taken.

        Raises:
            BatchRefused: entries are wrong.
        """
        taken: list[Conflict] = []
        for chunk in self._chunks(reading):
            if not reading.problems:
                first = self._entries - len(chunk.users)
                taken += self._calls.batches.look_up(chunk.users, first)
        if reading.problems:
            raise BatchRefused(reading.problems, reading.problems.more)
        return self._entries, taken

    def reserve_all(self, batch: Batch) -> Reserved:
        """Read the users for the first time, check all of them and reserve their emails.

        Raises:
            BatchRefused: entries are wrong, or their emails are taken and stay so until the
                policy's time is over.
        """
        while True:
            reading = self._source.reading(self._policy)
            reserved, is_complete = self._reserve(batch, reading)
            if reading.problems:
                raise BatchRefused(reading.problems, reading.problems.more)
            if is_complete:
                return reserved
            conflicts = self._conflicts.not_skipped(self._calls.batches.conflicts(batch.batch_id))
            if self._conflicts.are_final(conflicts):
                self._refuse(batch, reading, conflicts)
            self._conflicts.wait(conflicts, batch)

    def _reserve(self, batch: Batch, reading: Reading) -> tuple[Reserved, bool]:
        """Reserve chunk after chunk as long as nothing is wrong; read to the end in any case."""
        from anyscale.batch_run.bounded_executor import BoundedExecutor

        passwords = 0
        responses: list[ReservedChunk] = []
        with BoundedExecutor[ReservedChunk](
            self._calls.reservations_at_once,
            self._calls.cancel_retries,
            self._calls.on_notice,
            self._show_progress,
        ) as executor:
            for number, chunk in enumerate(self._chunks(reading)):
                passwords += len(chunk.passwords)
                if not reading.problems and not any(response.holders for response in responses):
                    call = partial(self._calls.batches.reserve, batch.batch_id, number, chunk.users)
                    responses += executor.submit(call)
            responses += executor.drain()
        is_complete = not any(response.conflicts for response in responses)
        return Reserved(reading, self._entries, passwords), is_complete

    def _refuse(self, batch: Batch, reading: Reading, conflicts: Sequence[Conflict]) -> None:
        """Refuse the batch for every email that is taken, unless they have come free.

        The chunks after one that met another batch were not sent, so their emails are looked up.
        """
        if any(conflict.holder for conflict in conflicts):
            reading = self._source.reading(self._policy)
            _, current = self.look_up_all(reading)
            duplicates = [c for c in conflicts if c.kind == "duplicate"]
            conflicts = [c for c in current if c.holder != batch.batch_id] + duplicates
        if blocking := self._conflicts.blocking(conflicts):
            blocking.sort(key=lambda conflict: conflict.position)
            self._conflicts.log_holders(blocking)
            raise BatchRefused(reading.locate(conflict_problems(blocking)))

    def _chunks(self, reading: Reading) -> Iterator[Chunk]:
        self._entries = 0
        for chunk in chunks(reading, self._policy.chunk_users):
            self._entries += len(chunk.users)
            yield chunk
            self._show_progress()

    def _show_progress(self) -> None:
        self._on_progress("Reading", *self._source.progress(), self._entries)
