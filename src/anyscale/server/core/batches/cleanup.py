"""What is left of a batch that came to nothing, and how it goes."""

import time

from anyscale.server.core.audit import log as audit
from anyscale.server.core.batches.records import user_id
from anyscale.server.core.batches.reserve import held_batch
from anyscale.server.store.interface import BatchRecord, Store

__all__ = ["expired", "remove_rows"]

#: for which one call removes rows
_REMOVING_SECONDS = 10.0


def expired(store: Store, idle: BatchRecord) -> bool:
    """End a batch that nobody touched; say whether nobody did up to now."""
    with store.write() as rows:
        batch = rows.hold_batch(idle.batch_id, alone=True)
        if batch != idle:  # somebody went on with it after all
            return False
        rows.set_state(batch.id, "expired")
        audit.append(rows, "system", "batch.expired", batch.batch_id, {})
    return True


def remove_rows(store: Store, batch: BatchRecord, chunk_users: int) -> bool:
    """Remove a batch's rows page by page: no writer waits for long, and counts stay true.

    Give whether all are removed: a call is short, and a clean-up or a claim does the rest.
    """
    deadline = time.monotonic() + _REMOVING_SECONDS
    with store.read() as rows:
        pages = rows.pages(batch.id)
    for page in pages:
        if time.monotonic() > deadline:
            return False
        first = page.number * chunk_users
        ids = [user_id(batch.batch_id, at) for at in (first, first + chunk_users)]
        with store.write() as rows:
            # One that was released may have been claimed again and published meanwhile.
            if held_batch(rows, batch.batch_id).state != "published":
                rows.remove_page(batch.id, page.number, *ids)
    return True
