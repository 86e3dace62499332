"""The main job from the client's side: users -> pages -> control plane -> results, or one error.

A small batch is one call. A larger one is read twice: the first reading checks every entry and
claims the emails, page by page, while it goes on; the second one sends the passwords to be hashed.
Nobody sees a user of it before it is published.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from itertools import islice

from msgspec import Struct

from anyscale.errors import (
    AnyscaleError,
    BatchGone,
    BatchRefused,
    BatchUnfinished,
    KeyReused,
    Unavailable,
)
from anyscale.transport.base import Transport
from anyscale.user.conflicts import problems_of
from anyscale.user.models import AdminCreatedUser, Batch, Conflict
from anyscale.user.user_sources import Reading, UserSource, pages
from anyscale.user.validation import CheckedUser

__all__ = ["Abandoned", "BatchRun", "Outcome", "Progress"]

#: what is being done, how much of it, of how much
Progress = Callable[[str, int, int], None]

Abandoned = Callable[[str], AbstractContextManager[bool]]

_USERS_A_RESULT = 10_000


class Outcome(Struct, frozen=True):
    """What a run came to."""

    #: None after a dry run, and after a batch of nobody.
    batch: Batch | None
    #: Whether nothing was written.
    dry_run: bool
    created: int
    skipped: int
    #: Whether an earlier run had created the batch, and its answer was lost.
    already: bool
    #: The users that were created, in the order of the input.
    users: Iterable[AdminCreatedUser]
    #: Gives the entries that were passed over, in the order of the input.
    passed_over: Callable[[], list[Conflict]]

    def lines(self) -> list[str]:
        """Say it to people. The counts add up to the entries of the input."""
        verb = "would be " if self.dry_run else ""
        lines = [f"{_users(self.created)} {verb}created."]
        if self.skipped:
            they = "it exists" if self.skipped == 1 else "they exist"
            lines.append(f"{_users(self.skipped)} {verb}skipped: {they}.")
        if self.batch and self.already:
            at = f"{self.batch.published_at:%Y-%m-%d %H:%M:%S} UTC"
            lines.append(f"They were already created by batch {self.batch.batch_id} at {at}.")
        return lines


def _users(count: int) -> str:
    return "1 user" if count == 1 else f"{count} users"


class BatchRun:
    """One run of the main job.

    Args:
        transport: to the control plane.
        source: of the users.
        begin: is called before the first write, and gives the idempotency key.
        if_exists: `fail` or `skip`.
        resumable: whether the caller keeps the key, and can go on with an open batch.
        opened: is told the id of a batch that was opened, before anything is claimed in it.
        abandoned: says, for as long as it is entered, whether an open batch is one that nobody
            will go on with, so that it may go.
        log: is told what a person should know.
        progress: is told how far the run is.
    """

    def __init__(
        self,
        transport: Transport,
        source: UserSource,
        *,
        begin: Callable[[], str],
        if_exists: str,
        resumable: bool = False,
        opened: Callable[[str], None] = lambda _: None,
        abandoned: Abandoned = lambda _: nullcontext(False),
        log: Callable[[str], None] = lambda _: None,
        progress: Progress = lambda *_: None,
    ) -> None:
        self.transport = transport
        self.source = source
        self._begin = begin
        self.if_exists = if_exists
        self.abandoned = abandoned
        self.log = log
        transport.notice = log
        self.policy = transport.policy()
        self._resumable = resumable
        self._opened = opened
        self._progress = progress

    def dry_run(self) -> Outcome:
        """Check and look up as `run` would; hash nothing and write nothing.

        Raises:
            BatchRefused: as the run would.
        """
        reading = self.source.reading(self.policy)
        count, taken = self.look_up_all(reading)
        if refused := self.in_the_way(taken):
            raise BatchRefused(reading.locate(problems_of(refused)))
        skipped = [conflict for conflict in taken if self.passes(conflict)]
        return Outcome(None, True, count - len(skipped), len(skipped), False, [], lambda: skipped)

    def run(self) -> Outcome:
        """Create the users, whole or nothing.

        Raises:
            BatchRefused: entries are wrong or taken; nobody was created and nothing is left behind.
            BatchUnfinished: something failed on the way; `batch_id` names what is left open.
        """
        reading = self.source.reading(self.policy)
        head = list(islice(reading, self.policy.small_users + 1))
        if len(head) <= self.policy.small_users and reading.problems:  # it was read to the end
            raise BatchRefused(reading.problems)
        if self._is_small(head):
            return self._create_small(reading, head)
        return self._create_large()

    def look_up_all(self, reading: Reading) -> tuple[int, list[Conflict]]:
        """Count the users of a reading, and say whose emails are taken.

        Raises:
            BatchRefused: entries are wrong.
        """
        taken: list[Conflict] = []
        count = 0
        for page in pages(reading, self.policy.page_users):
            if not reading.problems:
                taken += self.transport.look_up(page, count)
            count += len(page)
            self.tell_reading()
        if reading.problems:
            raise BatchRefused(reading.problems)
        return count, taken

    def in_the_way(self, taken: Iterable[Conflict]) -> list[Conflict]:
        """Leave out what is passed over, and what is held by a batch that may go."""
        left = [conflict for conflict in taken if not self.passes(conflict)]
        # Once for each batch: a million entries may be held by one.
        holders = {conflict.holder for conflict in left if conflict.holder}
        may_go = self._may_go(holders)
        return [conflict for conflict in left if conflict.holder not in may_go]

    def _may_go(self, holders: set[str]) -> set[str]:
        may_go = set()
        for holder in holders:
            with self.abandoned(holder) as nobodys:
                if nobodys:
                    may_go.add(holder)
        return may_go

    def passes(self, conflict: Conflict) -> bool:
        """Say whether an entry is passed over: only for an account, never for what is held."""
        return self.if_exists == "skip" and conflict.kind == "exists"

    def tell_reading(self) -> None:
        """Say how far the reading is."""
        self._progress("Reading", *self.source.progress())

    def _is_small(self, head: list[CheckedUser]) -> bool:
        secrets = sum(user.password is not None for user in head)
        return len(head) <= self.policy.small_users and secrets <= self.policy.small_passwords

    def _create_small(self, reading: Reading, users: list[CheckedUser]) -> Outcome:
        from anyscale.user.reservations import create_small

        if not users:
            return Outcome(None, False, 0, 0, False, [], list)
        try:
            created = create_small(self, self._begin(), users)
        except BatchRefused as refused:
            raise BatchRefused(reading.locate(refused.problems)) from None
        except Unavailable as error:
            if not error.begun:
                raise
            raise BatchUnfinished(f"{error}; the outcome is not known") from error
        batch, skipped = created.batch, created.skipped
        return Outcome(
            batch,
            False,
            batch.users,
            len(skipped),
            created.replayed,
            created.users,
            lambda: skipped,
        )

    def _create_large(self) -> Outcome:
        batch = self.transport.open(self._begin(), self.if_exists)
        already = batch.state == "published"
        try:
            self._opened(batch.batch_id)
            batch = self._fill(batch)
        except BaseException as error:
            self._give_up(batch, error)
            raise
        return Outcome(
            batch,
            False,
            batch.users,
            batch.skipped,
            already,
            _created_users(self.transport, batch.batch_id),
            partial(self.transport.conflicts, batch.batch_id),
        )

    def _fill(self, batch: Batch) -> Batch:
        """Claim, hash and publish. Claims of a published batch only compare the users with its."""
        from anyscale.user.reservations import claim_all

        reading, entries, secrets = claim_all(self, batch)
        if batch.state == "published":
            return self.transport.publish(batch.batch_id, entries)
        try:
            self._hash_all(batch, secrets)
        except BatchRefused as refused:
            raise BatchRefused(reading.locate(refused.problems)) from None
        self.source.check_unchanged()
        return self.transport.publish(batch.batch_id, entries)

    def _hash_all(self, batch: Batch, secrets: int) -> None:
        from anyscale.user.bounded_executor import BoundedExecutor

        # Not those that an earlier run has stored, nor those of users that are passed over.
        if not secrets or not (due := self.transport.show(batch.batch_id).hashes_due):
            return
        self.log(f"Hashing {due} passwords, which takes most of the time...")
        done = 0
        self._progress("Hashing", 0, secrets)
        with BoundedExecutor[int](
            self.transport.hashes_at_once, self.transport.hurry, self.log
        ) as window:
            for page in _secret_pages(self.source.reading(self.policy), self.policy.page_passwords):
                call = partial(self.transport.hash, batch.batch_id, page)
                done += len(page) * len(window.submit(call))
                self._progress("Hashing", done, secrets)
            window.drain()
        self._progress("Hashing", secrets, secrets)

    def _give_up(self, batch: Batch, error: BaseException) -> None:
        """End a run that failed: leave its batch to the next run, or drop it if there is none."""
        if isinstance(error, KeyReused):  # it is somebody else's
            return
        detail = str(error) or "interrupted"
        if self._resumable and not isinstance(error, BatchRefused):
            if isinstance(error, AnyscaleError):
                raise BatchUnfinished(detail, batch.batch_id) from error
            return
        try:
            if batch.state == "open":
                self.transport.drop(batch.batch_id)
        except BatchGone as gone:  # it was published, and only the answer was lost
            raise BatchUnfinished(f"{detail}; {gone}", batch.batch_id) from error
        except AnyscaleError:
            left = f"{detail}; batch {batch.batch_id} is left open"
            raise BatchUnfinished(left, batch.batch_id) from error


def _secret_pages(reading: Iterable[CheckedUser], size: int) -> Iterator[list[tuple[int, str]]]:
    secrets = ((at, user.password) for at, user in enumerate(reading) if user.password is not None)
    while page := list(islice(secrets, size)):
        yield page


def _created_users(transport: Transport, batch_id: str) -> Iterator[AdminCreatedUser]:
    after = ""
    while page := transport.created(batch_id, after, _USERS_A_RESULT):
        yield from page
        after = page[-1].user_id
