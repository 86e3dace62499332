"""The entries of a batch whose emails are taken, as conflicts."""

from collections.abc import Sequence

from anyscale.domain.conflicts import FREED_DAYS, conflict_problems, is_skipped
from anyscale.domain.models.batches import Conflict
from anyscale.domain.times import from_milliseconds
from anyscale.domain.validation import CheckedUser
from anyscale.errors import BatchRefused
from anyscale.server.core.time_units import DAY_MS
from anyscale.server.store.records.batches import BatchRecord, ConflictRecord, EmailHolder
from anyscale.server.store.records.users import FreedEmailRecord
from anyscale.server.store.transaction import Transaction
from anyscale.server.store.user_ids import MAX_POSITION, position_of, user_id

__all__ = [
    "chunk_conflicts",
    "find_conflict",
    "find_taken",
    "free_positions",
    "freed_since",
    "list_conflicts",
    "refuse_conflicts",
]

#: The row that has an email, or the account that had it a short time ago.
Taken = EmailHolder | FreedEmailRecord


def freed_since(tx: Transaction) -> int:
    """Return the time before which emails were freed that any account may have by now."""
    return tx.now() - FREED_DAYS * DAY_MS


def find_taken(tx: Transaction, users: Sequence[CheckedUser]) -> list[Taken]:
    """Return who has, or had until a short time ago, the emails of users."""
    keys = [user.email_key for user in users]
    return [*tx.emails.list_freed(keys, freed_since(tx)), *tx.users.find_holders(keys)]


def chunk_conflicts(
    batch_id: str, first: int, users: Sequence[CheckedUser], taken: Sequence[Taken]
) -> list[Conflict]:
    """Return the conflicts of the entries of a chunk whose emails are taken.

    An email that another entry of the same batch has is a duplicate. `batch_id` is that of the
    entries, or empty for users that are only looked up. Of two in `taken` with one email, the last
    one counts.
    """
    by_key = {one.email_key: one for one in taken}
    return [
        find_conflict(position, user.email, one, batch_id)
        for position, user in enumerate(users, first)
        if (one := by_key.get(user.email_key)) and one.user_id != user_id(batch_id, position)
    ]


def find_conflict(position: int, email: str, holder: Taken, own_batch: str = "") -> Conflict:
    """Return the conflict of an entry with the row that has its email, or with who had it."""
    if isinstance(holder, FreedEmailRecord):
        freed_at = from_milliseconds(holder.freed_at)
        return Conflict(position=position, email=email, kind="freed", freed_at=freed_at)
    if holder.batch_id == own_batch:
        other = position_of(holder.user_id)
        return Conflict(position=position, email=email, kind="duplicate", other=other)
    if holder.state == "open":
        return Conflict(
            position=position,
            email=email,
            kind="reserved",
            holder=holder.batch_id,
            reserved_by=holder.opened_by,
            reserved_since=from_milliseconds(holder.opened_at),
        )
    return Conflict(
        position=position,
        email=email,
        kind="exists",
        user_id=holder.user_id,
        suspended=holder.suspended_at is not None,
    )


def free_positions(
    users: Sequence[CheckedUser], taken: Sequence[Taken], if_exists: str
) -> list[int]:
    """Return the positions of the users that would be created now."""
    conflicts = chunk_conflicts("", 0, users, taken)
    if not all(is_skipped(conflict, if_exists) for conflict in conflicts):
        return []
    skipped = {conflict.position for conflict in conflicts}
    return [position for position in range(len(users)) if position not in skipped]


def refuse_conflicts(conflicts: Sequence[Conflict], if_exists: str) -> None:
    """Raise `BatchRefused` if a batch has conflicts other than those that `if_exists` skips."""
    if refused := [one for one in conflicts if not is_skipped(one, if_exists)]:
        raise BatchRefused(conflict_problems(refused))


def list_conflicts(
    tx: Transaction, batch: BatchRecord, after: int = -1, limit: int = MAX_POSITION
) -> list[Conflict]:
    """Return conflicts of a batch after a position, with details of the other batches."""
    page = tx.chunks.list_conflicts(batch.id, after, limit)
    ids = {record.holder for record in page if record.holder}
    holders = {batch_id: tx.batches.get(batch_id) for batch_id in ids}
    freed = _freed_times(tx, page)
    return [
        _stored_conflict(record, holders.get(record.holder or ""), freed.get(record.email_key))
        for record in page
    ]


def _freed_times(tx: Transaction, page: Sequence[ConflictRecord]) -> dict[str, int]:
    """Return when the freed emails of a page became free."""
    keys = [record.email_key for record in page if record.kind == "freed"]
    found = tx.emails.list_freed(keys, 0) if keys else []
    return {one.email_key: one.freed_at for one in found}


def _stored_conflict(
    record: ConflictRecord, holder: BatchRecord | None, freed_at: int | None
) -> Conflict:
    return Conflict(
        position=record.position,
        email=record.email,
        kind=record.kind,
        other=record.other,
        holder=record.holder,
        reserved_by=holder.opened_by if holder else None,
        reserved_since=from_milliseconds(holder.opened_at) if holder else None,
        freed_at=None if freed_at is None else from_milliseconds(freed_at),
    )
