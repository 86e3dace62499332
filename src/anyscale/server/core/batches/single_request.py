"""A small batch in one call: look-ups, hashes, then one transaction that inserts and publishes."""

from collections.abc import Sequence

from anyscale.errors import BatchRefused, BatchUnfinished, KeyReused
from anyscale.server.core.authorization import Principal, require_owner
from anyscale.server.core.batches.publish import created_users, publish, shown_batch
from anyscale.server.core.batches.records import (
    conflicts_of,
    digest_of,
    free_positions,
    passes,
    user_id,
)
from anyscale.server.core.batches.reserve import claim_chunk, known_batch, new_batch
from anyscale.server.core.hashing.pool import PasswordHashPool
from anyscale.server.store.interface import Store, Transaction
from anyscale.user.conflict_problems import problems_of
from anyscale.user.models import Created
from anyscale.user.validation import CheckedUser

__all__ = ["create_small"]

# How often to look again when emails change hands between two of the steps.
_ATTEMPTS = 5


class _LookAgain(Exception):
    """What was looked up has changed meanwhile."""


def create_small(
    store: Store,
    hashing: PasswordHashPool,
    key: str,
    users: Sequence[CheckedUser],
    if_exists: str,
    caller: Principal,
) -> Created:
    """Create a batch of one page, or answer again what an equal call was answered.

    Raises:
        BatchRefused: emails are taken; nobody was created.
        NotAuthenticated, NotPermitted: the caller has lost the right to it.
        KeyReused: the key belongs to a batch with other content.
    """
    hashes: dict[int, str] = {}
    for _ in range(_ATTEMPTS):
        with store.read() as rows:
            if replay := _replay(rows, key, users, if_exists):
                return replay
            free = free_positions(users, rows.owners([u.email_key for u in users]), if_exists)
        # An email that is taken costs no hash, and a hash is computed outside of any transaction.
        wanted = {p: users[p].password or "" for p in free if users[p].password and p not in hashes}
        hashes.update(zip(wanted, hashing.hash_many(list(wanted.values())), strict=True))
        try:
            with store.write() as rows:
                replay = _replay(rows, key, users, if_exists)
                return replay or _create(rows, key, users, if_exists, hashes, caller)
        except _LookAgain:
            continue
    raise BatchUnfinished("other batches keep taking and freeing the same emails")


def _create(
    rows: Transaction,
    key: str,
    users: Sequence[CheckedUser],
    if_exists: str,
    hashes: dict[int, str],
    caller: Principal,
) -> Created:
    require_owner(rows, caller)
    batch = rows.add_batch(new_batch(rows, key, if_exists, caller.actor))
    if batch is None:  # the same call is made twice at once, and the other one was first
        raise _LookAgain
    claim_chunk(rows, batch, 0, 0, users)
    if refused := [c for c in conflicts_of(rows, batch) if not passes(c, if_exists)]:
        raise BatchRefused(problems_of(refused))
    ids = ((user_id(batch.batch_id, position), text) for position, text in hashes.items())
    rows.save_hashes(batch.id, ids)
    if rows.count_due(batch.id):
        raise _LookAgain
    publish(rows, batch, len(users), caller.actor)
    return _created(rows, batch.batch_id, len(users), replayed=False)


def _replay(
    rows: Transaction, key: str, users: Sequence[CheckedUser], if_exists: str
) -> Created | None:
    batch = rows.live_batch(key)
    if batch is None:
        return None
    digests = [page.digest for page in rows.pages(batch.id)]
    if batch.state != "published" or digests != [digest_of(users, if_exists)]:
        raise KeyReused(f"the idempotency key belongs to batch {batch.batch_id}, with other users")
    return _created(rows, batch.batch_id, len(users), replayed=True)


def _created(rows: Transaction, batch_id: str, limit: int, *, replayed: bool) -> Created:
    batch = known_batch(rows, batch_id)
    users = created_users(rows, batch_id, "", limit)
    return Created(shown_batch(rows, batch), users, conflicts_of(rows, batch), replayed)
