"""Getting the emails of a batch, also when another open batch holds some of them."""

import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from anyscale.errors import BatchGone, BatchRefused
from anyscale.user.conflicts import problems_of
from anyscale.user.models import Batch, Conflict, Created, ReservedChunk
from anyscale.user.user_sources import Reading, pages
from anyscale.user.validation import CheckedUser

if TYPE_CHECKING:
    from anyscale.user.batch_run import BatchRun

__all__ = ["claim_all", "create_small"]

# Of two batches that meet, one goes on within a page; looking more often would only slow it down.
_LOOK_AGAIN_SECONDS = 0.2


def create_small(run: "BatchRun", key: str, users: Sequence[CheckedUser]) -> Created:
    """Create a small batch. It claims nothing beforehand, so it only waits for those that do.

    Raises:
        BatchRefused: emails are taken, or still held when the policy's time is over.
    """
    deadline = time.monotonic() + run.policy.hold_wait
    named: set[str] = set()
    while True:
        try:
            return run.transport.create(key, users, run.if_exists)
        except BatchRefused as refused:
            if not any(problem.code == "email_held" for problem in refused.problems):
                raise
        taken = [c for c in run.transport.look_up(users, 0) if not run.passes(c)]
        if _is_final(taken, deadline) and (refused_now := run.in_the_way(taken)):
            raise BatchRefused(problems_of(refused_now))
        if waiting := _drop_abandoned(run, _holders(taken)):
            _name_once(run, taken, waiting, named)
            time.sleep(_LOOK_AGAIN_SECONDS)


def claim_all(run: "BatchRun", batch: Batch) -> tuple[Reading, int, int]:
    """Read the users for the first time, check them all and claim their emails.

    Returns:
        The reading, how many users it had, and how many passwords are to be hashed.

    Raises:
        BatchRefused: entries are wrong or taken, or still held when the policy's time is over.
    """
    deadline = time.monotonic() + run.policy.hold_wait
    named: set[str] = set()
    while True:
        reading = run.source.reading(run.policy)
        entries, secrets, claimed = _claim_once(run, batch, reading)
        if reading.problems:
            raise BatchRefused(reading.problems)
        if not claimed.conflicts:
            return reading, entries, secrets
        conflicts = [c for c in run.transport.conflicts(batch.batch_id) if not run.passes(c)]
        if _is_final(conflicts, deadline):
            _refuse(run, batch, reading, conflicts)
        if waiting := _drop_abandoned(run, _holders(conflicts)):
            _give_way(run, batch, waiting)
            _name_once(run, conflicts, waiting, named)
            _wait(run, waiting, deadline)


def _is_final(conflicts: Iterable[Conflict], deadline: float) -> bool:
    """Say whether there is nothing to wait for: an account stays, and time may be over."""
    return any(c.kind != "held" for c in conflicts) or time.monotonic() > deadline


def _refuse(run: "BatchRun", batch: Batch, reading: Reading, conflicts: list[Conflict]) -> None:
    """Name every email that is taken, unless those that were held came free meanwhile.

    The pages after one that met another batch were not claimed, so their emails are looked up.
    """
    if _holders(conflicts):
        reading = run.source.reading(run.policy)
        _, found = run.look_up_all(reading)
        duplicates = [c for c in conflicts if c.kind == "duplicate"]
        conflicts = [c for c in found if c.holder != batch.batch_id] + duplicates
    if refused := run.in_the_way(conflicts):
        refused.sort(key=lambda conflict: conflict.position)
        raise BatchRefused(reading.locate(problems_of(refused)))


def _claim_once(run: "BatchRun", batch: Batch, reading: Reading) -> tuple[int, int, ReservedChunk]:
    """Claim page after page as long as nothing is wrong, and read on to the end in any case."""
    from anyscale.user.bounded_executor import BoundedExecutor

    entries = secrets = 0
    answers: list[ReservedChunk] = []
    with BoundedExecutor[ReservedChunk](
        run.transport.claims_at_once, run.transport.hurry, run.log
    ) as window:
        for number, page in enumerate(pages(reading, run.policy.page_users)):
            entries += len(page)
            secrets += sum(user.password is not None for user in page)
            if not reading.problems and not any(answer.holders for answer in answers):
                call = partial(run.transport.claim, batch.batch_id, number, page)
                answers += window.submit(call)
            run.tell_reading()
        answers += window.drain()
    conflicts = sum(answer.conflicts for answer in answers)
    return entries, secrets, ReservedChunk(0, 0, conflicts, [])


def _holders(conflicts: Iterable[Conflict]) -> set[str]:
    return {conflict.holder for conflict in conflicts if conflict.holder}


def _drop_abandoned(run: "BatchRun", holders: set[str]) -> set[str]:
    """Drop the batches that nobody will go on with; give the others."""
    left = set(holders)
    for holder in sorted(holders):
        with run.abandoned(holder) as nobodys:  # and nobody goes on with it meanwhile
            if nobodys:
                left.remove(holder)
                _drop(run, holder)
    return left


def _drop(run: "BatchRun", holder: str) -> None:
    with suppress(BatchGone):  # from another home somebody went on with it, and published it
        run.transport.drop(holder)
        run.log(f"Dropped the unfinished batch {holder}, which held some of these emails.")


def _name_once(
    run: "BatchRun", conflicts: Iterable[Conflict], waiting: set[str], named: set[str]
) -> None:
    """Say which batches are waited for, each when its wait begins and not at every look."""
    for conflict in conflicts:
        if conflict.holder in waiting - named:
            named.add(conflict.holder)
            run.log(
                f"Waiting for batch {conflict.holder}, opened by {conflict.held_by}, "
                "which holds some of these emails..."
            )


def _give_way(run: "BatchRun", batch: Batch, holders: set[str]) -> None:
    """Of two batches that hold emails of each other, have the one opened later give up its own.

    It waits for the other one's end; so one of them always gets through.
    """
    held = [run.transport.show(holder) for holder in holders]
    if any((other.opened_at, other.batch_id) < (batch.opened_at, batch.batch_id) for other in held):
        run.transport.release(batch.batch_id)


def _wait(run: "BatchRun", holders: set[str], deadline: float) -> None:
    """Wait until the batches that hold emails have ended or given up."""
    while time.monotonic() <= deadline:
        held = [run.transport.show(holder) for holder in holders]
        if not any(other.state == "open" and other.users for other in held):
            return
        time.sleep(_LOOK_AGAIN_SECONDS)
