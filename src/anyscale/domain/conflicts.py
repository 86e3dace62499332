"""Taken emails: which of them `--if-exists skip` skips, and the problems that describe the others.

The same in client and control plane.
"""

from collections.abc import Iterable, Iterator

from anyscale.domain.models.batches import Conflict
from anyscale.domain.validation import shown
from anyscale.errors import Problem

__all__ = ["conflict_problems", "is_skipped"]

#: kind of a conflict -> code of its problem
_CODES = {"exists": "email_exists", "duplicate": "email_duplicate", "reserved": "email_reserved"}


def is_skipped(conflict: Conflict, if_exists: str) -> bool:
    """Whether an entry is skipped: only for an account, never for a row of another open batch."""
    return if_exists == "skip" and conflict.kind == "exists"


def conflict_problems(conflicts: Iterable[Conflict]) -> Iterator[Problem]:
    """Describe conflicts of emails; a reader of files adds the lines and columns."""
    for conflict in conflicts:
        yield Problem(
            index=conflict.position,
            field="email",
            code=_CODES[conflict.kind],
            detail=_conflict_detail(conflict),
        )


def _conflict_detail(conflict: Conflict) -> str:
    email = shown(conflict.email)
    if conflict.kind == "exists":
        return f"{email} has an account already"
    if conflict.kind == "duplicate":
        return f"{email} is also the email of create_users[{conflict.other}]"
    opened = ""
    if conflict.reserved_by and conflict.reserved_since:  # of a batch that still exists
        since = f"{conflict.reserved_since:%Y-%m-%d %H:%M:%S} UTC"
        opened = f", which {conflict.reserved_by} opened at {since}"
    # No whole command: how the reader reaches the control plane is not known here.
    return (
        f"{email} is reserved by the unfinished batch {conflict.holder}{opened}: let it end, or "
        "drop it by `anyscale batch drop`"
    )
