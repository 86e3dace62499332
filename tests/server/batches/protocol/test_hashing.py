"""The passwords of a batch: which are hashed, and what happens to the batch meanwhile."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from tests.server.batches.protocol.steps import JOE, create, published, row_counts
from tests.support.callers import OPERATOR
from tests.support.databases.locks import wait_until_blocked
from tests.support.databases.stored_data import execute_sql
from tests.support.hashing import record_hashed
from tests.support.users import (
    PASSWORD,
    POLICY,
    account_emails,
    checked_user,
    checked_users,
)

from anyscale.errors import (
    BatchGone,
    BatchRefused,
)
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.batches.service import BatchService
from anyscale.server.core.hashing.pool import CHEAPEST, PasswordHashPool
from anyscale.server.store.user_ids import user_id

pytestmark = pytest.mark.both_stores


def test_no_hash_is_computed_for_an_existing_email(
    batches: BatchService, hashed: list[str]
) -> None:
    published(batches, "a")
    batch = batches.open(JOE, "key", "skip")
    users = [*checked_users("a", "b", password=PASSWORD), checked_user("c@example.com", "")]
    batches.reserve(OPERATOR, batch.batch_id, 0, users)
    assert batches.hash(OPERATOR, batch.batch_id, [(0, PASSWORD), (1, PASSWORD)]) == 1
    assert batches.publish(JOE, batch.batch_id, 3).users == 2
    assert len(hashed) == 1


def test_a_small_batch_computes_no_hash_for_an_existing_email(
    batches: BatchService, hashed: list[str]
) -> None:
    published(batches, "a")
    with pytest.raises(BatchRefused):
        create(batches, "fail", checked_users("a", "b", password=PASSWORD))
    assert hashed == []
    create(batches, "skip", checked_users("a", "b", password=PASSWORD), "skip")
    assert len(hashed) == 1


class Interrupted(PasswordHashPool):
    """Hashes, but lets something happen first."""

    def __init__(self, happens: Callable[[], object]) -> None:
        super().__init__(CHEAPEST)
        self._happens = [happens]

    def hash_many(self, passwords: Sequence[str]) -> list[str]:
        while self._happens:
            self._happens.pop()()
        return super().hash_many(passwords)


def service(control_plane: ControlPlane, hashing: PasswordHashPool) -> BatchService:
    tx, outbox = control_plane.transactions, control_plane.outbox
    return BatchService(tx, hashing, POLICY, outbox, available=True, expiry_days=7)


def test_an_email_that_is_freed_while_a_small_batch_hashes_gets_a_hash(
    control_plane: ControlPlane, batches: BatchService
) -> None:
    holder = batches.open(JOE, "holder", "fail")
    batches.reserve(OPERATOR, holder.batch_id, 0, checked_users("a"))
    with closing(Interrupted(lambda: batches.drop(JOE, holder.batch_id))) as hashing:
        hashed = record_hashed(hashing)
        other = service(control_plane, hashing)
        created = create(other, "key", checked_users("a", "b", password=PASSWORD))
        assert len(hashed) == 2
    assert created.batch.users == 2
    with control_plane.store.read() as tx:
        hashes = execute_sql(tx, "select password_hash from users").fetchall()
    assert all(control_plane.hashing.verify(text, PASSWORD) for (text,) in hashes)


def test_an_email_that_is_taken_while_a_small_batch_hashes_is_reported(
    control_plane: ControlPlane, batches: BatchService
) -> None:
    with closing(Interrupted(lambda: published(batches, "a"))) as hashing:
        other = service(control_plane, hashing)
        with pytest.raises(BatchRefused, match="has an account already"):
            create(other, "key", checked_users("a", "b", password=PASSWORD))
    assert account_emails(control_plane) == ["a@example.com"]
    assert row_counts(control_plane)["batches"] == 1


def test_a_batch_that_is_dropped_while_it_is_hashed_stores_nothing(
    control_plane: ControlPlane, batches: BatchService
) -> None:
    batch = batches.open(JOE, "key", "fail")
    batches.reserve(OPERATOR, batch.batch_id, 0, checked_users("a", password=PASSWORD))
    with closing(Interrupted(lambda: batches.drop(JOE, batch.batch_id))) as hashing:
        other = service(control_plane, hashing)
        with pytest.raises(BatchGone, match=f"^batch {batch.batch_id} was dropped$"):
            other.hash(OPERATOR, batch.batch_id, [(0, PASSWORD)])
    assert row_counts(control_plane)["users"] == 0


def test_hashes_wait_for_all_their_chunks_before_a_row_is_locked(
    control_plane: ControlPlane, batches: BatchService
) -> None:
    batch = batches.open(JOE, "key", "fail")
    for number, names in enumerate(("abc", "d")):
        users = checked_users(*names, password=PASSWORD)
        batches.reserve(OPERATOR, batch.batch_id, number, users)
    rows = f"update users set name = name where user_id = '{user_id(batch.batch_id, 0)}'"
    with ThreadPoolExecutor(1) as pool:
        with control_plane.store.write() as tx:
            found = tx.batches.get(batch.batch_id)
            assert found
            tx.chunks.lock(found.id, 1)  # as a repeated reservation
            passwords = [(position, PASSWORD) for position in (0, 3)]
            hashing = pool.submit(batches.hash, OPERATOR, batch.batch_id, passwords)
            wait_until_blocked(control_plane.store, tx)
            execute_sql(tx, rows)  # would be a deadlock
        assert hashing.result(30) == 2


def test_the_policy_is_enforced_on_hashing(batches: BatchService, hashed: list[str]) -> None:
    batch = batches.open(JOE, "key", "fail")
    users = checked_users("a", "b", "c", password=PASSWORD)
    batches.reserve(OPERATOR, batch.batch_id, 0, users)
    with pytest.raises(BatchRefused) as caught:
        batches.hash(
            OPERATOR, batch.batch_id, [(0, "short"), (1, PASSWORD), (2, "jane, of all names")]
        )
    found = [(problem.index, problem.field, problem.code) for problem in caught.value.problems]
    assert found == [
        (0, "password", "password_too_short"),
        (2, "password", "password_personal"),
    ]
    assert "short'" not in str(caught.value)
    assert hashed == []
