"""A batch has the content that it began with, and nothing is published that is not whole."""

from typing import TYPE_CHECKING

import pytest
from tests.server.batches.protocol.steps import JOE, audit_entries, create, published, row_counts
from tests.support.callers import OPERATOR
from tests.support.users import (
    PASSWORD,
    POLICY,
    account_emails,
    checked_user,
    checked_users,
)

from anyscale.errors import (
    BatchGone,
    BatchUnfinished,
    KeyReused,
    NotFound,
)
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.batches.cleanup import delete_rows
from anyscale.server.core.batches.service import BatchService

pytestmark = pytest.mark.both_stores

if TYPE_CHECKING:
    from collections.abc import Callable

# Other content


OTHERS: dict[str, list[tuple[str, str | None]]] = {
    "another email": [("a", None), ("x", PASSWORD)],
    "another order": [("b", PASSWORD), ("a", None)],
    "one more": [("a", None), ("b", PASSWORD), ("c", None)],
    "one less": [("a", None)],
    "a password less": [("a", None), ("b", None)],
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_a_reserved_chunk_refuses_other_content(
    batches: BatchService, other: list[tuple[str, str | None]]
) -> None:
    batch = batches.open("key", "fail", JOE)
    own = [checked_user("a@example.com"), checked_user("b@example.com", PASSWORD)]
    batches.reserve(batch.batch_id, 0, own, OPERATOR)
    with pytest.raises(KeyReused, match="other users in chunk 0"):
        batches.reserve(
            batch.batch_id,
            0,
            [checked_user(f"{name}@example.com", text) for name, text in other],
            OPERATOR,
        )


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_the_key_of_a_small_batch_refuses_other_content(
    control_plane: ControlPlane, batches: BatchService, other: list[tuple[str, str | None]]
) -> None:
    own = [checked_user("a@example.com"), checked_user("b@example.com", PASSWORD)]
    create(batches, "key", own)
    with pytest.raises(KeyReused):
        create(batches, "key", [checked_user(f"{name}@example.com", text) for name, text in other])
    assert account_emails(control_plane) == ["a@example.com", "b@example.com"]


def test_a_key_refuses_another_if_exists(batches: BatchService) -> None:
    batches.open("large", "fail", JOE)
    with pytest.raises(KeyReused, match="if_exists=fail"):
        batches.open("large", "skip", JOE)
    batches.create("small", checked_users("a"), "fail", JOE)
    with pytest.raises(KeyReused):
        batches.create("small", checked_users("a"), "skip", JOE)


def test_the_digest_does_not_cover_the_password(batches: BatchService) -> None:
    batch = batches.open("key", "fail", JOE)
    batches.reserve(batch.batch_id, 0, checked_users("a", password=PASSWORD), OPERATOR)
    again = batches.reserve(
        batch.batch_id, 0, checked_users("a", password="another password"), OPERATOR
    )
    assert again.users == 1
    create(batches, "small", checked_users("b", password=PASSWORD))
    users = checked_users("b", password="another password")
    assert create(batches, "small", users, password="another password").replayed


@pytest.mark.parametrize("end", [True, False], ids=["published", "open"])
def test_the_beginning_of_a_batch_is_another_batch(
    control_plane: ControlPlane, batches: BatchService, end: bool
) -> None:
    batch = batches.open("key", "fail", JOE)
    batches.reserve(batch.batch_id, 0, checked_users("a", "b", "c"), OPERATOR)
    batches.reserve(batch.batch_id, 1, checked_users("d"), OPERATOR)
    if end:
        batches.publish(batch.batch_id, 4, JOE)
    batches.reserve(batch.batch_id, 0, checked_users("a", "b", "c"), OPERATOR)
    with pytest.raises(KeyReused):
        batches.publish(batch.batch_id, 3, JOE)
    assert len(account_emails(control_plane)) == (4 if end else 0)


def test_a_published_batch_refuses_another_number_of_entries(batches: BatchService) -> None:
    batch = published(batches, "a", "b")
    for entries in (0, 1, 3):
        with pytest.raises(KeyReused, match=f"has 2 users, and not {entries}"):
            batches.publish(batch.batch_id, entries, JOE)


def test_a_published_batch_refuses_another_chunk(batches: BatchService) -> None:
    batch = published(batches, "a", "b", "c")
    with pytest.raises(KeyReused):
        batches.reserve(batch.batch_id, 1, checked_users("d"), OPERATOR)


def test_a_chunk_that_is_too_large_is_refused(batches: BatchService) -> None:
    batch = batches.open("key", "fail", JOE)
    with pytest.raises(ValueError, match="at most 3 users"):
        batches.reserve(batch.batch_id, 0, checked_users("a", "b", "c", "d"), OPERATOR)


def test_a_small_create_does_not_end_a_large_batch_with_the_same_key(batches: BatchService) -> None:
    batch = batches.open("key", "fail", JOE)
    batches.reserve(batch.batch_id, 0, checked_users("a"), OPERATOR)
    with pytest.raises(KeyReused, match=batch.batch_id):
        batches.create("key", checked_users("a"), "fail", JOE)


# Nothing is published that is not whole


def test_a_batch_with_a_missing_chunk_is_not_published(
    control_plane: ControlPlane, batches: BatchService
) -> None:
    batch = batches.open("key", "fail", JOE)
    batches.reserve(batch.batch_id, 1, checked_users("d"), OPERATOR)
    for entries in (1, 4):  # one entry, and a chunk is missing before it
        with pytest.raises(BatchUnfinished, match=f"1 of {entries} users.*chunks are") as caught:
            batches.publish(batch.batch_id, entries, JOE)
    assert caught.value.batch_id == batch.batch_id
    assert caught.value.status == 409  # a mistake of the caller is not an outage
    assert account_emails(control_plane) == []


def test_skipped_entries_count_as_entries_of_a_batch(batches: BatchService) -> None:
    published(batches, "a")
    batch = batches.open("key", "skip", JOE)
    batches.reserve(batch.batch_id, 0, checked_users("a", "b"), OPERATOR)
    with pytest.raises(BatchUnfinished, match="has 2 of 3 users, and 0 whose"):
        batches.publish(batch.batch_id, 3, JOE)
    with pytest.raises(KeyReused, match="has 2 users, and not 1"):
        batches.publish(batch.batch_id, 1, JOE)
    done = batches.publish(batch.batch_id, 2, JOE)
    assert (done.users, done.skipped) == (1, 1)
    assert batches.publish(batch.batch_id, 2, JOE) == done
    for entries in (0, 1, 3):
        with pytest.raises(KeyReused, match="has 2 users"):
            batches.publish(batch.batch_id, entries, JOE)


def test_only_a_published_batch_counts_accounts_without_a_sign_in_method(
    batches: BatchService,
) -> None:
    batch = batches.open("key", "fail", JOE)
    batches.reserve(batch.batch_id, 0, checked_users("a", "b"), OPERATOR)
    assert batches.show(batch.batch_id, JOE).without_credentials is None
    batches.publish(batch.batch_id, 2, JOE)
    shown = batches.show(batch.batch_id, JOE)
    assert (shown.without_credentials, shown.hashes_due) == (2, 0)


def test_a_batch_with_a_missing_hash_is_not_published(
    control_plane: ControlPlane, batches: BatchService
) -> None:
    batch = batches.open("key", "fail", JOE)
    batches.reserve(batch.batch_id, 0, checked_users("a", "b", password=PASSWORD), OPERATOR)
    batches.hash(batch.batch_id, [(1, PASSWORD)], OPERATOR)
    assert batches.show(batch.batch_id, JOE).hashes_due == 1
    with pytest.raises(BatchUnfinished, match="1 passwords are not hashed yet"):
        batches.publish(batch.batch_id, 2, JOE)
    assert account_emails(control_plane) == []
    assert audit_entries(control_plane) == []


def test_a_batch_with_a_conflict_is_not_published(
    control_plane: ControlPlane, batches: BatchService
) -> None:
    published(batches, "a")
    batch = batches.open("key", "fail", JOE)
    batches.reserve(batch.batch_id, 0, checked_users("a", "b"), OPERATOR)
    for entries in (1, 2):
        with pytest.raises(BatchUnfinished, match="1 whose emails are taken"):
            batches.publish(batch.batch_id, entries, JOE)
    assert account_emails(control_plane) == ["a@example.com"]


@pytest.mark.parametrize("end", ["published", "dropped"])
def test_a_dropped_or_expired_batch_refuses_every_change(
    control_plane: ControlPlane, batches: BatchService, hashed: list[str], end: str
) -> None:
    batch = batches.open("key", "fail", JOE)
    batches.reserve(batch.batch_id, 0, checked_users("a"), OPERATOR)
    if end == "published":
        batches.publish(batch.batch_id, 1, JOE)
        late: list[Callable[[], object]] = [lambda: batches.drop(batch.batch_id, JOE)]
    else:
        batches.drop(batch.batch_id, JOE)
        late = [
            lambda: batches.reserve(batch.batch_id, 1, checked_users("b"), OPERATOR),
            lambda: batches.publish(batch.batch_id, 1, JOE),
        ]
    before = row_counts(control_plane)
    late += [
        lambda: batches.hash(batch.batch_id, [(0, PASSWORD)], OPERATOR),
        lambda: batches.release(batch.batch_id, OPERATOR),
    ]

    for call in late:
        with pytest.raises(BatchGone, match=end):
            call()

    assert row_counts(control_plane) == before
    assert hashed == []


def test_a_late_cleanup_keeps_a_batch_that_was_published_meanwhile(
    control_plane: ControlPlane, batches: BatchService
) -> None:
    batch = batches.open("key", "fail", JOE)
    batches.reserve(batch.batch_id, 0, checked_users("a"), OPERATOR)
    with control_plane.store.read() as tx:
        as_it_was = tx.batches.get(batch.batch_id)
    assert as_it_was
    batches.publish(batch.batch_id, 1, JOE)

    delete_rows(
        control_plane.transactions, as_it_was, POLICY.chunk_users, OPERATOR
    )  # the second half of a release that was overtaken

    assert account_emails(control_plane) == ["a@example.com"]


def test_an_unknown_batch_is_not_found(batches: BatchService) -> None:
    with pytest.raises(NotFound, match="there is no batch bat_none"):
        batches.conflicts("bat_none")
    with pytest.raises(NotFound):
        batches.reserve("bat_none", 0, checked_users("a"), OPERATOR)
    for call_by in (batches.show, batches.drop, batches.release):
        with pytest.raises(NotFound, match="there is no batch bat_none"):
            call_by("bat_none", JOE)
