"""Taken emails and external ids: what `--if-exists skip` skips, and the problems of the others.

The same in client and control plane.
"""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Final

from anyscale.domain.models.batches import Conflict
from anyscale.domain.times import TIME
from anyscale.domain.validation import shown
from anyscale.errors import Problem

#: Days for which no account gets an email that another one had: applications may know its user.
FREED_DAYS: Final = 30

#: kind of a conflict -> code of its problem
_CODES = {
    "exists": "email_exists",
    "duplicate": "email_duplicate",
    "reserved": "email_reserved",
    "freed": "email_freed",
    "sub": "sub_taken",
}
_EXTERNAL_ID_CODES = {
    "exists": "external_id_exists",
    "duplicate": "external_id_duplicate",
    "reserved": "external_id_reserved",
}

#: The codes of the problems that end with the open batch that causes them.
RESERVED_CODES: Final = frozenset({_CODES["reserved"], _EXTERNAL_ID_CODES["reserved"]})

_OTHER_EMAIL = (
    "if the email of its user has changed, `anyscale user sync --correct` corrects the account"
)

_SUB_TAKEN = "is the sub of another account, which applications would take for this user"

#: How the email of a conflict can be given to an account all the same.
REUSE: Final = (
    "to create it at once, create it with another email, and change that by `anyscale user update` "
    "with `--email` and `--reuse-email`"
)


def is_skipped(conflict: Conflict, if_exists: str) -> bool:
    """Whether an entry is skipped: only for an account, never for a row of another open batch."""
    return if_exists == "skip" and conflict.kind == "exists"


def conflict_problems(conflicts: Iterable[Conflict]) -> Iterator[Problem]:
    """Describe conflicts; a reader of files adds the lines and columns."""
    for conflict in conflicts:
        codes = _EXTERNAL_ID_CODES if conflict.external_id else _CODES
        field = "sub" if conflict.kind == "sub" else "email"
        yield Problem(
            index=conflict.position,
            field="external_id" if conflict.external_id else field,
            code=codes[conflict.kind],
            detail=conflict_detail(conflict),
            other=conflict.other,
        )


def conflict_detail(conflict: Conflict, reuse: str = REUSE) -> str:
    """Describe a conflict; `reuse` says how to give a freed email to an account all the same."""
    field = "external_id" if conflict.external_id else "email"
    value = shown(conflict.external_id or conflict.email)
    if conflict.kind == "exists":
        end = f": {_OTHER_EMAIL}" if conflict.external_id else ""
        return f"{value} has an account already{end}"
    if conflict.kind == "duplicate":
        return f"{value} is also the {field} of create_users[{conflict.other}]"
    if conflict.kind == "sub":
        return _SUB_TAKEN
    if conflict.kind == "freed":
        return f"{value} was the email of another account{_freed(conflict)}: {reuse}"
    opened = ""
    if conflict.reserved_by and conflict.reserved_since:  # of a batch that still exists
        since = f"{conflict.reserved_since:{TIME}}"
        opened = f", which {conflict.reserved_by} opened at {since}"
    # No whole command: how the reader reaches the control plane is not known here.
    return (
        f"{value} is reserved by the unfinished batch {conflict.holder}{opened}: let it end, or "
        "drop it by `anyscale batch drop`"
    )


def _freed(conflict: Conflict) -> str:
    """Return until when the email was another account's, unless that is deleted by now."""
    if conflict.freed_at is None:
        return ""
    free = conflict.freed_at + timedelta(days=FREED_DAYS)
    return (
        f" until {conflict.freed_at:%Y-%m-%d}, and applications may know its user by it, so no "
        f"other account gets it before {free:%Y-%m-%d}"
    )
