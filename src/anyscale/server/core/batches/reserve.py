"""Opening a batch and claiming the emails of its pages, in somebody's transaction."""

import os
from collections.abc import Sequence

from anyscale.errors import BatchGone, KeyReused, NotFound
from anyscale.server.core.batches.records import (
    claimed_conflicts,
    conflict_row,
    digest_of,
    passes,
    root_of,
    user_ids,
    user_rows,
)
from anyscale.server.store.interface import BatchRecord, ChunkRecord, Transaction
from anyscale.user.models import Conflict, ReservedChunk
from anyscale.user.validation import CheckedUser

__all__ = ["claim_chunk", "held_batch", "known_batch", "new_batch", "open_batch", "touch"]

#: Milliseconds between two touches. Writing it each time would let only one page in at a time.
_TOUCH_EVERY = 60_000


def known_batch(rows: Transaction, batch_id: str) -> BatchRecord:
    """Give a batch.

    Raises:
        NotFound: there is none with this id.
    """
    batch = rows.batch(batch_id)
    if batch is None:
        raise NotFound(f"there is no batch {batch_id}")
    return batch


def held_batch(rows: Transaction, batch_id: str, *, alone: bool = False) -> BatchRecord:
    """Give a batch and hold it until the transaction ends: beside others who work on it, or alone.

    Raises:
        NotFound: there is none with this id.
    """
    batch = rows.hold_batch(batch_id, alone=alone)
    if batch is None:
        raise NotFound(f"there is no batch {batch_id}")
    return batch


def open_batch(batch: BatchRecord) -> BatchRecord:
    """Give back a batch that is open.

    Raises:
        BatchGone: it is not.
    """
    if batch.state != "open":
        raise BatchGone(f"batch {batch.batch_id} was {batch.state}")
    return batch


def new_batch(rows: Transaction, key: str, if_exists: str, actor: str) -> BatchRecord:
    """Make the row of a batch that is opened now."""
    now = rows.now()
    return BatchRecord(
        id=0,
        # Ids sort by the time of opening, and those of the users with them.
        batch_id=f"bat_{now:012x}{os.urandom(6).hex()}",
        idempotency_key=key,
        state="open",
        if_exists=if_exists,
        opened_by=actor,
        opened_at=now,
        touched_at=now,
    )


def touch(rows: Transaction, batch: BatchRecord) -> None:
    """Note that somebody works on a batch, if that was not noted within the last minute."""
    now = rows.now()
    if now - batch.touched_at >= _TOUCH_EVERY:
        rows.touch(batch.id, now)


def claim_chunk(
    rows: Transaction, batch: BatchRecord, number: int, first: int, users: Sequence[CheckedUser]
) -> ReservedChunk:
    """Claim the emails of a chunk, or answer again what an equal claim was answered.

    Args:
        rows: the transaction.
        batch: open or published; to a published one nothing is added.
        number: of the chunk.
        first: the position of its first user.
        users: of the chunk.

    Raises:
        KeyReused: the chunk was claimed before with other content.
    """
    digest = digest_of(users, batch.if_exists)
    page = rows.page(batch.id, number)
    if (page and page.digest != digest) or (not page and batch.state == "published"):
        raise KeyReused(f"batch {batch.batch_id} has other users in chunk {number}")
    if batch.state == "open":
        touch(rows, batch)
    if page and (batch.state == "published" or not page.conflicts):
        return ReservedChunk(page.users, page.skipped, page.conflicts, [])
    ids = user_ids(batch.batch_id, first, len(users))
    owners = rows.insert_users(batch.id, user_rows(ids, users))
    conflicts = claimed_conflicts(batch.batch_id, first, users, owners)
    skipped = sum(passes(conflict, batch.if_exists) for conflict in conflicts)
    lost = {conflict.position for conflict in conflicts}
    page = ChunkRecord(
        number=number,
        digest=digest,
        user_root=root_of(own_id for at, own_id in enumerate(ids, first) if at not in lost),
        users=len(users) - len(conflicts),
        skipped=skipped,
        conflicts=len(conflicts) - skipped,
    )
    rows.save_page(batch.id, page, [conflict_row(conflict) for conflict in conflicts])
    return ReservedChunk(page.users, page.skipped, page.conflicts, _holders(conflicts))


def _holders(conflicts: Sequence[Conflict]) -> list[str]:
    return sorted({conflict.holder for conflict in conflicts if conflict.holder})
