"""Expire open batches, and delete the rows of batches that were dropped or have expired."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from anyscale.server.core.audit.entries import append_entry
from anyscale.server.core.batches.batch_state import lock_batch
from anyscale.server.core.callers import Caller
from anyscale.server.core.permissions import Permission
from anyscale.server.core.transactions import Transactions
from anyscale.server.store.records.batches import BatchRecord
from anyscale.server.store.transaction import Transaction
from anyscale.server.store.user_ids import user_id

#: seconds that one call deletes rows
_SECONDS_A_CALL = 10.0

#: Users of a slice. On SQLite 2,000 take the writer for some 10 ms, and a whole chunk for 60.
_SLICE = 2_000


def expire_batch(transactions: Transactions, idle: BatchRecord) -> bool:
    """Expire an open batch unless a client has touched it since; return whether it expired."""
    with transactions.write_unattended("clean-up") as tx:
        batch = tx.batches.lock(idle.batch_id, exclusive=True)
        if batch != idle:
            return False
        tx.batches.set_state(batch.id, "expired")
        append_entry(tx, "system", "batch.expired", batch.batch_id, {})
    return True


def delete_rows(
    transactions: Transactions, batch: BatchRecord, chunk_users: int, caller: Caller | None
) -> bool:
    """Delete the rows of a batch slice by slice, so that other writers wait for a moment only.

    A chunk is deleted with the last of its users, so that an interrupted clean-up is found and
    finished. Of an open batch, each chunk is deleted with all of its users in one transaction: the
    counts in chunks stay true. Returns whether all are deleted. If not, a clean-up or a later
    reservation deletes the rest.

    Each transaction checks the caller of a release. It is None for the rows of a dropped or expired
    batch, which the server deletes by itself.
    """
    deadline = time.monotonic() + _SECONDS_A_CALL
    with transactions.read() as tx:
        chunks = tx.chunks.list(batch.id)
        current = tx.batches.get(batch.batch_id)
    step = chunk_users if current and current.state == "open" else _SLICE
    for chunk in chunks:
        positions = range(chunk.number * chunk_users, (chunk.number + 1) * chunk_users)
        entries = chunk.users + chunk.skipped + chunk.conflicts
        for start in range(0, max(entries, 1), step):
            if time.monotonic() > deadline:
                return False
            part, is_last = positions[start : start + step], start + step >= entries
            _delete_slice(transactions, batch, chunk.number, part, caller, is_last=is_last)
    return True


def _delete_slice(
    transactions: Transactions,
    batch: BatchRecord,
    chunk: int,
    positions: range,
    caller: Caller | None,
    *,
    is_last: bool,
) -> None:
    with _slice_of(transactions, batch.batch_id, caller) as (tx, current):
        # A released batch may have been reserved again and published.
        if current.published_at is None:
            tx.chunks.lock(batch.id, chunk)
            ids = (user_id(batch.batch_id, at) for at in (positions.start, positions.stop))
            tx.users.delete(*ids)
            if is_last:
                tx.chunks.delete(batch.id, chunk)


@contextmanager
def _slice_of(
    transactions: Transactions, batch_id: str, caller: Caller | None
) -> Iterator[tuple[Transaction, BatchRecord]]:
    """Start the transaction of a slice, with the locked batch."""
    if caller:
        lock = partial(lock_batch, batch_id=batch_id)
        with transactions.write_shared(
            lock, caller, Permission.CREATE_ACCOUNTS, is_slice=True
        ) as locked:
            yield locked
    else:
        with transactions.write_unattended("clean-up", is_slice=True) as tx:
            yield tx, lock_batch(tx, batch_id)
