"""Compare a chunk of users with the reserved one, and find the first user that differs."""

from collections.abc import Sequence
from itertools import islice

from msgspec import Struct

from anyscale.domain.user_sources import WeakHash
from anyscale.domain.validation import CheckedUser
from anyscale.server.core.batches.batch_state import require_batch
from anyscale.server.core.batches.chunks import chunk_digest
from anyscale.server.core.hashing.pool import PasswordHashPool
from anyscale.server.core.transactions import Transactions
from anyscale.server.store.records.batches import BatchRecord
from anyscale.server.store.records.users import ReservedRecord
from anyscale.server.store.transaction import Transaction
from anyscale.server.store.user_ids import user_id

#: passwords of a chunk of which one is compared: the users of the first ones may be skipped
_COMPARED = 100

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


def compare_chunk(
    transactions: Transactions,
    hashing: PasswordHashPool,
    batch_id: str,
    number: int,
    first: int,
    users: Sequence[CheckedUser],
    passwords: Sequence[tuple[int, str]],
) -> FieldDifference | None:
    """Return the first user of a chunk that differs from the reserved ones, if any.

    Of the passwords, one is compared that has a hash. `first` is the position of the first user.
    """
    with transactions.read() as tx:
        batch = require_batch(tx, batch_id)
        difference = _find_difference(tx, batch, number, first, users)
        stored = None if difference else _find_hash(tx, batch, passwords)
    if stored:
        position, password, password_hash = stored
        if not hashing.verify(password_hash, password):
            email = users[position - first].email
            return FieldDifference(position, email, email, "password")
    return difference


def _find_difference(
    tx: Transaction,
    batch: BatchRecord,
    number: int,
    first: int,
    users: Sequence[CheckedUser],
) -> FieldDifference | None:
    """Return the first user that differs from the reserved ones; None if the digests are equal.

    A chunk that is not reserved yet has no difference.
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


def _find_hash(
    tx: Transaction, batch: BatchRecord, passwords: Sequence[tuple[int, str]]
) -> tuple[int, str, str] | None:
    """Return a password with its position and the hash that an earlier run has stored, if any.

    Digests cover no password, and a stored hash is kept: the users of a file with new passwords
    would get some of the old ones. One is compared, since that takes as long as a sign-in.
    """
    plain = (secret for secret in passwords if not isinstance(secret, WeakHash))
    by_id = {user_id(batch.batch_id, secret[0]): secret for secret in islice(plain, _COMPARED)}
    for stored in tx.users.list_hashes(batch.id, list(by_id)):
        return (*by_id[stored.user_id], stored.password_hash)
    return None


def _differing_field(
    given: CheckedUser | None, row: ReservedRecord | None, reserved: str | None
) -> str:
    if given is None or reserved is None or given.email != reserved:
        return "email"
    if row is None:
        return ""
    return next((field for field in _FIELDS if getattr(given, field) != getattr(row, field)), "")
