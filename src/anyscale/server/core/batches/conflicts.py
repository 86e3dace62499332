"""The entries of a batch whose emails or external ids are taken, as conflicts."""

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

#: The row that has an email or an external id, or the account that had the email a short time ago.
Taken = EmailHolder | FreedEmailRecord


def freed_since(tx: Transaction) -> int:
    """Return the time before which emails were freed that any account may have by now."""
    return tx.now() - FREED_DAYS * DAY_MS


def find_taken(tx: Transaction, users: Sequence[CheckedUser]) -> list[Taken]:
    """Return who has the emails and external ids of users, or had the emails a short time ago."""
    keys = [user.email_key for user in users]
    external_ids = [user.external_id for user in users if user.external_id]
    holders = tx.users.find_holders(keys, external_ids)
    return [*tx.emails.list_freed(keys, freed_since(tx)), *holders]


def chunk_conflicts(
    batch_id: str, first: int, users: Sequence[CheckedUser], taken: Sequence[Taken]
) -> list[Conflict]:
    """Return the conflicts of the entries of a chunk whose emails or external ids are taken.

    What another entry of the same batch has is a duplicate. `batch_id` is that of the entries, or
    empty for users that are only looked up. Of two in `taken` with one email, the last one counts.
    """
    if not taken:  # as nearly always
        return []
    by_key = {one.email_key: one for one in taken}
    by_external_id = {
        one.external_id: one for one in taken if isinstance(one, EmailHolder) and one.external_id
    }
    conflicts = []
    for position, user in enumerate(users, first):
        one, other = by_key.get(user.email_key), by_external_id.get(user.external_id or "")
        if one or other:
            own = user_id(batch_id, position)
            found = [
                *_conflicts(position, user.email, one, batch_id, own),
                *_conflicts(position, user.email, other, batch_id, own, user.external_id),
            ]
            # An entry may be skipped for an account that it has, by its email or its external id.
            conflicts += sorted(found, key=lambda conflict: conflict.kind != "exists")[:1]
    return conflicts


def merged_conflicts(
    taken: Sequence[Conflict], by_subject: dict[int, Conflict]
) -> Sequence[Conflict]:
    """Return the conflicts of a chunk, one for each entry: that of its `sub` counts first."""
    if not by_subject:  # as nearly always
        return taken
    found = {conflict.position: conflict for conflict in taken} | by_subject
    return [found[position] for position in sorted(found)]


def _conflicts(
    position: int,
    email: str,
    holder: Taken | None,
    own_batch: str,
    own_id: str,
    external_id: str | None = None,
) -> list[Conflict]:
    if not holder or holder.user_id == own_id:
        return []
    return [find_conflict(position, email, holder, own_batch, external_id)]


def find_conflict(
    position: int,
    email: str,
    holder: Taken,
    own_batch: str = "",
    external_id: str | None = None,
) -> Conflict:
    """Return the conflict of an entry with the row that has its email, or with who had it.

    `external_id` is the one of the entry, if the row has that in place of the email.
    """
    if isinstance(holder, FreedEmailRecord):
        freed_at = from_milliseconds(holder.freed_at)
        return Conflict(
            position=position,
            email=email,
            kind="freed",
            freed_at=freed_at,
            user_id=holder.user_id or None,
        )
    if holder.batch_id == own_batch:
        other = position_of(holder.user_id)
        return Conflict(
            position=position, email=email, kind="duplicate", other=other, external_id=external_id
        )
    if holder.state == "open":
        return Conflict(
            position=position,
            email=email,
            kind="reserved",
            external_id=external_id,
            holder=holder.batch_id,
            reserved_by=holder.opened_by,
            reserved_since=from_milliseconds(holder.opened_at),
        )
    return Conflict(
        position=position,
        email=email,
        kind="exists",
        external_id=external_id,
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
        external_id=record.external_id,
        holder=record.holder,
        reserved_by=holder.opened_by if holder else None,
        reserved_since=from_milliseconds(holder.opened_at) if holder else None,
        freed_at=None if freed_at is None else from_milliseconds(freed_at),
    )
