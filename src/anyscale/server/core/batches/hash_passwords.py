"""Hash passwords of reserved users outside of any transaction, and store the hashes."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby

from anyscale.domain.password_hashes import parse
from anyscale.domain.user_sources import WeakHash
from anyscale.domain.validation import Policy
from anyscale.errors import BatchRefused, Problem
from anyscale.server.core.batches.batch_state import lock_batch, require_batch, require_open, touch
from anyscale.server.core.callers import Caller
from anyscale.server.core.hashing.argon2id import OWN_MILLISECONDS
from anyscale.server.core.hashing.pool import PasswordHashPool
from anyscale.server.core.permissions import Permission
from anyscale.server.core.transactions import Transactions
from anyscale.server.store.records.batches import BatchRecord, PendingHash
from anyscale.server.store.records.users import NewHash
from anyscale.server.store.transaction import Transaction
from anyscale.server.store.user_ids import position_of, user_id


def hash_passwords(
    transactions: Transactions,
    hashing: PasswordHashPool,
    policy: Policy,
    batch_id: str,
    passwords: Sequence[tuple[int, str]],
    caller: Caller,
) -> int:
    """Hash passwords, each with the position of its user; return how many hashes were stored.

    A `WeakHash` in place of a password is wrapped. A stored hash is never computed again.

    Raises:
        BatchRefused: the policy refuses passwords, or a text is not a hash.
        BatchGone: the batch is not open.
        NotAuthenticated, NotPermitted: the caller has lost its permission.
    """
    by_id = {user_id(batch_id, secret[0]): secret for secret in passwords}
    with transactions.read() as tx:
        batch = require_open(require_batch(tx, batch_id))
        pending = tx.users.list_pending(batch.id, list(by_id))
    weak = [row for row in pending if isinstance(by_id[row.user_id], WeakHash)]
    plain = [row for row in pending if not isinstance(by_id[row.user_id], WeakHash)]
    texts = {name: secret[1] for name, secret in by_id.items()}
    _check_hashes(policy, weak, texts)
    _check_passwords(hashing, policy, plain, texts)
    hashed = hash_secrets(hashing, [by_id[row.user_id] for row in (*plain, *weak)])
    with transactions.write_shared(
        lambda tx: lock_batch(tx, batch_id), caller, Permission.CREATE_ACCOUNTS
    ) as (tx, batch):
        require_open(batch)
        touch(tx, batch)
        return _save(tx, policy, batch, new_hashes(batch_id, hashed, tx.now()))


def hash_secrets(
    hashing: PasswordHashPool, secrets: Sequence[tuple[int, str]]
) -> dict[int, tuple[str, int | None]]:
    """Hash passwords, and wrap weak hashes.

    Returns:
        position -> the hash, and for a wrapped one about how many milliseconds it takes.
    """
    weak = [secret for secret in secrets if isinstance(secret, WeakHash)]
    plain = [secret for secret in secrets if not isinstance(secret, WeakHash)]
    hashes = hashing.hash_many([text for _, text in plain])
    wrapped = hashing.wrap_many([text for _, text in weak])
    costs = [parse(text).milliseconds + OWN_MILLISECONDS for _, text in weak]
    hashed: dict[int, tuple[str, int | None]] = {
        position: (text, None) for (position, _), text in zip(plain, hashes, strict=True)
    }
    for (position, _), text, cost in zip(weak, wrapped, costs, strict=True):
        hashed[position] = text, cost
    return hashed


def new_hashes(
    batch_id: str, hashed: Mapping[int, tuple[str, int | None]], now: int
) -> Iterator[NewHash]:
    """Generate the rows of what `hash_secrets` returns."""
    for position, (text, imported_ms) in hashed.items():
        at = None if imported_ms is None else now
        yield NewHash(user_id(batch_id, position), text, at, imported_ms)


def _save(tx: Transaction, policy: Policy, batch: BatchRecord, hashes: Iterable[NewHash]) -> int:
    """Store hashes, and count them in their chunks; return how many."""
    chunks = {
        number: list(part)
        for number, part in groupby(
            sorted(hashes), lambda one: position_of(one.user_id) // policy.chunk_users
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


def _check_hashes(policy: Policy, pending: Sequence[PendingHash], texts: Mapping[str, str]) -> None:
    """Raise `BatchRefused` with a problem for each text that is not a weak hash."""
    from anyscale.domain.password_hashes.parsed_hash import RefusedHash
    from anyscale.domain.password_hashes.parsing import judge

    problems = []
    for row in pending:
        try:
            judge(texts[row.user_id], policy.hash_schemes, accept_weak=True)
        except RefusedHash as refused:
            at, field = position_of(row.user_id), "password_hash"
            problems.append(
                Problem(index=at, field=field, code=refused.code, detail=refused.detail)
            )
    if problems:
        raise BatchRefused(problems)


def _check_passwords(
    hashing: PasswordHashPool,
    policy: Policy,
    pending: Sequence[PendingHash],
    texts: Mapping[str, str],
) -> None:
    """Raise `BatchRefused` with a problem for each password that the policy refuses."""
    faults = hashing.faults(
        [texts[row.user_id] for row in pending],
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
