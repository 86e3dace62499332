"""The result of the SDK's `admin_batch_create`."""

from anyscale.user.batch_run import Outcome
from anyscale.user.models import AdminCreatedUser

__all__ = ["CreatedUsers", "result_of"]


class CreatedUsers(list[AdminCreatedUser]):
    """The users that a batch created, in the order of the input."""

    #: The entries that were skipped: `{"index": 3, "email": "jane@example.com"}`
    skipped: list[dict[str, int | str]]
    #: None after a dry run, and for an input without users.
    batch_id: str | None


def result_of(outcome: Outcome) -> CreatedUsers:
    """Return the result of a run that has ended."""
    users = CreatedUsers(outcome.users)
    users.skipped = [{"index": c.position, "email": c.email} for c in outcome.skipped_entries()]
    users.batch_id = outcome.batch.batch_id if outcome.batch and not outcome.dry_run else None
    return users
