"""Reserve the emails of a batch, chunk by chunk, while other open batches may have some of them."""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import chain
from typing import NamedTuple, NoReturn

from msgspec import structs

from anyscale.batch_run.email_conflicts import EmailConflicts
from anyscale.batch_run.run_calls import Progress, RunCalls
from anyscale.domain.conflicts import conflict_problems
from anyscale.domain.models.batches import Batch, Conflict, ReservedChunk
from anyscale.domain.user_sources import Chunk, ProblemList, Reading, UserSource, chunks
from anyscale.domain.validation import Policy
from anyscale.errors import BatchRefused, Unavailable

#: each chunk is written as soon as it was read
_WRITING = "Reading and writing"


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

    def look_up_all(self, reading: Reading, own_batch: str = "") -> tuple[int, list[Conflict]]:
        """Count the valid users of a reading, and list the entries whose emails others have.

        Without a control plane that responds, a reading that has problems has only these.
        """
        taken: list[Conflict] = []
        responds = True
        for chunk in self._chunks(reading, "Reading"):
            try:
                if responds:
                    taken += self._look_up(chunk, reading.problems)
            except Unavailable:
                if not reading.problems:
                    raise
                responds = False
        return self._entries, [one for one in taken if not own_batch or one.holder != own_batch]

    def _look_up(self, chunk: Chunk, problems: ProblemList) -> Iterator[Conflict]:
        first = self._entries - len(chunk.users)  # of the valid users
        for one in self._calls.batches.look_up(chunk.users, first):
            yield structs.replace(one, position=problems.position_of(one.position))

    def refuse(self, reading: Reading, conflicts: Iterable[Conflict]) -> None:
        """Refuse the batch if entries are wrong or their emails are taken, for all of it at once.

        Raises:
            BatchRefused: with the wrong entries first, so that many taken emails hide none of them.
        """
        blocking = self._conflicts.blocking(conflicts)
        blocking.sort(key=lambda conflict: conflict.position)
        self._conflicts.log_holders(blocking)
        if reading.problems or blocking:
            taken = reading.locate(conflict_problems(blocking))
            raise BatchRefused(chain(reading.problems, taken), reading.problems.more)

    def refuse_input(self, problems: ProblemList, own_batch: str = "") -> NoReturn:
        """Refuse the batch for an input that has problems, and for the emails that are taken.

        Raises:
            BatchRefused: always.
        """
        reading = self._source.reading(self._policy)
        _, taken = self.look_up_all(reading, own_batch)
        self.refuse(reading, taken)
        raise BatchRefused(problems, problems.more)  # the input has changed since

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
                self.refuse_input(reading.problems, batch.batch_id)
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
            for number, chunk in enumerate(self._chunks(reading, _WRITING)):
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
            _, current = self.look_up_all(reading, batch.batch_id)
            conflicts = [*current, *(c for c in conflicts if c.kind == "duplicate")]
        self.refuse(reading, conflicts)

    def _chunks(self, reading: Reading, phase: str) -> Iterator[Chunk]:
        self._entries = 0
        for chunk in chunks(reading, self._policy.chunk_users):
            self._entries += len(chunk.users)
            yield chunk
            self._show_progress(phase)

    def _show_progress(self, phase: str = _WRITING) -> None:
        self._on_progress(phase, *self._source.progress(), self._entries)
