"""Undoing a batch: calls that each delete some of its accounts, until all were looked at."""

from collections.abc import Callable

from msgspec import Struct, structs

from anyscale.errors import AnyscaleError, BatchUnfinished, Unavailable
from anyscale.transport.base import Transport
from anyscale.user.models import KeptUser

__all__ = ["UndoneBatch", "undo_batch"]


class UndoneBatch(Struct, frozen=True):
    """The result of undoing a batch, or of a dry run."""

    batch_id: str
    #: The accounts that this call deleted; of a dry run, those that it would delete.
    removed: int
    #: The accounts that remain, in the order of the input.
    kept: list[KeptUser]

    def to_dict(self) -> dict[str, object]:
        """Return a dictionary representation of the model."""
        return structs.asdict(self) | {"kept": [user.to_dict() for user in self.kept]}


def undo_batch(
    transport: Transport,
    batch_id: str,
    *,
    force: bool,
    dry_run: bool,
    on_progress: Callable[[int, int], None] = lambda *_: None,
) -> UndoneBatch:
    """Undo a batch. If it fails half-way, the same call goes on.

    Args:
        transport: of the control plane.
        batch_id: a batch that was published.
        force: delete also accounts that were used since.
        dry_run: only look what would be deleted and kept.
        on_progress: receives how many accounts were looked at so far, and how many of them deleted.

    Raises:
        NotFound: there is no such batch.
        BatchGone: it is open, or never was published.
        BatchUnfinished: a call failed after accounts were deleted, or may have been.
    """
    removed, kept, after = 0, list[KeptUser](), ""
    while True:
        try:
            part = transport.undo(batch_id, after, force=force, dry_run=dry_run)
        except AnyscaleError as error:
            is_unknown = isinstance(error, Unavailable) and error.outcome_unknown
            if dry_run or not (after or is_unknown):
                raise
            raise BatchUnfinished(f"{error}; the undo is unfinished", batch_id) from error
        removed += part.removed
        kept += part.kept
        on_progress(removed + len(kept), removed)
        if part.after is None:
            return UndoneBatch(batch_id, removed, kept)
        after = part.after
