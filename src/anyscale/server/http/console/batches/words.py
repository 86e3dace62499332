"""The words and marks of the states of batches."""

from msgspec import Struct

from anyscale.domain.models.batches import Batch
from anyscale.server.background.file_runs import FileRuns


class Shown(Struct, frozen=True):
    """A state in words: the mark, its kind, and what it means."""

    text: str
    kind: str
    meaning: str


_STATES = {
    "undoing": Shown(
        "Being undone", "bad", "Some of its accounts are deleted. Continue with the undo to end it."
    ),
    "undone": Shown("Undone", "quiet", "Its accounts were deleted, but for those that stayed."),
    "dropped": Shown("Cancelled", "quiet", "No user of it was created, and its emails are free."),
    "expired": Shown("Expired", "quiet", "Nobody continued it in time. No user of it was created."),
}
_RUNNING = Shown("Running", "wait", "No user of it can sign in before all of them can.")
_OPEN = Shown(
    "Unfinished",
    "wait",
    "It waits for the rest of its file. No user of it was created yet, and its emails are kept.",
)


def shown_state(batch: Batch, file_runs: FileRuns) -> Shown:
    """Return the state of a batch in words; `file_runs` are those of this process."""
    if batch.state == "open":
        return _RUNNING if file_runs.find(batch.batch_id) else _OPEN
    if batch.state == "published":
        accounts = "1 account was" if batch.users == 1 else f"{batch.users:,} accounts were"
        return Shown("Created", "good", f"{accounts} created")
    return _STATES[batch.state]
