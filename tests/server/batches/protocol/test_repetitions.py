"""The batch protocol: every call twice is every call once, also at the same time."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from tests.server.batches.protocol.steps import JANE, JOE, audit_entries, published, row_counts
from tests.support.callers import OPERATOR, operator
from tests.support.databases.locks import wait_until_blocked
from tests.support.databases.stored_data import execute_sql
from tests.support.servers.control_planes import Deployment
from tests.support.users import (
    PASSWORD,
    account_emails,
    checked_users,
    passwords_for,
)

from anyscale.errors import (
    FeatureUnavailable,
)
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.batches.service import BatchService
from anyscale.user.models import Batch

pytestmark = pytest.mark.both_stores

# Again is once


def test_a_second_open_returns_the_open_batch(batches: BatchService) -> None:
    first = batches.open(JOE, "key", "fail")
    again = batches.open(operator("ann"), "key", "fail")
    assert (again.batch_id, again.opened_by, again.opened_at) == (
        first.batch_id,
        JOE.actor,
        first.opened_at,
    )
    found = batches.find("key")
    assert found
    assert found.batch_id == first.batch_id
    assert batches.find("other") is None


def test_a_second_reservation_changes_nothing(
    control_plane: ControlPlane, batches: BatchService
) -> None:
    batch = batches.open(JOE, "key", "fail")
    first = batches.reserve(OPERATOR, batch.batch_id, 0, checked_users("a", "b"))
    before = row_counts(control_plane)

    assert batches.reserve(OPERATOR, batch.batch_id, 0, checked_users("a", "b")) == first
    assert row_counts(control_plane) == before
    assert (first.users, first.skipped, first.conflicts, first.holders) == (2, 0, 0, [])


def test_a_stored_hash_is_not_computed_again(
    control_plane: ControlPlane, batches: BatchService, hashed: list[str]
) -> None:
    batch = batches.open(JOE, "key", "fail")
    batches.reserve(OPERATOR, batch.batch_id, 0, checked_users("a", "b", password=PASSWORD))

    assert batches.hash(OPERATOR, batch.batch_id, [(0, PASSWORD)]) == 1
    assert batches.hash(OPERATOR, batch.batch_id, [(0, "another password"), (1, PASSWORD)]) == 1
    assert batches.hash(OPERATOR, batch.batch_id, [(0, PASSWORD), (1, PASSWORD)]) == 0

    assert len(hashed) == 2
    with control_plane.store.read() as tx:
        hashes = execute_sql(tx, "select password_hash from users").fetchall()
    assert all(control_plane.hashing.verify(text, PASSWORD) for (text,) in hashes)


def test_a_second_publish_returns_the_same_result(
    control_plane: ControlPlane, batches: BatchService
) -> None:
    first = published(batches, "a", "b")
    again = batches.publish(operator("ann"), first.batch_id, 2)
    assert again == first
    assert account_emails(control_plane) == ["a@example.com", "b@example.com"]
    assert len(audit_entries(control_plane)) == 1


def test_a_published_batch_can_be_opened_and_compared_again(batches: BatchService) -> None:
    first = published(batches, "a", "b", "c", "d")
    assert batches.open(JOE, "earlier", "fail").state == "published"
    assert batches.reserve(OPERATOR, first.batch_id, 1, checked_users("d")).users == 1


def test_a_second_drop_changes_nothing(control_plane: ControlPlane, batches: BatchService) -> None:
    batch = batches.open(JOE, "key", "fail")
    batches.reserve(OPERATOR, batch.batch_id, 0, checked_users("a"))
    for _ in range(2):
        assert batches.drop(JOE, batch.batch_id).state == "dropped"
    assert row_counts(control_plane) == {
        "batches": 1,
        "chunks": 0,
        "conflicts": 0,
        "users": 0,
        "audit": 1,
    }
    assert batches.open(JOE, "key", "fail").batch_id != batch.batch_id


def test_a_second_create_returns_the_same_result(
    control_plane: ControlPlane, batches: BatchService, hashed: list[str]
) -> None:
    users = checked_users("b", "a", password=PASSWORD)
    passwords = passwords_for(users)
    first = batches.create(JOE, "key", users, "fail", passwords)
    before, count = row_counts(control_plane), len(hashed)
    again = batches.create(operator("ann"), "key", users, "fail", passwords)

    assert (first.replayed, again.replayed) == (False, True)
    assert (again.batch, again.users, again.skipped) == (first.batch, first.users, first.skipped)
    assert (row_counts(control_plane), len(hashed)) == (before, count)


def test_a_second_release_keeps_the_batch_open_and_its_counts_correct(
    control_plane: ControlPlane, batches: BatchService
) -> None:
    published(batches, "b")
    batch = batches.open(JOE, "key", "fail")
    batches.reserve(OPERATOR, batch.batch_id, 0, checked_users("a", "b"))
    for _ in range(2):
        batches.release(OPERATOR, batch.batch_id)
        shown = batches.show(JOE, batch.batch_id)
        assert (shown.state, shown.users, shown.skipped) == ("open", 0, 0)
        assert batches.conflicts(batch.batch_id) == []
    assert batches.reserve(OPERATOR, batch.batch_id, 0, checked_users("a", "b")).conflicts == 1


# At the same time


def ending(batches: BatchService, batch_id: str, end: str) -> Callable[[], Batch]:
    """Return the call that publishes or drops a batch with two users."""
    if end == "publish":
        return lambda: batches.publish(JANE, batch_id, 2)
    return lambda: batches.drop(JANE, batch_id)


@pytest.mark.parametrize("end", ["publish", "drop"])
def test_the_end_of_a_batch_waits_for_a_reservation_in_progress(
    control_plane: ControlPlane, batches: BatchService, end: str
) -> None:
    batch = batches.open(JOE, "key", "fail")
    batches.reserve(OPERATOR, batch.batch_id, 0, checked_users("a", "b"))
    with ThreadPoolExecutor(1) as pool:
        with control_plane.store.write() as tx:
            tx.batches.lock(batch.batch_id, exclusive=False)
            ended = pool.submit(ending(batches, batch.batch_id, end))
            wait_until_blocked(control_plane.store, tx)
        assert ended.result(30).state == ("published" if end == "publish" else "dropped")


@pytest.mark.parametrize("end", ["publish", "drop"])
def test_two_ends_of_a_batch_at_once_leave_one_audit_entry(
    control_plane: ControlPlane, batches: BatchService, end: str
) -> None:
    batch = batches.open(JOE, "key", "fail")
    batches.reserve(OPERATOR, batch.batch_id, 0, checked_users("a", "b"))
    call = ending(batches, batch.batch_id, end)
    with ThreadPoolExecutor(2) as pool:
        with control_plane.store.write() as tx:
            tx.audit.lock()  # until both have got as far as they can
            ended = [pool.submit(call) for _ in range(2)]
            wait_until_blocked(control_plane.store, tx, 2)
        states = {one.result(30).state for one in ended}
    assert len(states) == 1
    assert [row.event for row in audit_entries(control_plane)] == [f"batch.{states.pop()}"]


# Switched off


def test_every_creating_call_is_refused_if_the_feature_is_off(
    store_deployment: Deployment, control_plane: ControlPlane, batches: BatchService
) -> None:
    batch = batches.open(JOE, "key", "fail")
    with closing(store_deployment.control_plane(available=False)) as off:
        calls: list[Callable[[], object]] = [
            lambda: off.batches.create(JOE, "small", checked_users("a"), "fail"),
            off.batches.available_policy,  # which a dry run asks for first
            lambda: off.batches.open(JOE, "other", "fail"),
            lambda: off.batches.reserve(OPERATOR, batch.batch_id, 0, checked_users("a")),
            lambda: off.batches.hash(OPERATOR, batch.batch_id, [(0, PASSWORD)]),
            lambda: off.batches.publish(JOE, batch.batch_id, 0),
        ]
        for call in calls:
            with pytest.raises(FeatureUnavailable, match="customer-hosted clouds"):
                call()
        assert row_counts(control_plane)["users"] == 0
        # Reading and clearing up continue.
        assert off.batches.look_up(checked_users("a"), 0) == []
        assert off.batches.show(JOE, batch.batch_id).state == "open"
        assert off.batches.drop(JOE, batch.batch_id).state == "dropped"


def test_a_batch_that_is_shown_or_dropped_says_whether_the_caller_opened_it(
    batches: BatchService,
) -> None:
    batch = batches.open(JANE, "key", "fail")
    shown = [batches.show(caller, batch.batch_id).opened_by_caller for caller in (JANE, JOE)]
    assert shown == [True, False]
    assert batches.drop(JOE, batch.batch_id).opened_by_caller is False
    assert batches.drop(JANE, batch.batch_id).opened_by_caller is True
