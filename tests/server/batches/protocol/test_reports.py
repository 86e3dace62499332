"""What a batch tells: its users, their ids, the counts and the conflicts."""

from datetime import UTC, datetime, timedelta

import pytest
from tests.server.batches.protocol.steps import JOE, create, published, row_counts
from tests.support.callers import OPERATOR, operator
from tests.support.users import (
    PASSWORD,
    checked_users,
)

from anyscale.errors import (
    BatchRefused,
)
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.batches.service import BatchService
from anyscale.server.store.user_ids import MAX_POSITION, position_of, user_id

pytestmark = pytest.mark.both_stores

# What responses contain


def test_all_users_of_a_batch_have_the_time_of_its_publishing(batches: BatchService) -> None:
    batch = published(batches, "d", "a", "c", "b")
    users = batches.created(batch.batch_id, "", 10)
    assert {user.created_at for user in users} == {batch.published_at}
    assert batch.published_at
    assert abs(datetime.now(UTC) - batch.published_at) < timedelta(minutes=1)
    assert batch.opened_at <= batch.published_at


def test_ids_are_unique_and_sort_in_the_order_of_the_input(
    control_plane: ControlPlane, batches: BatchService
) -> None:
    first = published(batches, "d", "a", "c", "b")
    second = batches.create(JOE, "small", checked_users("z", "y"), "fail")
    users = batches.created(first.batch_id, "", 10)
    assert [user.email[0] for user in users] == ["d", "a", "c", "b"]
    assert [user.email[0] for user in second.users] == ["z", "y"]
    ids = [user.user_id for user in (*users, *second.users)]
    assert len(set(ids)) == 6
    assert ids == sorted(ids)
    assert all(user_id.startswith("usr_") for user_id in ids)
    assert [u.email[0] for u in batches.created(first.batch_id, ids[0], 2)] == ["a", "c"]


@pytest.mark.parametrize("small", [True, False], ids=["small", "large"])
def test_created_and_skipped_users_add_up(
    control_plane: ControlPlane, batches: BatchService, small: bool
) -> None:
    published(batches, "b", "d")
    names = ("a", "b", "c", "d", "e")
    if small:
        created = batches.create(JOE, "key", checked_users(*names), "skip")
        batch, skipped = created.batch, created.skipped
    else:
        batch = batches.open(JOE, "key", "skip")
        batches.reserve(OPERATOR, batch.batch_id, 0, checked_users(*names[:3]))
        batches.reserve(OPERATOR, batch.batch_id, 1, checked_users(*names[3:]))
        batch = batches.publish(JOE, batch.batch_id, 5)
        skipped = batches.conflicts(batch.batch_id)
    assert (batch.users, batch.skipped) == (3, 2)
    assert [(c.position, c.email, c.kind) for c in skipped] == [
        (1, "b@example.com", "exists"),
        (3, "d@example.com", "exists"),
    ]
    assert [user.email[0] for user in batches.created(batch.batch_id, "", 9)] == ["a", "c", "e"]


@pytest.mark.parametrize("if_exists", ["fail", "skip"])
def test_existing_reserved_and_duplicate_emails_have_different_codes(
    batches: BatchService, if_exists: str
) -> None:
    published(batches, "a")
    holder = batches.open(operator("ann"), "holder", "fail")
    batches.reserve(OPERATOR, holder.batch_id, 0, checked_users("b"))

    batch = batches.open(JOE, "key", if_exists)
    batches.reserve(OPERATOR, batch.batch_id, 0, checked_users("a", "b", "c"))
    reserved = batches.reserve(OPERATOR, batch.batch_id, 1, checked_users("d", "d", "c"))

    assert reserved.conflicts == 2
    found = batches.conflicts(batch.batch_id)
    assert [(c.position, c.kind, c.other, c.holder) for c in found] == [
        (0, "exists", None, None),
        (1, "reserved", None, holder.batch_id),
        (4, "duplicate", 3, None),
        (5, "duplicate", 2, None),
    ]
    assert (found[1].reserved_by, found[1].reserved_since) == ("local:ann", holder.opened_at)


def test_a_small_batch_does_not_skip_reserved_emails(
    control_plane: ControlPlane, batches: BatchService, hashed: list[str]
) -> None:
    holder = batches.open(operator("ann"), "holder", "fail")
    batches.reserve(OPERATOR, holder.batch_id, 0, checked_users("b"))
    with pytest.raises(BatchRefused) as caught:
        create(batches, "key", checked_users("a", "b", password=PASSWORD), "skip")
    (problem,) = caught.value.problems
    assert (problem.index, problem.code) == (1, "email_reserved")
    assert holder.batch_id in problem.detail
    assert "local:ann" in problem.detail
    assert f"{holder.opened_at:%Y-%m-%d %H:%M:%S} UTC" in problem.detail
    assert row_counts(control_plane)["batches"] == 1
    assert hashed == []


def test_a_second_reservation_updates_the_conflicts_of_its_chunk(
    batches: BatchService,
) -> None:
    holder = batches.open(operator("ann"), "holder", "fail")
    batches.reserve(OPERATOR, holder.batch_id, 0, checked_users("a"))
    batch = batches.open(JOE, "key", "fail")
    assert batches.reserve(OPERATOR, batch.batch_id, 0, checked_users("a", "b")).holders == [
        holder.batch_id
    ]
    batches.drop(operator("ann"), holder.batch_id)

    assert batches.reserve(OPERATOR, batch.batch_id, 0, checked_users("a", "b")).conflicts == 0
    assert batches.conflicts(batch.batch_id) == []
    assert batches.publish(JOE, batch.batch_id, 2).users == 2


def test_a_look_up_writes_nothing(control_plane: ControlPlane, batches: BatchService) -> None:
    published(batches, "b")
    before = row_counts(control_plane)
    (found,) = batches.look_up(checked_users("a", "b"), 7)
    assert (found.position, found.kind) == (8, "exists")
    assert row_counts(control_plane) == before


# Ids


def test_an_id_ends_with_the_position_as_eight_digits() -> None:
    for position, digits in ((0, "00000000"), (31, "0000001f"), (MAX_POSITION, "ffffffff")):
        name = user_id("bat_01a2", position)
        assert name == f"usr_01a2{digits}"
        assert position_of(name) == position
