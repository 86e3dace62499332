"""Reserving the emails of a chunk: for a small batch in one transaction, otherwise in slices.

While a transaction inserts users into SQLite, nobody else can write: a user who signs in would wait
for 10,000 users. So each slice of them is a transaction, and other writers get in between.

The first slice also writes the record of the chunk with a mark: 16 random octets in place of the
`user_root`. The record counts all users of the chunk as conflicts. So no batch with half a chunk is
published, and a repeated call reserves the chunk again. No row is ever without the record of its
chunk either, by which the rows of a dropped or expired batch are found and deleted.

Each later slice checks the mark. If it is another one, others may have deleted or inserted rows of
the chunk, and the chunk is begun again.
"""

import os
import random
import time
from collections.abc import Sequence

from anyscale.errors import KeyReused
from anyscale.server.core.batches.records import (
    chunk_conflicts,
    chunk_digest,
    new_users,
    root_of,
    user_ids,
)
from anyscale.server.core.batches.reserve import lock_batch, require_open, touch
from anyscale.server.store.interface import Store, Transaction
from anyscale.server.store.records import BatchRecord, ChunkRecord, ConflictRecord
from anyscale.user.models import Conflict, ReservedChunk
from anyscale.user.validation import CheckedUser, is_skipped

__all__ = ["SLICE", "NewChunk", "reserve_in_slices", "reserve_whole"]

#: Users of a slice, which takes the writer for some 25 ms.
SLICE = 2_500

#: Seconds before a chunk is begun again, so that others finish it meanwhile. Each pause is twice as
#: long as the one before, up to a limit: two equal calls on a slow machine would otherwise take the
#: chunk from each other for ever.
_PAUSE, _LONGEST_PAUSE = 0.5, 30.0

_MARK_OCTETS = 16


class NewChunk:
    """A chunk of users whose emails are to be reserved in a batch.

    What does not depend on others is computed here, before a transaction.

    Args:
        batch: which may have ended meanwhile.
        number: of the chunk, from 0.
        first: the position of the first user in the batch.
        users: the chunk.
    """

    def __init__(
        self, batch: BatchRecord, number: int, first: int, users: Sequence[CheckedUser]
    ) -> None:
        self.batch_id = batch.batch_id
        self.if_exists = batch.if_exists
        self.number = number
        self.first = first
        self.users = users
        self.digest = chunk_digest(users, batch.if_exists)
        self.ids = user_ids(batch.batch_id, first, len(users))

    def insert(self, tx: Transaction, batch: BatchRecord, part: slice) -> list[Conflict]:
        """Insert some of the users; return the conflicts of the others."""
        users = self.users[part]
        taken = tx.users.insert(batch.id, new_users(self.ids[part], users))
        return chunk_conflicts(self.batch_id, self.first + part.start, users, taken)

    def save(
        self, tx: Transaction, batch: BatchRecord, conflicts: Sequence[Conflict]
    ) -> ReservedChunk:
        """Save the outcome, and return it."""
        skipped = sum(is_skipped(conflict, self.if_exists) for conflict in conflicts)
        lost = {conflict.position for conflict in conflicts}
        record = ChunkRecord(
            number=self.number,
            digest=self.digest,
            user_root=root_of(
                own_id for at, own_id in enumerate(self.ids, self.first) if at not in lost
            ),
            users=len(self.users) - len(conflicts),
            skipped=skipped,
            conflicts=len(conflicts) - skipped,
        )
        records = [
            ConflictRecord(c.position, c.email, c.kind, c.other, c.holder) for c in conflicts
        ]
        tx.chunks.save(batch.id, record, records)
        holders = sorted({one.holder for one in records if one.holder})
        return ReservedChunk(record.users, record.skipped, record.conflicts, holders)

    def mark(self, mark: bytes) -> ChunkRecord:
        """Return the record of the chunk while it is being reserved."""
        count = len(self.users)
        return ChunkRecord(self.number, self.digest, mark, users=0, skipped=0, conflicts=count)


def reserve_whole(tx: Transaction, batch: BatchRecord, chunk: NewChunk) -> None:
    """Reserve the emails of a chunk of a new batch."""
    chunk.save(tx, batch, chunk.insert(tx, batch, slice(0, len(chunk.users))))


def reserve_in_slices(store: Store, chunk: NewChunk) -> ReservedChunk:
    """Reserve the emails of a chunk, or return the stored outcome of an equal chunk.

    Nothing is added to a published batch.

    Raises:
        KeyReused: a chunk with this number and other content was reserved before.
        BatchGone: the batch was dropped or expired.
    """
    pause = _PAUSE
    while (outcome := _reserve_once(store, chunk)) is None:
        # A random time more, or both calls would begin again at once.
        time.sleep(pause * (1 + random.random()))  # noqa: S311 - no secret
        pause = min(2 * pause, _LONGEST_PAUSE)
    return outcome


def _reserve_once(store: Store, chunk: NewChunk) -> ReservedChunk | None:
    """Reserve slice after slice; return None if others came in between with the same chunk."""
    mark, count = os.urandom(_MARK_OCTETS), len(chunk.users)
    conflicts: list[Conflict] = []
    for start in range(0, max(count, 1), SLICE):
        is_last = start + SLICE >= count
        # Once the last one is on the disk, those before it are as well.
        with store.write(durable=is_last, is_slice=True) as tx:
            batch, stored = _lock(tx, chunk)
            if start == 0:
                if outcome := _outcome(batch, stored):
                    return outcome
                if not is_last:
                    tx.chunks.save(batch.id, chunk.mark(mark), [])
            elif not stored or stored.user_root != mark:
                return None
            conflicts += chunk.insert(tx, batch, slice(start, start + SLICE))
            if is_last:
                return chunk.save(tx, batch, conflicts)
    raise AssertionError("a chunk has a last slice")


def _lock(tx: Transaction, chunk: NewChunk) -> tuple[BatchRecord, ChunkRecord | None]:
    """Lock the batch and the chunk, and return both. Raises as `reserve_in_slices` does."""
    batch = lock_batch(tx, chunk.batch_id)
    is_published = batch.state == "published"
    if not is_published:
        require_open(batch)
    stored = tx.chunks.lock(batch.id, chunk.number)
    if (stored and stored.digest != chunk.digest) or (not stored and is_published):
        raise KeyReused(f"batch {batch.batch_id} has other users in chunk {chunk.number}")
    if not is_published:
        touch(tx, batch)
    return batch, stored


def _outcome(batch: BatchRecord, stored: ChunkRecord | None) -> ReservedChunk | None:
    """Return the outcome of a chunk, unless its emails are still to be reserved."""
    if stored and (batch.state == "published" or not stored.conflicts):
        return ReservedChunk(stored.users, stored.skipped, stored.conflicts, [])
    return None
