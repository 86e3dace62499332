"""Describe conflicts of emails as problems. Both sides use it."""

from collections.abc import Iterable

from anyscale.errors import Problem
from anyscale.user.models import Conflict
from anyscale.user.validation import shown

__all__ = ["problems_of"]


def problems_of(conflicts: Iterable[Conflict]) -> list[Problem]:
    """Return the problems of conflicts; a reader of files adds their lines and columns."""
    return [
        Problem(
            index=conflict.position,
            field="email",
            code=_CODES[conflict.kind],
            detail=_detail(conflict),
        )
        for conflict in conflicts
    ]


_CODES = {"exists": "email_exists", "duplicate": "email_duplicate", "held": "email_held"}


def _detail(conflict: Conflict) -> str:
    email = shown(conflict.email)
    if conflict.kind == "exists":
        return f"{email} has an account already"
    if conflict.kind == "duplicate":
        return f"{email} is also the email of create_users[{conflict.other}]"
    since = f"{conflict.held_since:%Y-%m-%d %H:%M:%S} UTC" if conflict.held_since else "some time"
    return (
        f"{email} is held by the unfinished batch {conflict.holder}, which {conflict.held_by} "
        f"opened at {since}: let it end, or free it by `anyscale batch drop {conflict.holder}`"
    )
