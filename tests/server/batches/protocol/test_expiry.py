"""Idle batches expire, and every call on a batch delays that."""

from typing import TYPE_CHECKING

import pytest
from tests.server.batches.protocol.steps import JOE, audit_entries, published, row_counts
from tests.support.callers import OPERATOR
from tests.support.databases.stored_data import execute_sql
from tests.support.users import (
    PASSWORD,
    checked_users,
)

from anyscale.errors import (
    BatchGone,
)
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.batches.cleanup import expire_batch
from anyscale.server.core.batches.service import BatchService
from anyscale.user.models import Batch

pytestmark = pytest.mark.both_stores

if TYPE_CHECKING:
    from collections.abc import Callable


def make_idle(control_plane: ControlPlane, batch: Batch, days: float) -> None:
    with control_plane.store.write() as tx:
        execute_sql(
            tx,
            "update batches set touched_at = touched_at - ? where batch_id = ?",
            (int(days * 86_400_000), batch.batch_id),
        )


def test_only_idle_batches_expire(control_plane: ControlPlane, batches: BatchService) -> None:
    idle, fresh = (batches.open(key, "fail", JOE) for key in ("idle", "fresh"))
    batches.reserve(idle.batch_id, 0, checked_users("a"), OPERATOR)
    batches.reserve(fresh.batch_id, 0, checked_users("b"), OPERATOR)
    done = published(batches, "c")
    make_idle(control_plane, idle, 7.01)
    make_idle(control_plane, fresh, 6.99)
    make_idle(control_plane, done, 70)

    for _ in range(2):
        batches.expire()

    states = [batches.show(batch.batch_id, JOE).state for batch in (idle, fresh, done)]
    assert states == ["expired", "open", "published"]
    assert [(row.event, row.actor) for row in audit_entries(control_plane)][1:] == [
        ("batch.expired", "system")
    ]
    assert row_counts(control_plane)["users"] == 2
    with pytest.raises(BatchGone, match="expired"):
        batches.reserve(idle.batch_id, 0, checked_users("a"), OPERATOR)


@pytest.mark.parametrize("call", ["open", "reserve", "hash", "release"])
def test_every_call_on_a_batch_delays_its_expiry(
    control_plane: ControlPlane, batches: BatchService, call: str
) -> None:
    batch = batches.open("key", "fail", JOE)
    batches.reserve(batch.batch_id, 0, checked_users("a", password=PASSWORD), OPERATOR)
    make_idle(control_plane, batch, 8)
    calls: dict[str, Callable[[], object]] = {
        "open": lambda: batches.open("key", "fail", JOE),
        "reserve": lambda: batches.reserve(batch.batch_id, 1, checked_users("b"), OPERATOR),
        "hash": lambda: batches.hash(batch.batch_id, [(0, PASSWORD)], OPERATOR),
        "release": lambda: batches.release(batch.batch_id, OPERATOR),
    }
    calls[call]()
    batches.expire()
    assert batches.show(batch.batch_id, JOE).state == "open"


def test_a_second_reservation_delays_the_expiry(
    control_plane: ControlPlane, batches: BatchService
) -> None:
    batch = batches.open("key", "fail", JOE)
    batches.reserve(batch.batch_id, 0, checked_users("a"), OPERATOR)
    make_idle(control_plane, batch, 8)
    batches.reserve(batch.batch_id, 0, checked_users("a"), OPERATOR)
    batches.expire()
    assert batches.show(batch.batch_id, JOE).state == "open"


def test_a_batch_that_is_resumed_during_its_expiry_stays(
    control_plane: ControlPlane, batches: BatchService
) -> None:
    batch = batches.open("key", "fail", JOE)
    make_idle(control_plane, batch, 8)
    with control_plane.store.read() as tx:
        idle = tx.batches.get(batch.batch_id)
    assert idle
    batches.reserve(batch.batch_id, 0, checked_users("a"), OPERATOR)

    assert not expire_batch(
        control_plane.transactions, idle
    )  # the second half of an expiry that was overtaken

    assert batches.publish(batch.batch_id, 1, JOE).users == 1


def test_an_interrupted_drop_is_finished(
    control_plane: ControlPlane, batches: BatchService
) -> None:
    batch = batches.open("key", "fail", JOE)
    for number, name in enumerate("abc"):
        users = checked_users(name, password=PASSWORD)
        batches.reserve(batch.batch_id, number, users, OPERATOR)
    with control_plane.store.write() as tx:
        found = tx.batches.get(batch.batch_id)
        assert found
        tx.batches.set_state(found.id, "dropped")
    shown = batches.show(batch.batch_id, JOE)
    assert (shown.users, shown.hashes_due) == (0, 0)

    batches.expire()

    assert row_counts(control_plane) == {
        "batches": 1,
        "chunks": 0,
        "conflicts": 0,
        "users": 0,
        "audit": 0,
    }
