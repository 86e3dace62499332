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
    batch = batches.open(JOE, "key", "fail")
    own = [checked_user("a@example.com"), checked_user("b@example.com", PASSWORD)]
    batches.reserve(OPERATOR, batch.batch_id, 0, own)
    with pytest.raises(KeyReused, match="other users in chunk 0"):
        batches.reserve(
            OPERATOR,
            batch.batch_id,
            0,
            [checked_user(f"{name}@example.com", text) for name, text in other],
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
    batches.open(JOE, "large", "fail")
    with pytest.raises(KeyReused, match="if_exists=fail"):
        batches.open(JOE, "large", "skip")
    batches.create(JOE, "small", checked_users("a"), "fail")
    with pytest.raises(KeyReused):
        batches.create(JOE, "small", checked_users("a"), "skip")


def test_the_digest_does_not_cover_the_password(batches: BatchService) -> None:
    batch = batches.open(JOE, "key", "fail")
    batches.reserve(OPERATOR, batch.batch_id, 0, checked_users("a", password=PASSWORD))
    again = batches.reserve(
        OPERATOR, batch.batch_id, 0, checked_users("a", password="another password")
    )
    assert again.users == 1
    create(batches, "small", checked_users("b", password=PASSWORD))
    users = checked_users("b", password="another password")
    assert create(batches, "small", users, password="another password").replayed


@pytest.mark.parametrize("end", [True, False], ids=["published", "open"])
def test_the_beginning_of_a_batch_is_another_batch(
    control_plane: ControlPlane, batches: BatchService, end: bool
) -> None:
    batch = batches.open(JOE, "key", "fail")
    batches.reserve(OPERATOR, batch.batch_id, 0, checked_users("a", "b", "c"))
    batches.reserve(OPERATOR, batch.batch_id, 1, checked_users("d"))
    if end:
        batches.publish(JOE, batch.batch_id, 4)
    batches.reserve(OPERATOR, batch.batch_id, 0, checked_users("a", "b", "c"))
    with pytest.raises(KeyReused):
        batches.publish(JOE, batch.batch_id, 3)
    assert len(account_emails(control_plane)) == (4 if end else 0)


def test_a_published_batch_refuses_another_number_of_entries(batches: BatchService) -> None:
    batch = published(batches, "a", "b")
    for entries in (0, 1, 3):
        with pytest.raises(KeyReused, match=f"has 2 users, and not {entries}"):
            batches.publish(JOE, batch.batch_id, entries)


def test_a_published_batch_refuses_another_chunk(batches: BatchService) -> None:
    batch = published(batches, "a", "b", "c")
    with pytest.raises(KeyReused):
        batches.reserve(OPERATOR, batch.batch_id, 1, checked_users("d"))


def test_a_chunk_that_is_too_large_is_refused(batches: BatchService) -> None:
    batch = batches.open(JOE, "key", "fail")
    with pytest.raises(ValueError, match="at most 3 users"):
        batches.reserve(OPERATOR, batch.batch_id, 0, checked_users("a", "b", "c", "d"))


def test_a_small_create_does_not_end_a_large_batch_with_the_same_key(batches: BatchService) -> None:
    batch = batches.open(JOE, "key", "fail")
    batches.reserve(OPERATOR, batch.batch_id, 0, checked_users("a"))
    with pytest.raises(KeyReused, match=batch.batch_id):
        batches.create(JOE, "key", checked_users("a"), "fail")


# Nothing is published that is not whole


def test_a_batch_with_a_missing_chunk_is_not_published(
    control_plane: ControlPlane, batches: BatchService
) -> None:
    batch = batches.open(JOE, "key", "fail")
    batches.reserve(OPERATOR, batch.batch_id, 1, checked_users("d"))
    for entries in (1, 4):  # one entry, and a chunk is missing before it
        with pytest.raises(BatchUnfinished, match=f"1 of {entries} users.*chunks are") as caught:
            batches.publish(JOE, batch.batch_id, entries)
    assert caught.value.batch_id == batch.batch_id
    assert caught.value.status == 409  # a mistake of the caller is not an outage
    assert account_emails(control_plane) == []


def test_skipped_entries_count_as_entries_of_a_batch(batches: BatchService) -> None:
    published(batches, "a")
    batch = batches.open(JOE, "key", "skip")
    batches.reserve(OPERATOR, batch.batch_id, 0, checked_users("a", "b"))
    with pytest.raises(BatchUnfinished, match="has 2 of 3 users, and 0 whose"):
        batches.publish(JOE, batch.batch_id, 3)
    with pytest.raises(KeyReused, match="has 2 users, and not 1"):
        batches.publish(JOE, batch.batch_id, 1)
    done = batches.publish(JOE, batch.batch_id, 2)
    assert (done.users, done.skipped) == (1, 1)
    assert batches.publish(JOE, batch.batch_id, 2) == done
    for entries in (0, 1, 3):
        with pytest.raises(KeyReused, match="has 2 users"):
            batches.publish(JOE, batch.batch_id, entries)


def test_only_a_published_batch_counts_accounts_without_a_sign_in_method(
    batches: BatchService,
) -> None:
    batch = batches.open(JOE, "key", "fail")
    batches.reserve(OPERATOR, batch.batch_id, 0, checked_users("a", "b"))
    assert batches.show(JOE, batch.batch_id).without_credentials is None
    batches.publish(JOE, batch.batch_id, 2)
    shown = batches.show(JOE, batch.batch_id)
    assert (shown.without_credentials, shown.hashes_due) == (2, 0)


def test_a_batch_with_a_missing_hash_is_not_published(
    control_plane: ControlPlane, batches: BatchService
) -> None:
    batch = batches.open(JOE, "key", "fail")
    batches.reserve(OPERATOR, batch.batch_id, 0, checked_users("a", "b", password=PASSWORD))
    batches.hash(OPERATOR, batch.batch_id, [(1, PASSWORD)])
    assert batches.show(JOE, batch.batch_id).hashes_due == 1
    with pytest.raises(BatchUnfinished, match="1 passwords are not hashed yet"):
        batches.publish(JOE, batch.batch_id, 2)
    assert account_emails(control_plane) == []
    assert audit_entries(control_plane) == []


def test_a_batch_with_a_conflict_is_not_published(
    control_plane: ControlPlane, batches: BatchService
) -> None:
    published(batches, "a")
    batch = batches.open(JOE, "key", "fail")
    batches.reserve(OPERATOR, batch.batch_id, 0, checked_users("a", "b"))
    for entries in (1, 2):
        with pytest.raises(BatchUnfinished, match="1 whose emails are taken"):
            batches.publish(JOE, batch.batch_id, entries)
    assert account_emails(control_plane) == ["a@example.com"]


@pytest.mark.parametrize("end", ["published", "dropped"])
def test_a_dropped_or_expired_batch_refuses_every_change(
    control_plane: ControlPlane, batches: BatchService, hashed: list[str], end: str
) -> None:
    batch = batches.open(JOE, "key", "fail")
    batches.reserve(OPERATOR, batch.batch_id, 0, checked_users("a"))
    if end == "published":
        batches.publish(JOE, batch.batch_id, 1)
        late: list[Callable[[], object]] = [lambda: batches.drop(JOE, batch.batch_id)]
    else:
        batches.drop(JOE, batch.batch_id)
        late = [
            lambda: batches.reserve(OPERATOR, batch.batch_id, 1, checked_users("b")),
            lambda: batches.publish(JOE, batch.batch_id, 1),
        ]
    before = row_counts(control_plane)
    late += [
        lambda: batches.hash(OPERATOR, batch.batch_id, [(0, PASSWORD)]),
        lambda: batches.release(OPERATOR, batch.batch_id),
    ]

    for call in late:
        with pytest.raises(BatchGone, match=end):
            call()

    assert row_counts(control_plane) == before
    assert hashed == []


def test_a_late_cleanup_keeps_a_batch_that_was_published_meanwhile(
    control_plane: ControlPlane, batches: BatchService
) -> None:
    batch = batches.open(JOE, "key", "fail")
    batches.reserve(OPERATOR, batch.batch_id, 0, checked_users("a"))
    with control_plane.store.read() as tx:
        as_it_was = tx.batches.get(batch.batch_id)
    assert as_it_was
    batches.publish(JOE, batch.batch_id, 1)

    delete_rows(
        control_plane.transactions, as_it_was, POLICY.chunk_users, OPERATOR
    )  # the second half of a release that was overtaken

    assert account_emails(control_plane) == ["a@example.com"]


def test_an_unknown_batch_is_not_found(batches: BatchService) -> None:
    with pytest.raises(NotFound, match="there is no batch bat_none"):
        batches.conflicts("bat_none")
    with pytest.raises(NotFound):
        batches.reserve(OPERATOR, "bat_none", 0, checked_users("a"))
    for call_by in (batches.show, batches.drop, batches.release):
        with pytest.raises(NotFound, match="there is no batch bat_none"):
            call_by(JOE, "bat_none")
