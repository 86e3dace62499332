"""Convert the users of a chunk to rows, and the holders of taken emails to conflicts."""

import hashlib
from collections.abc import Iterable, Sequence
from functools import partial

import msgspec

from anyscale.server.store.interface import Transaction
from anyscale.server.store.records import (
    BatchRecord,
    ConflictRecord,
    EmailHolder,
    NewUserRecord,
    NewUsers,
)
from anyscale.user.models import Conflict, from_milliseconds
from anyscale.user.validation import CheckedUser

__all__ = [
    "MAX_POSITION",
    "chunk_conflicts",
    "chunk_digest",
    "free_positions",
    "id_prefix",
    "list_conflicts",
    "new_users",
    "position_of",
    "root_of",
    "user_id",
    "user_ids",
]

_POSITION_DIGITS = 8

#: the last position that fits into an id
MAX_POSITION = 16**_POSITION_DIGITS - 1


def user_id(batch_id: str, position: int) -> str:
    """Return the id of a batch's user. Ids are the same each time, and sort like the input."""
    return f"usr_{batch_id[4:]}{position:08x}"


def id_prefix(batch_id: str) -> str:
    """Return how the ids of a batch's users begin; the position follows."""
    return user_id(batch_id, 0)[:-_POSITION_DIGITS]


def position_of(user_id: str) -> int:
    """Return the position that an id contains."""
    return int(user_id[-_POSITION_DIGITS:], 16)


def user_ids(batch_id: str, first: int, count: int) -> list[str]:
    """Return the ids of a batch's users from a position on."""
    prefix = id_prefix(batch_id)
    return [f"{prefix}{position:08x}" for position in range(first, first + count)]


def new_users(ids: Sequence[str], users: Sequence[CheckedUser]) -> NewUsers:
    """Return the rows of users with these ids."""
    # The same as `NewUserRecord(...)`, without a call of a Python function for each row.
    new = partial(tuple.__new__, NewUserRecord)

    def build(at: int) -> NewUserRecord:
        user = users[at]
        lastname = user.lastname
        return new(
            (
                ids[at],
                user.email_key,
                None if user.email.isascii() else user.email.casefold(),
                user.name,
                user.name.casefold(),
                user.email,
                lastname,
                None if lastname is None or lastname.isascii() else lastname.casefold(),
                user.title,
                user.is_sso_user,
                user.has_password,
            )
        )

    return NewUsers([user.email_key for user in users], build)


def chunk_digest(users: Sequence[CheckedUser], if_exists: str) -> bytes:
    """Return the SHA-256 of a chunk's content, by which a repeated chunk is recognised.

    It never covers a password: a reader of the database could test guesses against it.
    """
    content = [
        (user.name, user.email, user.is_sso_user, user.lastname, user.title, user.has_password)
        for user in users
    ]
    return hashlib.sha256(msgspec.msgpack.encode((if_exists, content))).digest()


def root_of(user_ids: Iterable[str]) -> bytes:
    """Return the SHA-256 over user ids in order, which stands for them in the audit log."""
    return hashlib.sha256("\n".join(user_ids).encode()).digest()


def chunk_conflicts(
    batch_id: str, first: int, users: Sequence[CheckedUser], holders: Sequence[EmailHolder]
) -> list[Conflict]:
    """Return the conflicts of the entries of a chunk whose emails are taken.

    An email that another entry of the same batch has is a duplicate. `batch_id` is that of the
    entries, or empty for users that are only looked up.
    """
    by_key = {holder.email_key: holder for holder in holders}
    return [
        _found_conflict(position, user.email, holder, batch_id)
        for position, user in enumerate(users, first)
        if (holder := by_key.get(user.email_key)) and holder.user_id != user_id(batch_id, position)
    ]


def _found_conflict(position: int, email: str, holder: EmailHolder, own_batch: str) -> Conflict:
    if holder.batch_id == own_batch:
        other = position_of(holder.user_id)
        return Conflict(position=position, email=email, kind="duplicate", other=other)
    if holder.state == "open":
        return Conflict(
            position=position,
            email=email,
            kind="held",
            holder=holder.batch_id,
            held_by=holder.opened_by,
            held_since=from_milliseconds(holder.opened_at),
        )
    return Conflict(position=position, email=email, kind="exists", user_id=holder.user_id)


def free_positions(
    users: Sequence[CheckedUser], holders: Sequence[EmailHolder], if_exists: str
) -> list[int]:
    """Return the positions of the users that would be created as things stand."""
    taken = {holder.email_key for holder in holders}
    if taken and (if_exists == "fail" or any(holder.state == "open" for holder in holders)):
        return []
    return [position for position, user in enumerate(users) if user.email_key not in taken]


def list_conflicts(
    tx: Transaction, batch: BatchRecord, after: int = -1, limit: int = MAX_POSITION
) -> list[Conflict]:
    """Return conflicts of a batch after a position, with details of the other batches."""
    page = tx.chunks.list_conflicts(batch.id, after, limit)
    ids = {record.holder for record in page if record.holder}
    holders = {batch_id: tx.batches.get(batch_id) for batch_id in ids}
    return [_stored_conflict(record, holders.get(record.holder or "")) for record in page]


def _stored_conflict(record: ConflictRecord, holder: BatchRecord | None) -> Conflict:
    return Conflict(
        position=record.position,
        email=record.email,
        kind=record.kind,
        other=record.other,
        holder=record.holder,
        held_by=holder.opened_by if holder else None,
        held_since=from_milliseconds(holder.opened_at) if holder else None,
    )
