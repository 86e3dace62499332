"""A small batch in one request: look-ups, hashes, then one transaction inserts and publishes."""

from collections.abc import Sequence

from anyscale.domain.models.batches import Created
from anyscale.domain.validation import CheckedUser
from anyscale.errors import BatchUnfinished, KeyReused
from anyscale.server.core.batches.batch_details import batch_details, created_users
from anyscale.server.core.batches.batch_state import new_batch, refuse_undone, require_batch
from anyscale.server.core.batches.chunks import NewChunk, chunk_digest
from anyscale.server.core.batches.conflicts import (
    find_taken,
    free_positions,
    list_conflicts,
    refuse_conflicts,
)
from anyscale.server.core.batches.hash_passwords import hash_secrets, new_hashes
from anyscale.server.core.batches.publish import publish
from anyscale.server.core.callers import Caller
from anyscale.server.core.hashing.pool import PasswordHashPool
from anyscale.server.core.mail.outbox import Outbox
from anyscale.server.core.permissions import Permission
from anyscale.server.core.transactions import Transactions
from anyscale.server.store.records.batches import BatchRecord, Origin
from anyscale.server.store.transaction import Transaction

#: How often it starts again when emails become taken or free between two of the steps.
_ATTEMPTS = 5


class _Changed(Exception):
    """Emails became taken or free after the look-up, or an equal call has created the batch."""


def create_small(
    transactions: Transactions,
    hashing: PasswordHashPool,
    key: str,
    users: Sequence[CheckedUser],
    passwords: Sequence[tuple[int, str]],
    if_exists: str,
    caller: Caller,
    origin: Origin = "batch",
    outbox: Outbox | None = None,
    label: str | None = None,
) -> Created:
    """Create a batch of one chunk, or return the result of an equal call again.

    `passwords` has those of all users with one, each with the position of its user, and a
    `WeakHash` in place of one. `origin` is `account` for one account that is created by itself.
    `outbox` is that of `publish`.

    Raises:
        ConfigError: the label is invalid.
        BatchRefused: emails are taken; no user was created.
        NotAuthenticated, NotPermitted: the caller has lost its permission.
        KeyReused: the key belongs to a batch with other content.
    """
    hashes: dict[int, tuple[str, int | None]] = {}
    for _ in range(_ATTEMPTS):
        with transactions.read() as tx:
            if replay := _replay(tx, key, users, if_exists):
                return replay
            taken = find_taken(tx, users)
        free = set(free_positions(users, taken, if_exists))
        # Taken emails cost no hash, and hashes are computed outside of any transaction.
        missing = [one for one in passwords if one[0] in free and one[0] not in hashes]
        hashes |= hash_secrets(hashing, missing)
        try:
            with transactions.write_for(caller, Permission.CREATE_ACCOUNTS) as (tx, _):
                replay = _replay(tx, key, users, if_exists)
                if replay:
                    return replay
                batch = new_batch(tx, key, if_exists, caller.actor, origin, label)
                return _create(tx, batch, users, hashes, caller, outbox)
        except _Changed:
            continue
    raise BatchUnfinished("other batches keep taking and freeing the same emails")


def find_replay(
    transactions: Transactions, key: str, users: Sequence[CheckedUser], if_exists: str
) -> Created | None:
    """Return the result that an equal call had; None without one. Raises as `create_small` does."""
    with transactions.read() as tx:
        return _replay(tx, key, users, if_exists)


def _create(
    tx: Transaction,
    new: BatchRecord,
    users: Sequence[CheckedUser],
    hashes: dict[int, tuple[str, int | None]],
    caller: Caller,
    outbox: Outbox | None,
) -> Created:
    batch = tx.batches.add(new)
    if batch is None:  # an equal call at the same time was first
        raise _Changed
    NewChunk(batch, 0, 0, users).reserve(tx, batch)
    refuse_conflicts(list_conflicts(tx, batch), batch.if_exists)
    rows = new_hashes(batch.batch_id, hashes, tx.now())
    tx.chunks.count_hashes(batch.id, 0, tx.users.save_hashes(batch.id, rows))
    if tx.users.count_pending(batch.id):
        raise _Changed
    publish(tx, batch, len(users), caller.actor, outbox)
    return _created(tx, batch.batch_id, len(users), replayed=False)


def _replay(
    tx: Transaction, key: str, users: Sequence[CheckedUser], if_exists: str
) -> Created | None:
    """Return the result of an equal call before this one; None if there was none."""
    batch = tx.batches.find(key)
    if batch is None:
        return None
    refuse_undone(batch)
    digests = [chunk.digest for chunk in tx.chunks.list(batch.id)]
    if batch.state != "published" or digests != [chunk_digest(users, if_exists)]:
        raise KeyReused(f"the idempotency key belongs to batch {batch.batch_id}, with other users")
    return _created(tx, batch.batch_id, len(users), replayed=True)


def _created(tx: Transaction, batch_id: str, limit: int, *, replayed: bool) -> Created:
    batch = require_batch(tx, batch_id)
    users = created_users(tx, batch_id, "", limit)
    return Created(batch_details(tx, batch), users, list_conflicts(tx, batch), replayed)
