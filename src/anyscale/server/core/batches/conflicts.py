"""The entries of a batch whose emails are taken, as conflicts."""

from collections.abc import Sequence

from anyscale.domain.conflicts import conflict_problems, is_skipped
from anyscale.domain.models.batches import Conflict
from anyscale.domain.times import from_milliseconds
from anyscale.domain.validation import CheckedUser
from anyscale.errors import BatchRefused
from anyscale.server.store.records.batches import BatchRecord, ConflictRecord, EmailHolder
from anyscale.server.store.transaction import Transaction
from anyscale.server.store.user_ids import MAX_POSITION, position_of, user_id

__all__ = ["chunk_conflicts", "free_positions", "list_conflicts", "refuse_conflicts"]


def chunk_conflicts(
    batch_id: str, first: int, users: Sequence[CheckedUser], holders: Sequence[EmailHolder]
) -> list[Conflict]:
    """Return the conflicts of the entries of a chunk whose emails are taken.

    An email that another entry of the same batch has is a duplicate. `batch_id` is that of the
    entries, or empty for users that are only looked up.
    """
    by_key = {holder.email_key: holder for holder in holders}
    return [
        _found_conflict(position, user.email, holder, batch_id)
        for position, user in enumerate(users, first)
        if (holder := by_key.get(user.email_key)) and holder.user_id != user_id(batch_id, position)
    ]


def _found_conflict(position: int, email: str, holder: EmailHolder, own_batch: str) -> Conflict:
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
    users: Sequence[CheckedUser], holders: Sequence[EmailHolder], if_exists: str
) -> list[int]:
    """Return the positions of the users that would be created now."""
    taken = {holder.email_key for holder in holders}
    if taken and (if_exists == "fail" or any(holder.state == "open" for holder in holders)):
        return []
    return [position for position, user in enumerate(users) if user.email_key not in taken]


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
    return [_stored_conflict(record, holders.get(record.holder or "")) for record in page]


def _stored_conflict(record: ConflictRecord, holder: BatchRecord | None) -> Conflict:
    return Conflict(
        position=record.position,
        email=record.email,
        kind=record.kind,
        other=record.other,
        holder=record.holder,
        reserved_by=holder.opened_by if holder else None,
        reserved_since=from_milliseconds(holder.opened_at) if holder else None,
    )
