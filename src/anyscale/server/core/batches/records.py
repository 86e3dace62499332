"""From the users of a page to rows, and from the emails that are taken to conflicts."""

import hashlib
from collections.abc import Iterable, Sequence
from functools import partial

import msgspec

from anyscale.server.store.interface import (
    BatchRecord,
    ConflictRecord,
    EmailHolder,
    Transaction,
    UserRecord,
    UserRecords,
)
from anyscale.user.models import Conflict, from_milliseconds
from anyscale.user.validation import CheckedUser

__all__ = [
    "MAX_POSITION",
    "claimed_conflicts",
    "conflict_of",
    "conflict_row",
    "conflicts_of",
    "conflicts_page",
    "digest_of",
    "free_positions",
    "passes",
    "position_of",
    "root_of",
    "user_id",
    "user_ids",
    "user_rows",
]

_POSITION_DIGITS = 8

#: the last position that an id can hold
MAX_POSITION = 16**_POSITION_DIGITS - 1

_CONFLICTS_AT_ONCE = 1_000


def user_id(batch_id: str, position: int) -> str:
    """Give the id of a batch's user: the same each time, and sorted as the input is."""
    return f"usr_{batch_id[4:]}{position:08x}"


def position_of(user_id: str) -> int:
    """Give back the position that an id was made of."""
    return int(user_id[-_POSITION_DIGITS:], 16)


def user_ids(batch_id: str, first: int, count: int) -> list[str]:
    """Give the ids of a batch's users from a position on."""
    prefix = user_id(batch_id, 0)[:-_POSITION_DIGITS]
    return [f"{prefix}{position:08x}" for position in range(first, first + count)]


def user_rows(ids: Sequence[str], users: Sequence[CheckedUser]) -> UserRecords:
    """Make the rows of users with these ids."""
    # What `UserRecord(...)` comes to, without another call of Python's own for each row.
    new = partial(tuple.__new__, UserRecord)

    def make(at: int) -> UserRecord:
        user = users[at]
        return new(
            (
                ids[at],
                user.email_key,
                user.name,
                user.email,
                user.lastname,
                user.title,
                user.is_sso_user,
                user.password is not None,
            )
        )

    return UserRecords([user.email_key for user in users], make)


def digest_of(users: Sequence[CheckedUser], if_exists: str) -> bytes:
    """Give the SHA-256 of a page's content, by which a repeated page is known.

    It never covers a password: whoever reads the database could test guesses against it.
    """
    content = [
        (user.name, user.email, user.is_sso_user, user.lastname, user.title, bool(user.password))
        for user in users
    ]
    return hashlib.sha256(msgspec.msgpack.encode((if_exists, content))).digest()


def root_of(user_ids: Iterable[str]) -> bytes:
    """Give the SHA-256 over user ids in order, which stands for them in the audit trail."""
    return hashlib.sha256("\n".join(user_ids).encode()).digest()


def conflict_of(position: int, email: str, owner: EmailHolder, own_batch: str | None) -> Conflict:
    """Say how an entry's email is taken.

    Args:
        position: of the entry.
        email: as it gives it.
        owner: of the email.
        own_batch: the entry's batch, whose other entries make it a duplicate.
    """
    if owner.batch_id == own_batch:
        other = position_of(owner.user_id)
        return Conflict(position=position, email=email, kind="duplicate", other=other)
    if owner.state == "published":
        return Conflict(position=position, email=email, kind="exists", user_id=owner.user_id)
    return Conflict(
        position=position,
        email=email,
        kind="held",
        holder=owner.batch_id,
        held_by=owner.opened_by,
        held_since=from_milliseconds(owner.opened_at),
    )


def claimed_conflicts(
    batch_id: str, first: int, users: Sequence[CheckedUser], owners: Sequence[EmailHolder]
) -> list[Conflict]:
    """List the entries of a page that did not get their email."""
    by_key = {owner.email_key: owner for owner in owners}
    return [
        conflict_of(position, user.email, owner, batch_id)
        for position, user in enumerate(users, first)
        if (owner := by_key.get(user.email_key)) and owner.user_id != user_id(batch_id, position)
    ]


def free_positions(
    users: Sequence[CheckedUser], owners: Sequence[EmailHolder], if_exists: str
) -> list[int]:
    """Say which users would be created, as things stand."""
    taken = {owner.email_key for owner in owners}
    if taken and (if_exists == "fail" or any(owner.state == "open" for owner in owners)):
        return []
    return [position for position, user in enumerate(users) if user.email_key not in taken]


def passes(conflict: Conflict, if_exists: str) -> bool:
    """Say whether a conflict is passed over: only accounts are, never what another batch holds."""
    return if_exists == "skip" and conflict.kind == "exists"


def conflict_row(conflict: Conflict) -> ConflictRecord:
    """Make the row of a conflict."""
    return ConflictRecord(
        conflict.position, conflict.email, conflict.kind, conflict.other, conflict.holder
    )


def conflicts_of(rows: Transaction, batch: BatchRecord) -> list[Conflict]:
    """List the conflicts of a batch by position."""
    found: list[Conflict] = []
    while page := conflicts_page(
        rows, batch, found[-1].position if found else -1, _CONFLICTS_AT_ONCE
    ):
        found += page
    return found


def conflicts_page(rows: Transaction, batch: BatchRecord, after: int, limit: int) -> list[Conflict]:
    """Give conflicts of a batch after a position, with what is known of those who hold emails."""
    page = rows.conflicts(batch.id, after, limit)
    holders = {holder: rows.batch(holder) for holder in {row.holder for row in page} if holder}
    return [_conflict(row, holders.get(row.holder or "")) for row in page]


def _conflict(row: ConflictRecord, holder: BatchRecord | None) -> Conflict:
    return Conflict(
        position=row.position,
        email=row.email,
        kind=row.kind,
        other=row.other,
        holder=row.holder,
        held_by=holder.opened_by if holder else None,
        held_since=from_milliseconds(holder.opened_at) if holder else None,
    )
