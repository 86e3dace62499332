"""Create a batch from the client's side: users -> chunks -> control plane -> created users.

A small batch is one request. A larger one is read twice: the first reading checks every entry and
reserves the emails, chunk by chunk; the second one sends the passwords to be hashed. No user of it
is visible before it is published.
"""

from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from functools import cached_property, partial

from msgspec import structs

from anyscale.batch_run.email_conflicts import EmailConflicts, IsAbandoned
from anyscale.batch_run.outcome import Outcome
from anyscale.batch_run.reservations import Reservations
from anyscale.batch_run.run_calls import BatchCalls, Progress, RunCalls
from anyscale.batch_run.run_key import RunKey
from anyscale.domain.conflicts import RESERVED_CODES, conflict_problems, is_skipped
from anyscale.domain.models.batches import Batch, Created
from anyscale.domain.models.users import AdminCreatedUser
from anyscale.domain.user_sources import Chunk, Reading, UserSource, chunks
from anyscale.domain.validation import Policy
from anyscale.errors import (
    AnyscaleError,
    BatchGone,
    BatchRefused,
    BatchUndone,
    BatchUnfinished,
    KeyReused,
    Overloaded,
    Unavailable,
)

_USERS_PER_RESPONSE = 10_000

#: The codes of problems that may end with an open batch: that of a `sub` only if it is abandoned.
_MAY_END = RESERVED_CODES | {"sub_taken"}

_CREATED_BEFORE = "These users are refused now, but an earlier run of them had created batch {}."

#: Seconds that a run that was interrupted, or given up, waits until its batch is dropped.
_DROP_SECONDS = 2.0


class BatchRun:
    """One run that creates a batch, or resumes it.

    Args:
        calls: of the control plane.
        source: the users.
        key: the idempotency key.
        if_exists: `fail` or `skip`.
        drop_command: returns the command or call that drops an open batch, for a message.
        is_abandoned: tells which open batches may be dropped.
        label: how people recognize the batch; by default, that of the source.
        mail_links: whether the users that cannot sign in yet get links by mail.
        accept_weak_hashes: whether weak hashes are wrapped, and not refused.
        log: receives messages for the user.
        on_progress: receives how far the run is.
    """

    def __init__(
        self,
        calls: RunCalls,
        source: UserSource,
        key: RunKey,
        *,
        if_exists: str,
        drop_command: Callable[[str], str],
        is_abandoned: IsAbandoned = lambda _: nullcontext(False),
        label: str | None = None,
        mail_links: bool = False,
        accept_weak_hashes: bool = False,
        log: Callable[[str], None] = lambda _: None,
        on_progress: Progress = lambda *_: None,
    ) -> None:
        self._calls = calls
        self._batches = calls.batches
        self._source = source
        self._key = key
        self._if_exists = if_exists
        self._is_abandoned = is_abandoned
        self._drop_command = drop_command
        self._label = source.label if label is None else label
        self._mail_links = mail_links
        self._accept_weak_hashes = accept_weak_hashes
        self._log = log
        self._on_progress = on_progress

    @cached_property
    def _policy(self) -> Policy:
        """The rules of the control plane. To get them is the first call of a run."""
        policy = self._calls.policy()
        return structs.replace(policy, accept_weak_hashes=self._accept_weak_hashes)

    def dry_run(self) -> Outcome:
        """Check, look up and refuse as `run` would; hash nothing and write nothing."""
        reading = self._source.reading(self._policy)
        key = self._key.find_key()
        batch = self._batches.find(key) if key else None
        if batch and batch.if_exists != self._if_exists:
            raise KeyReused(f"batch {batch.batch_id} was opened with if_exists={batch.if_exists}")
        if batch and batch.state == "published":
            return self._compare(batch)
        reservations = self._reservations(self._conflicts())
        count, taken = reservations.look_up_all(reading, batch.batch_id if batch else "")
        reservations.refuse(reading, taken)
        self._source.check_unchanged()
        skipped = [one for one in taken if is_skipped(one, self._if_exists)]
        return Outcome(
            dry_run=True,
            created=count - len(skipped),
            skipped=len(skipped),
            suspended=sum(bool(one.suspended) for one in skipped),
            skipped_entries=lambda: skipped,
        )

    def run(self) -> Outcome:
        """Create the users, whole or nothing.

        Raises:
            BatchRefused: entries are wrong or taken; nobody was created, and no batch remains.
            BatchUnfinished: something failed on the way; `batch_id` names the batch that is left
                open. Or the input has changed while it was read.
        """
        reading = self._source.reading(self._policy)
        head = next(chunks(reading, self._policy.small_users + 1), Chunk([], []))
        if len(head.users) > self._policy.small_users:
            return self._create_large(self._key.get_key())
        if reading.problems:  # all of them: it was read to the end
            self._log_earlier_batch()
            self._reservations(self._conflicts()).refuse_input(reading.problems)
        if len(head.passwords) > self._policy.small_passwords:
            return self._create_large(self._key.get_key())
        return self._create_small(reading, head)

    def _log_earlier_batch(self) -> None:
        """Log the batch that an earlier run has created of an input that is refused now.

        The rules or the options have changed, and the refusal says that nobody was created.
        """
        with suppress(Unavailable, BatchUndone):
            key = self._key.find_key()
            batch = self._batches.find(key) if key else None
            if batch and batch.state == "published":
                self._log(_CREATED_BEFORE.format(batch.batch_id))

    def _compare(self, batch: Batch) -> Outcome:
        """Compare the users with those of a published batch, as the run of its key would."""
        entries = self._reservations(self._conflicts()).reserve_all(batch).entries
        batch = self._batches.publish(batch.batch_id, entries)
        return Outcome(
            batch=batch,
            dry_run=True,
            created=batch.users,
            skipped=batch.skipped,
            was_published=True,
            skipped_entries=partial(self._batches.conflicts, batch.batch_id),
        )

    def _conflicts(self) -> EmailConflicts:
        return EmailConflicts(
            self._batches,
            self._if_exists,
            self._is_abandoned,
            self._log,
            self._policy.reservation_wait,
            self._drop_command,
        )

    def _reservations(self, conflicts: EmailConflicts) -> Reservations:
        return Reservations(self._source, self._policy, self._calls, conflicts, self._on_progress)

    def _create_small(self, reading: Reading, chunk: Chunk) -> Outcome:
        self._source.check_unchanged()
        if not chunk.users:
            return Outcome(created=0, skipped=0, skipped_entries=list)
        key = self._key.get_key()
        try:
            created = self._send_single_request(key, chunk)
        except KeyReused:
            batch = self._batches.find(key)
            if not batch or batch.state != "open":
                raise
            # Another client, or a version with other limits, has begun it chunk by chunk.
            return self._create_large(key)
        except BatchRefused as error:
            raise BatchRefused(reading.locate(error.problems), error.more) from None
        except Unavailable as error:
            if not error.outcome_unknown:
                raise
            raise BatchUnfinished(f"{error}; the outcome is not known") from error
        return Outcome(
            batch=created.batch,
            created=created.batch.users,
            skipped=len(created.skipped),
            was_published=created.replayed,
            users=created.users,
            skipped_entries=lambda: created.skipped,
        )

    def _send_single_request(self, key: str, chunk: Chunk) -> Created:
        """Create a batch that reserves nothing beforehand, so other batches never wait for it."""
        conflicts = self._conflicts()
        while True:
            try:
                return self._batches.create(
                    key,
                    chunk.users,
                    self._if_exists,
                    chunk.passwords,
                    mail_links=self._mail_links,
                    label=self._label,
                )
            except BatchRefused as error:
                if not any(problem.code in _MAY_END for problem in error.problems):
                    raise
            taken = conflicts.not_skipped(self._batches.look_up(chunk.users, 0))
            if conflicts.are_final(taken) and (blocking := conflicts.blocking(taken)):
                conflicts.log_holders(blocking)
                raise BatchRefused(conflict_problems(blocking))
            conflicts.wait(taken)

    def _create_large(self, key: str) -> Outcome:
        batch = self._batches.open(key, self._if_exists, self._label)
        was_published = batch.state == "published"
        try:
            self._key.store_batch(batch.batch_id)
            batch = self._fill(batch)
        except BaseException as error:
            self._give_up(batch, error)
            raise
        return Outcome(
            batch=batch,
            created=batch.users,
            skipped=batch.skipped,
            was_published=was_published,
            users=_created_users(self._batches, batch.batch_id),
            skipped_entries=partial(self._batches.conflicts, batch.batch_id),
        )

    def _fill(self, batch: Batch) -> Batch:
        """Reserve, hash and publish; for a published batch, only compare the users."""
        reading, entries, passwords = self._reservations(self._conflicts()).reserve_all(batch)
        if batch.state == "published":
            return self._publish(batch, entries)
        try:
            if passwords:
                self._hash_all(batch, passwords)
        except BatchRefused as error:
            raise BatchRefused(reading.locate(error.problems), error.more) from None
        self._source.check_unchanged()
        return self._publish(batch, entries)

    def _publish(self, batch: Batch, entries: int) -> Batch:
        return self._batches.publish(batch.batch_id, entries, mail_links=self._mail_links)

    def _hash_all(self, batch: Batch, passwords: int) -> None:
        # Not the passwords whose hashes an earlier run has stored, nor those of skipped users.
        from anyscale.batch_run.password_upload import ChunkSize, send_passwords

        batch = self._batches.show(batch.batch_id)
        if not batch.hashes_due:
            return
        self._log(f"Hashing {batch.hashes_due} passwords, which takes most of the time...")
        reading = self._source.reading(self._policy)
        size = ChunkSize(self._policy.chunk_passwords, passwords - batch.hashes_due)
        send_passwords(self._calls, batch, reading, size, self._on_progress)

    def _give_up(self, batch: Batch, error: BaseException) -> None:
        """End a run that failed: leave its batch to the next run, or drop it if none can resume."""
        if isinstance(error, KeyReused):  # the batch is another run's
            return
        detail = str(error) or "interrupted"
        if self._key.is_resumable and not isinstance(error, BatchRefused):
            if isinstance(error, AnyscaleError):
                raise BatchUnfinished(detail, batch.batch_id) from error
            return
        # A control plane that is too busy for the run would let the drop wait as long again.
        is_short = isinstance(error, KeyboardInterrupt | Overloaded)
        try:
            if batch.state == "open":
                self._drop(batch, _DROP_SECONDS if is_short else None)
            elif isinstance(error, BatchRefused):
                self._log(_CREATED_BEFORE.format(batch.batch_id))
        except TimeoutError:
            left_open = f"{detail}; batch {batch.batch_id} may be left open"
            raise BatchUnfinished(left_open, batch.batch_id) from error
        except BatchGone as gone:  # it was published, and only the response was lost
            raise BatchUnfinished(f"{detail}; {gone}") from error
        except AnyscaleError:
            left_open = f"{detail}; batch {batch.batch_id} is left open"
            raise BatchUnfinished(left_open, batch.batch_id) from error

    def _drop(self, batch: Batch, seconds: float | None) -> None:
        """Drop a batch; raise `TimeoutError` if the control plane has not responded in time."""
        from anyscale.batch_run.bounded_executor import start_call

        try:
            start_call(partial(self._batches.drop, batch.batch_id)).result(seconds)
        finally:
            self._calls.cancel_retries()


def _created_users(batches: BatchCalls, batch_id: str) -> Iterator[AdminCreatedUser]:
    after = ""
    while users := batches.created(batch_id, after, _USERS_PER_RESPONSE):
        yield from users
        after = users[-1].user_id
