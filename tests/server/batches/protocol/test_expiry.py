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
    idle, fresh = (batches.open(JOE, key, "fail") for key in ("idle", "fresh"))
    batches.reserve(OPERATOR, idle.batch_id, 0, checked_users("a"))
    batches.reserve(OPERATOR, fresh.batch_id, 0, checked_users("b"))
    done = published(batches, "c")
    make_idle(control_plane, idle, 7.01)
    make_idle(control_plane, fresh, 6.99)
    make_idle(control_plane, done, 70)

    for _ in range(2):
        batches.expire()

    states = [batches.show(JOE, batch.batch_id).state for batch in (idle, fresh, done)]
    assert states == ["expired", "open", "published"]
    assert [(row.event, row.actor) for row in audit_entries(control_plane)][1:] == [
        ("batch.expired", "system")
    ]
    assert row_counts(control_plane)["users"] == 2
    with pytest.raises(BatchGone, match="expired"):
        batches.reserve(OPERATOR, idle.batch_id, 0, checked_users("a"))


@pytest.mark.parametrize("call", ["open", "reserve", "hash", "release"])
def test_every_call_on_a_batch_delays_its_expiry(
    control_plane: ControlPlane, batches: BatchService, call: str
) -> None:
    batch = batches.open(JOE, "key", "fail")
    batches.reserve(OPERATOR, batch.batch_id, 0, checked_users("a", password=PASSWORD))
    make_idle(control_plane, batch, 8)
    calls: dict[str, Callable[[], object]] = {
        "open": lambda: batches.open(JOE, "key", "fail"),
        "reserve": lambda: batches.reserve(OPERATOR, batch.batch_id, 1, checked_users("b")),
        "hash": lambda: batches.hash(OPERATOR, batch.batch_id, [(0, PASSWORD)]),
        "release": lambda: batches.release(OPERATOR, batch.batch_id),
    }
    calls[call]()
    batches.expire()
    assert batches.show(JOE, batch.batch_id).state == "open"


def test_a_second_reservation_delays_the_expiry(
    control_plane: ControlPlane, batches: BatchService
) -> None:
    batch = batches.open(JOE, "key", "fail")
    batches.reserve(OPERATOR, batch.batch_id, 0, checked_users("a"))
    make_idle(control_plane, batch, 8)
    batches.reserve(OPERATOR, batch.batch_id, 0, checked_users("a"))
    batches.expire()
    assert batches.show(JOE, batch.batch_id).state == "open"


def test_a_batch_that_is_resumed_during_its_expiry_stays(
    control_plane: ControlPlane, batches: BatchService
) -> None:
    batch = batches.open(JOE, "key", "fail")
    make_idle(control_plane, batch, 8)
    with control_plane.store.read() as tx:
        idle = tx.batches.get(batch.batch_id)
    assert idle
    batches.reserve(OPERATOR, batch.batch_id, 0, checked_users("a"))

    assert not expire_batch(
        control_plane.transactions, idle
    )  # the second half of an expiry that was overtaken

    assert batches.publish(JOE, batch.batch_id, 1).users == 1


def test_an_interrupted_drop_is_finished(
    control_plane: ControlPlane, batches: BatchService
) -> None:
    batch = batches.open(JOE, "key", "fail")
    for number, name in enumerate("abc"):
        users = checked_users(name, password=PASSWORD)
        batches.reserve(OPERATOR, batch.batch_id, number, users)
    with control_plane.store.write() as tx:
        found = tx.batches.get(batch.batch_id)
        assert found
        tx.batches.set_state(found.id, "dropped")
    shown = batches.show(JOE, batch.batch_id)
    assert (shown.users, shown.hashes_due) == (0, 0)

    batches.expire()

    assert row_counts(control_plane) == {
        "batches": 1,
        "chunks": 0,
        "conflicts": 0,
        "users": 0,
        "audit": 0,
    }
