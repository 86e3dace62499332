"""The result of a run that creates a batch, and its log lines."""

from collections.abc import Callable, Iterable

from msgspec import Struct

from anyscale.domain.models.batches import Batch, Conflict
from anyscale.domain.models.users import AdminCreatedUser
from anyscale.domain.phrases import quantity
from anyscale.domain.times import TIME


class Outcome(Struct, frozen=True, kw_only=True):
    """The result of a run."""

    #: None for an input without users, and after a dry run, unless an earlier run had created it.
    batch: Batch | None = None
    dry_run: bool = False
    created: int
    skipped: int
    #: How many of the skipped entries have a suspended account, as a dry run found them.
    suspended: int = 0
    #: Whether an earlier run had created the batch, and its response was lost.
    was_published: bool = False
    #: The created users, in the order of the input.
    users: Iterable[AdminCreatedUser] = ()
    #: Returns the entries that were skipped, in the order of the input.
    skipped_entries: Callable[[], list[Conflict]]

    def lines(self) -> list[str]:
        """Return the log lines. Their counts add up to the entries of the input."""
        verb = "would be " if self.dry_run and not self.was_published else ""
        lines = [f"{quantity(self.created, 'user')} {verb}created."]
        if self.skipped:
            they = "it exists" if self.skipped == 1 else "they exist"
            lines.append(f"{quantity(self.skipped, 'user')} {verb}skipped: {they}.")
        if self.suspended:
            lines.append(suspended_line(self.suspended))
        if self.batch and self.was_published:
            at = f"{self.batch.published_at:{TIME}}"
            lines.append(f"They were already created by batch {self.batch.batch_id} at {at}.")
        return lines


def suspended_line(count: int) -> str:
    """Return the line for the suspended accounts of skipped entries."""
    they = "user is suspended and" if count == 1 else "users are suspended and"
    return f"{count:,} skipped {they} cannot sign in."
