"""Undoing a batch: calls that each delete some of its accounts, until all were looked at."""

from collections.abc import Callable

from anyscale.domain.models.batches import Batch, KeptUser, UndoneBatch
from anyscale.domain.phrases import quantity
from anyscale.errors import AnyscaleError, BatchUnfinished, Unavailable
from anyscale.transport.base import Transport


def undo_batch(
    transport: Transport,
    batch: Batch,
    *,
    force: bool,
    dry_run: bool,
    on_progress: Callable[[int, int], None] = lambda *_: None,
) -> UndoneBatch:
    """Undo a batch. If it fails half-way, the same call continues.

    Args:
        transport: of the control plane.
        batch: a published batch, as the control plane showed it before the undo.
        force: delete also accounts that were used since.
        dry_run: only return what would be deleted and kept.
        on_progress: receives how many accounts were looked at so far, and how many of them deleted.

    Raises:
        BatchGone: it is open, or never was published.
        BatchUnfinished: a call failed after accounts were deleted, or may have been.
    """
    removed, suspended, links, kept, after = 0, 0, 0, list[KeptUser](), ""
    retries = transport.retries
    while True:
        try:
            part = transport.batches.undo(batch.batch_id, after, force=force, dry_run=dry_run)
        except AnyscaleError as error:
            is_unknown = isinstance(error, Unavailable) and error.outcome_unknown
            if dry_run or not (after or is_unknown):
                raise
            is_least = is_unknown or transport.retries > retries
            detail = f"{error}; {_deleted(removed, is_least=is_least)}the undo is unfinished"
            raise BatchUnfinished(detail, batch.batch_id) from error
        removed += part.removed
        suspended += part.suspended
        links += part.links_ended
        kept += part.kept
        on_progress(removed + len(kept), removed)
        if part.after is None:
            break
        after = part.after
    if dry_run:
        return UndoneBatch(batch.batch_id, removed, kept, suspended, 0, links)
    # Each account that remained before is deleted by this undo, kept, or deleted by another call.
    others = max((batch.remaining or 0) - removed - len(kept), 0)
    if transport.retries > retries:
        # A repeated call has deleted accounts before, and their number was lost with its response.
        removed, others = removed + others, 0
    return UndoneBatch(batch.batch_id, removed, kept, suspended, others, links)


def _deleted(count: int, *, is_least: bool) -> str:
    """Return the part of a message that says how many accounts are deleted already."""
    if not count:
        return ""
    accounts = f"{quantity(count, 'account')} {'was' if count == 1 else 'were'}"
    return f"{'at least ' if is_least else ''}{accounts} deleted, and "
