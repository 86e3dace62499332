"""Accounts with common and rare words, and what fills, lists and undoes them."""

from tests.support.callers import operator
from tests.support.users import checked_user
from tests.support.waiting import wait_until

from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.search.index import SearchIndex

JANE = operator("jane")


def create(control_plane: ControlPlane, count: int, key: str = "key") -> str:
    """Create accounts with a few common and a few rare words; return the id of their batch."""
    users = [
        checked_user(f"u{at}.{key}@example.com", name=f"Jane{at % 3} Ann von {key}{at}")
        for at in range(count)
    ]
    return control_plane.batches.create(JANE, key, users, "fail").batch.batch_id


def ids_of(control_plane: ControlPlane, batch_id: str) -> list[str]:
    return [user.user_id for user in control_plane.batches.created(batch_id, "", 10_000)]


def fill_all(control_plane: ControlPlane, index: SearchIndex) -> None:
    """Fill the index, also if another process has just filled some of it."""

    def is_filled() -> bool:
        index.fill()
        return control_plane.search_index.count_unindexed() == 0

    wait_until(is_filled)


def undo_all(control_plane: ControlPlane, batch_id: str) -> None:
    after: str | None = ""
    while after is not None:
        after = control_plane.batches.undo(JANE, batch_id, after, force=False, dry_run=False).after
