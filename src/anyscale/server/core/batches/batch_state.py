"""Find, lock and open batches, and require the state that a call needs."""

from anyscale.domain.labels import checked_label
from anyscale.errors import BatchGone, BatchUndone, BatchUnfinished, KeyReused, NotFound
from anyscale.server.core.ids import new_id
from anyscale.server.core.time_units import MINUTE_MS
from anyscale.server.store.records.batches import BatchRecord, Origin
from anyscale.server.store.transaction import Transaction


def require_batch(tx: Transaction, batch_id: str) -> BatchRecord:
    """Return a batch, or raise `NotFound`."""
    return _require(tx.batches.get(batch_id), batch_id)


def lock_batch(tx: Transaction, batch_id: str, *, exclusive: bool = False) -> BatchRecord:
    """Return a batch and lock it until the transaction ends, or raise `NotFound`."""
    return _require(tx.batches.lock(batch_id, exclusive=exclusive), batch_id)


def _require(batch: BatchRecord | None, batch_id: str) -> BatchRecord:
    if batch is None:
        raise NotFound.batch(batch_id)
    return batch


def refuse_undone(batch: BatchRecord) -> None:
    """Raise `BatchUndone` for a batch that is undone, or is being undone."""
    if batch.state in ("undoing", "undone"):
        raise BatchUndone(
            f"batch {batch.batch_id} was created and then undone: repeat the call with another "
            "idempotency key to create its users again"
        )


def refuse_published(batch: BatchRecord) -> None:
    """Raise `BatchGone` for a batch that was published: a published batch cannot be dropped."""
    if batch.state == "undone":
        raise BatchGone(
            f"batch {batch.batch_id} was undone, and nothing is left to drop: `anyscale batch show "
            f"{batch.batch_id}` says how many accounts the undo has kept"
        )
    if batch.published_at is not None:
        raise BatchGone(
            f"batch {batch.batch_id} is {batch.state}: its users are accounts, which "
            "`anyscale batch undo` deletes"
        )


def require_open(batch: BatchRecord) -> BatchRecord:
    """Return the batch if it is open, or raise `BatchGone`."""
    refuse_undone(batch)
    if batch.state != "open":
        raise BatchGone(f"batch {batch.batch_id} was {batch.state}")
    return batch


def open_batch(
    tx: Transaction, key: str, if_exists: str, actor: str, label: str | None = None
) -> BatchRecord:
    """Open a batch, or return the open or published batch with an idempotency key.

    Raises:
        KeyReused: that batch has another `if_exists`.
        BatchUndone: that batch was undone.
    """
    new = new_batch(tx, key, if_exists, actor, label=label)
    # The second look-up finds the batch that an equal call has opened at the same time.
    batch = tx.batches.find(key) or tx.batches.add(new) or tx.batches.find(key)
    if batch is None:
        raise BatchUnfinished("the batch was dropped or expired while it was opened")
    refuse_undone(batch)
    if batch.if_exists != if_exists:
        raise KeyReused(f"batch {batch.batch_id} was opened with if_exists={batch.if_exists}")
    if batch.state == "open":
        touch(tx, batch)
    return batch


def new_batch(
    tx: Transaction,
    key: str,
    if_exists: str,
    actor: str,
    origin: Origin = "batch",
    label: str | None = None,
) -> BatchRecord:
    """Return the record of a batch that is opened now.

    Raises:
        ConfigError: the label is invalid.
    """
    now = tx.now()
    return BatchRecord(
        id=0,
        # It sorts by the time of opening, and so do the ids of the users.
        batch_id=new_id("bat_", now),
        idempotency_key=key,
        state="open",
        if_exists=if_exists,
        opened_by=actor,
        opened_at=now,
        touched_at=now,
        origin=origin,
        label=checked_label(label),
    )


def touch(tx: Transaction, batch: BatchRecord) -> None:
    """Store that a client works on a batch, at most once a minute."""
    # A write for each chunk would lock the row, and chunks would wait for each other.
    now = tx.now()
    if now - batch.touched_at >= MINUTE_MS:
        tx.batches.touch(batch.id, now)
