"""Compare a chunk of users with the reserved one, and find the first user that differs."""

from collections.abc import Sequence

from msgspec import Struct

from anyscale.domain.validation import CheckedUser
from anyscale.server.core.batches.chunks import chunk_digest
from anyscale.server.store.records.batches import BatchRecord
from anyscale.server.store.records.users import ReservedRecord
from anyscale.server.store.transaction import Transaction
from anyscale.server.store.user_ids import user_id

__all__ = ["FieldDifference", "find_difference"]

_FIELDS = [field for field in ReservedRecord.__struct_fields__ if field != "user_id"]


class FieldDifference(Struct, frozen=True):
    """The first user of a chunk that differs from the reserved one."""

    #: in the batch, from 0
    position: int
    #: the email of the chunk, and the reserved one; None where there is no user
    given: str | None
    reserved: str | None
    #: the first field that differs; `email` for another user
    field: str


def find_difference(
    tx: Transaction,
    batch: BatchRecord,
    number: int,
    first: int,
    users: Sequence[CheckedUser],
) -> FieldDifference | None:
    """Return the first user that differs from the reserved ones; None if the digests are equal.

    A chunk that is not reserved yet has no difference. `first` is the position of its first user.
    """
    stored = {chunk.number: chunk for chunk in tx.chunks.list(batch.id)}.get(number)
    if stored is None or stored.digest == chunk_digest(users, batch.if_exists):
        return None
    end = first + stored.users + stored.skipped + stored.conflicts
    ids = user_id(batch.batch_id, first), user_id(batch.batch_id, end)
    rows = {row.user_id: row for row in tx.users.list_reserved(batch.id, *ids)}
    taken = {
        conflict.position: conflict.email
        for conflict in tx.chunks.list_conflicts(batch.id, first - 1, end - first)
    }
    for position in range(first, max(end, first + len(users))):
        given = users[position - first] if position - first < len(users) else None
        row = rows.get(user_id(batch.batch_id, position))
        reserved = row.email if row else taken.get(position)
        field = _differing_field(given, row, reserved)
        if field:
            return FieldDifference(position, given.email if given else None, reserved, field)
    # Only a skipped user differs, and only its email is stored.
    return FieldDifference(first, None, None, "skipped")


def _differing_field(
    given: CheckedUser | None, row: ReservedRecord | None, reserved: str | None
) -> str:
    if given is None or reserved is None or given.email != reserved:
        return "email"
    if row is None:
        return ""
    return next((field for field in _FIELDS if getattr(given, field) != getattr(row, field)), "")
