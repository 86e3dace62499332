"""Expiring open batches, and deleting the rows of batches that ended without being published."""

import time

from anyscale.server.core.audit import log as audit
from anyscale.server.core.batches.records import user_id
from anyscale.server.core.batches.reserve import lock_batch
from anyscale.server.store.interface import Store
from anyscale.server.store.records import BatchRecord

__all__ = ["delete_rows", "expire_batch"]

#: for which one call deletes rows
_SECONDS_A_CALL = 10.0


def expire_batch(store: Store, idle: BatchRecord) -> bool:
    """Expire an open batch unless a client went on with it; return whether it expired."""
    with store.write() as tx:
        batch = tx.batches.lock(idle.batch_id, exclusive=True)
        if batch != idle:
            return False
        tx.batches.set_state(batch.id, "expired")
        audit.append(tx, "system", "batch.expired", batch.batch_id, {})
    return True


def delete_rows(store: Store, batch: BatchRecord, chunk_users: int) -> bool:
    """Delete the rows of a batch chunk by chunk, so that other writers wait for a moment only.

    Each chunk and its users are deleted in one transaction: the counts in chunks stay true. Returns
    whether all are deleted. If not, a clean-up or a later reservation deletes the rest.
    """
    deadline = time.monotonic() + _SECONDS_A_CALL
    with store.read() as tx:
        chunks = tx.chunks.list(batch.id)
    for chunk in chunks:
        if time.monotonic() > deadline:
            return False
        first = chunk.number * chunk_users
        with store.write(is_slice=True) as tx:
            # A released batch may have been reserved again and published meanwhile.
            if lock_batch(tx, batch.batch_id).published_at is None:
                tx.chunks.lock(batch.id, chunk.number)
                ids = (user_id(batch.batch_id, at) for at in (first, first + chunk_users))
                tx.users.delete(*ids)
                tx.chunks.delete(batch.id, chunk.number)
    return True
