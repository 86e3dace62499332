"""Hash passwords of reserved users outside of any transaction, and store the hashes."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby

from anyscale.domain.validation import Policy
from anyscale.errors import BatchRefused, Problem
from anyscale.server.core.batches.batch_state import lock_batch, require_batch, require_open, touch
from anyscale.server.core.callers import Caller
from anyscale.server.core.hashing.pool import PasswordHashPool
from anyscale.server.core.transactions import Transactions
from anyscale.server.store.records.batches import BatchRecord, PendingHash
from anyscale.server.store.transaction import Transaction
from anyscale.server.store.user_ids import position_of, user_id

__all__ = ["hash_passwords"]


def hash_passwords(
    transactions: Transactions,
    hashing: PasswordHashPool,
    policy: Policy,
    batch_id: str,
    passwords: Sequence[tuple[int, str]],
    caller: Caller,
) -> int:
    """Hash passwords, each with the position of its user; return how many hashes were stored.

    A stored hash is never computed again.

    Raises:
        BatchRefused: the policy refuses passwords.
        BatchGone: the batch is not open.
        NotAuthenticated, NotPermitted: the caller has lost its permission.
    """
    by_id = {user_id(batch_id, position): text for position, text in passwords}
    with transactions.read() as tx:
        batch = require_open(require_batch(tx, batch_id))
        pending = tx.users.list_pending(batch.id, list(by_id))
    _check(hashing, policy, pending, by_id)
    ids = [row.user_id for row in pending]
    hashes = hashing.hash_many([by_id[name] for name in ids])
    with transactions.write_shared(lambda tx: lock_batch(tx, batch_id), caller) as (tx, batch):
        require_open(batch)
        touch(tx, batch)
        return _save(tx, policy, batch, zip(ids, hashes, strict=True))


def _save(
    tx: Transaction, policy: Policy, batch: BatchRecord, hashes: Iterable[tuple[str, str]]
) -> int:
    """Store the hash of each `user_id`, and count them in their chunks; return how many."""
    chunks = {
        number: list(part)
        for number, part in groupby(
            sorted(hashes), lambda pair: position_of(pair[0]) // policy.chunk_users
        )
    }
    # Before the first row is locked: a chunk may be reserved again now, by a transaction that
    # has its lock and may wait for rows.
    for number in chunks:
        tx.chunks.lock(batch.id, number)
    stored = 0
    for number, part in chunks.items():
        count = tx.users.save_hashes(batch.id, part)
        tx.chunks.count_hashes(batch.id, number, count)
        stored += count
    return stored


def _check(
    hashing: PasswordHashPool,
    policy: Policy,
    pending: Sequence[PendingHash],
    by_id: Mapping[str, str],
) -> None:
    """Raise `BatchRefused` with a problem for each password that the policy refuses."""
    faults = hashing.faults(
        [by_id[row.user_id] for row in pending],
        [(row.name, row.lastname, row.email) for row in pending],
        policy.password_min_length,
        policy.organization,
    )
    problems = [
        Problem(
            index=position_of(row.user_id), field="password", code=fault.code, detail=fault.detail
        )
        for row, fault in zip(pending, faults, strict=True)
        if fault
    ]
    if problems:
        raise BatchRefused(problems)
