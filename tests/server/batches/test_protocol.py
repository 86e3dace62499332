"""The batch protocol: every call twice is every call once, and nobody is seen before the end."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from time import sleep

import pytest
from tests.support.databases.stored_data import execute_sql
from tests.support.servers.control_planes import Deployment
from tests.support.users import (
    PASSWORD,
    POLICY,
    account_emails,
    checked_user,
    checked_users,
    passwords_for,
)

from anyscale.audit_chain import entry_hash
from anyscale.errors import (
    BatchGone,
    BatchRefused,
    BatchUnfinished,
    FeatureUnavailable,
    KeyReused,
    NotFound,
)
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.authorization import Principal
from anyscale.server.core.batches.cleanup import delete_rows, expire_batch
from anyscale.server.core.batches.records import MAX_POSITION, position_of, user_id
from anyscale.server.core.batches.service import BatchService
from anyscale.server.core.hashing.pool import CHEAPEST, PasswordHashPool
from anyscale.server.store.records import AuditRecord
from anyscale.user.models import Batch, Created
from anyscale.user.validation import CheckedUser

JANE, JOE = Principal("local:jane"), Principal("local:joe")


@pytest.fixture
def plane(store_deployment: Deployment) -> Iterator[ControlPlane]:
    with closing(store_deployment.control_plane()) as plane:
        yield plane


@pytest.fixture
def batches(plane: ControlPlane) -> BatchService:
    return plane.batches


def published(batches: BatchService, *names: str, key: str = "earlier") -> Batch:
    """Create accounts by the large way."""
    batch = batches.open(key, "fail", JANE)
    for number, first in enumerate(range(0, len(names), 3)):
        batches.claim(batch.batch_id, number, checked_users(*names[first : first + 3]))
    return batches.publish(batch.batch_id, len(names), JANE)


def trail(plane: ControlPlane) -> list[AuditRecord]:
    with plane.store.read() as tx:
        return list(tx.audit.list(0, 1_000))


def row_counts(plane: ControlPlane) -> dict[str, int]:
    with plane.store.read() as tx:
        tables = ("batches", "chunks", "conflicts", "users", "audit")
        return {
            name: execute_sql(tx, f"select count(*) from {name}").fetchone()[0] for name in tables
        }


# Again is once


def test_a_second_open_returns_the_open_batch(batches: BatchService) -> None:
    first = batches.open("key", "fail", JOE)
    again = batches.open("key", "fail", Principal("local:ann"))
    assert (again.batch_id, again.opened_by, again.opened_at) == (
        first.batch_id,
        JOE.actor,
        first.opened_at,
    )
    found = batches.find("key")
    assert found
    assert found.batch_id == first.batch_id
    assert batches.find("other") is None


def test_a_second_claim_changes_nothing(plane: ControlPlane, batches: BatchService) -> None:
    batch = batches.open("key", "fail", JOE)
    first = batches.claim(batch.batch_id, 0, checked_users("a", "b"))
    before = row_counts(plane)

    assert batches.claim(batch.batch_id, 0, checked_users("a", "b")) == first
    assert row_counts(plane) == before
    assert (first.users, first.skipped, first.conflicts, first.holders) == (2, 0, 0, [])


def test_a_stored_hash_is_not_computed_again(plane: ControlPlane, batches: BatchService) -> None:
    batch = batches.open("key", "fail", JOE)
    batches.claim(batch.batch_id, 0, checked_users("a", "b", password=PASSWORD))

    assert batches.hash(batch.batch_id, [(0, PASSWORD)]) == 1
    assert batches.hash(batch.batch_id, [(0, "another password"), (1, PASSWORD)]) == 1
    assert batches.hash(batch.batch_id, [(0, PASSWORD), (1, PASSWORD)]) == 0

    assert plane.hashing.computed == 2
    with plane.store.read() as tx:
        hashes = execute_sql(tx, "select password_hash from users").fetchall()
    assert all(plane.hashing.verify(text, PASSWORD) for (text,) in hashes)


def test_a_second_publish_returns_the_same_result(
    plane: ControlPlane, batches: BatchService
) -> None:
    first = published(batches, "a", "b")
    again = batches.publish(first.batch_id, 2, Principal("local:ann"))
    assert again == first
    assert account_emails(plane) == ["a@example.com", "b@example.com"]
    assert len(trail(plane)) == 1


def test_a_published_batch_can_be_opened_and_compared_again(batches: BatchService) -> None:
    first = published(batches, "a", "b", "c", "d")
    assert batches.open("earlier", "fail", JOE).state == "published"
    assert batches.claim(first.batch_id, 1, checked_users("d")).users == 1


def test_a_second_drop_changes_nothing(plane: ControlPlane, batches: BatchService) -> None:
    batch = batches.open("key", "fail", JOE)
    batches.claim(batch.batch_id, 0, checked_users("a"))
    for _ in range(2):
        assert batches.drop(batch.batch_id, JOE).state == "dropped"
    assert row_counts(plane) == {"batches": 1, "chunks": 0, "conflicts": 0, "users": 0, "audit": 1}
    assert batches.open("key", "fail", JOE).batch_id != batch.batch_id


def create(
    batches: BatchService,
    key: str,
    users: Sequence[CheckedUser],
    if_exists: str = "fail",
    password: str = PASSWORD,
) -> Created:
    """Create a small batch; its users with a password have the same one."""
    return batches.create(key, users, if_exists, JOE, passwords_for(users, password))


def test_a_second_create_returns_the_same_result(
    plane: ControlPlane, batches: BatchService
) -> None:
    users = checked_users("b", "a", password=PASSWORD)
    passwords = passwords_for(users)
    first = batches.create("key", users, "fail", JOE, passwords)
    before, hashed = row_counts(plane), plane.hashing.computed
    again = batches.create("key", users, "fail", Principal("local:ann"), passwords)

    assert (first.replayed, again.replayed) == (False, True)
    assert (again.batch, again.users, again.skipped) == (first.batch, first.users, first.skipped)
    assert (row_counts(plane), plane.hashing.computed) == (before, hashed)


def test_a_second_release_keeps_the_batch_open_and_its_counts_correct(
    plane: ControlPlane, batches: BatchService
) -> None:
    published(batches, "b")
    batch = batches.open("key", "fail", JOE)
    batches.claim(batch.batch_id, 0, checked_users("a", "b"))
    for _ in range(2):
        batches.release(batch.batch_id)
        shown = batches.show(batch.batch_id)
        assert (shown.state, shown.users, shown.skipped) == ("open", 0, 0)
        assert batches.conflicts(batch.batch_id) == []
    assert batches.claim(batch.batch_id, 0, checked_users("a", "b")).conflicts == 1


# At the same time


def ending(batches: BatchService, batch_id: str, end: str) -> Callable[[], Batch]:
    """Return the call that publishes or drops a batch with two users."""
    if end == "publish":
        return lambda: batches.publish(batch_id, 2, JANE)
    return lambda: batches.drop(batch_id, JANE)


@pytest.mark.parametrize("end", ["publish", "drop"])
def test_the_end_of_a_batch_waits_for_a_claim_in_progress(
    plane: ControlPlane, batches: BatchService, end: str
) -> None:
    batch = batches.open("key", "fail", JOE)
    batches.claim(batch.batch_id, 0, checked_users("a", "b"))
    with ThreadPoolExecutor(1) as pool:
        with plane.store.write() as tx:
            tx.batches.lock(batch.batch_id, exclusive=False)
            ended = pool.submit(ending(batches, batch.batch_id, end))
            with pytest.raises(TimeoutError):
                ended.result(0.5)
        assert ended.result(20).state == ("published" if end == "publish" else "dropped")


@pytest.mark.parametrize("end", ["publish", "drop"])
def test_two_ends_of_a_batch_at_once_leave_one_audit_entry(
    plane: ControlPlane, batches: BatchService, end: str
) -> None:
    batch = batches.open("key", "fail", JOE)
    batches.claim(batch.batch_id, 0, checked_users("a", "b"))
    call = ending(batches, batch.batch_id, end)
    with ThreadPoolExecutor(2) as pool:
        with plane.store.write() as tx:
            tx.audit.lock()  # until both have got as far as they can
            ended = [pool.submit(call) for _ in range(2)]
            sleep(0.3)
        states = {one.result(20).state for one in ended}
    assert len(states) == 1
    assert [row.event for row in trail(plane)] == [f"batch.{states.pop()}"]


# Other content


OTHERS: dict[str, list[tuple[str, str | None]]] = {
    "another email": [("a", None), ("x", PASSWORD)],
    "another order": [("b", PASSWORD), ("a", None)],
    "one more": [("a", None), ("b", PASSWORD), ("c", None)],
    "one less": [("a", None)],
    "a password less": [("a", None), ("b", None)],
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_a_claimed_chunk_refuses_other_content(
    batches: BatchService, other: list[tuple[str, str | None]]
) -> None:
    batch = batches.open("key", "fail", JOE)
    own = [checked_user("a@example.com"), checked_user("b@example.com", PASSWORD)]
    batches.claim(batch.batch_id, 0, own)
    with pytest.raises(KeyReused, match="other users in chunk 0"):
        batches.claim(
            batch.batch_id, 0, [checked_user(f"{name}@example.com", text) for name, text in other]
        )


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_the_key_of_a_small_batch_refuses_other_content(
    plane: ControlPlane, batches: BatchService, other: list[tuple[str, str | None]]
) -> None:
    own = [checked_user("a@example.com"), checked_user("b@example.com", PASSWORD)]
    create(batches, "key", own)
    with pytest.raises(KeyReused):
        create(batches, "key", [checked_user(f"{name}@example.com", text) for name, text in other])
    assert account_emails(plane) == ["a@example.com", "b@example.com"]


def test_a_key_refuses_another_if_exists(batches: BatchService) -> None:
    batches.open("large", "fail", JOE)
    with pytest.raises(KeyReused, match="if_exists=fail"):
        batches.open("large", "skip", JOE)
    batches.create("small", checked_users("a"), "fail", JOE)
    with pytest.raises(KeyReused):
        batches.create("small", checked_users("a"), "skip", JOE)


def test_the_digest_does_not_cover_the_password(batches: BatchService) -> None:
    batch = batches.open("key", "fail", JOE)
    batches.claim(batch.batch_id, 0, checked_users("a", password=PASSWORD))
    again = batches.claim(batch.batch_id, 0, checked_users("a", password="another password"))
    assert again.users == 1
    create(batches, "small", checked_users("b", password=PASSWORD))
    users = checked_users("b", password="another password")
    assert create(batches, "small", users, password="another password").replayed


@pytest.mark.parametrize("end", [True, False], ids=["published", "open"])
def test_the_beginning_of_a_batch_is_another_batch(
    plane: ControlPlane, batches: BatchService, end: bool
) -> None:
    batch = batches.open("key", "fail", JOE)
    batches.claim(batch.batch_id, 0, checked_users("a", "b", "c"))
    batches.claim(batch.batch_id, 1, checked_users("d"))
    if end:
        batches.publish(batch.batch_id, 4, JOE)
    batches.claim(batch.batch_id, 0, checked_users("a", "b", "c"))
    with pytest.raises(KeyReused):
        batches.publish(batch.batch_id, 3, JOE)
    assert len(account_emails(plane)) == (4 if end else 0)


def test_a_published_batch_refuses_another_number_of_entries(batches: BatchService) -> None:
    batch = published(batches, "a", "b")
    for entries in (0, 1, 3):
        with pytest.raises(KeyReused, match=f"has 2 users, and not {entries}"):
            batches.publish(batch.batch_id, entries, JOE)


def test_a_published_batch_refuses_another_chunk(batches: BatchService) -> None:
    batch = published(batches, "a", "b", "c")
    with pytest.raises(KeyReused):
        batches.claim(batch.batch_id, 1, checked_users("d"))


def test_a_chunk_that_is_too_large_is_refused(batches: BatchService) -> None:
    batch = batches.open("key", "fail", JOE)
    with pytest.raises(ValueError, match="at most 3 users"):
        batches.claim(batch.batch_id, 0, checked_users("a", "b", "c", "d"))


def test_a_small_create_does_not_end_a_large_batch_with_the_same_key(batches: BatchService) -> None:
    batch = batches.open("key", "fail", JOE)
    batches.claim(batch.batch_id, 0, checked_users("a"))
    with pytest.raises(KeyReused, match=batch.batch_id):
        batches.create("key", checked_users("a"), "fail", JOE)


# Nothing is published that is not whole


def test_a_batch_with_a_missing_chunk_is_not_published(
    plane: ControlPlane, batches: BatchService
) -> None:
    batch = batches.open("key", "fail", JOE)
    batches.claim(batch.batch_id, 1, checked_users("d"))
    for entries in (1, 4):  # one entry, and a chunk is missing before it
        with pytest.raises(BatchUnfinished, match=f"1 of {entries} users.*chunks are") as caught:
            batches.publish(batch.batch_id, entries, JOE)
    assert caught.value.batch_id == batch.batch_id
    assert account_emails(plane) == []


def test_skipped_entries_count_as_entries_of_a_batch(batches: BatchService) -> None:
    published(batches, "a")
    batch = batches.open("key", "skip", JOE)
    batches.claim(batch.batch_id, 0, checked_users("a", "b"))
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
    batches.claim(batch.batch_id, 0, checked_users("a", "b"))
    assert batches.show(batch.batch_id).without_way_in is None
    batches.publish(batch.batch_id, 2, JOE)
    assert batches.show(batch.batch_id).without_way_in == 2


def test_a_batch_with_a_missing_hash_is_not_published(
    plane: ControlPlane, batches: BatchService
) -> None:
    batch = batches.open("key", "fail", JOE)
    batches.claim(batch.batch_id, 0, checked_users("a", "b", password=PASSWORD))
    batches.hash(batch.batch_id, [(1, PASSWORD)])
    assert batches.show(batch.batch_id).hashes_due == 1
    with pytest.raises(BatchUnfinished, match="1 passwords are not hashed yet"):
        batches.publish(batch.batch_id, 2, JOE)
    assert account_emails(plane) == []
    assert trail(plane) == []


def test_a_batch_with_a_conflict_is_not_published(
    plane: ControlPlane, batches: BatchService
) -> None:
    published(batches, "a")
    batch = batches.open("key", "fail", JOE)
    batches.claim(batch.batch_id, 0, checked_users("a", "b"))
    for entries in (1, 2):
        with pytest.raises(BatchUnfinished, match="1 whose emails are taken"):
            batches.publish(batch.batch_id, entries, JOE)
    assert account_emails(plane) == ["a@example.com"]


@pytest.mark.parametrize("end", ["published", "dropped"])
def test_an_ended_batch_refuses_every_change(
    plane: ControlPlane, batches: BatchService, end: str
) -> None:
    batch = batches.open("key", "fail", JOE)
    batches.claim(batch.batch_id, 0, checked_users("a"))
    if end == "published":
        batches.publish(batch.batch_id, 1, JOE)
        late: list[Callable[[], object]] = [lambda: batches.drop(batch.batch_id, JOE)]
    else:
        batches.drop(batch.batch_id, JOE)
        late = [
            lambda: batches.claim(batch.batch_id, 1, checked_users("b")),
            lambda: batches.publish(batch.batch_id, 1, JOE),
        ]
    before = row_counts(plane)
    late += [
        lambda: batches.hash(batch.batch_id, [(0, PASSWORD)]),
        lambda: batches.release(batch.batch_id),
    ]

    for call in late:
        with pytest.raises(BatchGone, match=end):
            call()

    assert row_counts(plane) == before
    assert plane.hashing.computed == 0


def test_a_late_cleanup_keeps_a_batch_that_was_published_meanwhile(
    plane: ControlPlane, batches: BatchService
) -> None:
    batch = batches.open("key", "fail", JOE)
    batches.claim(batch.batch_id, 0, checked_users("a"))
    with plane.store.read() as tx:
        as_it_was = tx.batches.get(batch.batch_id)
    assert as_it_was
    batches.publish(batch.batch_id, 1, JOE)

    delete_rows(
        plane.store, as_it_was, POLICY.chunk_users
    )  # the second half of a release that was overtaken

    assert account_emails(plane) == ["a@example.com"]


def test_an_unknown_batch_is_not_found(batches: BatchService) -> None:
    for call in (batches.show, batches.conflicts, batches.release):
        with pytest.raises(NotFound, match="there is no batch bat_none"):
            call("bat_none")
    with pytest.raises(NotFound):
        batches.claim("bat_none", 0, checked_users("a"))
    with pytest.raises(NotFound):
        batches.drop("bat_none", JOE)


# Passwords


def test_no_hash_is_computed_for_an_existing_email(
    plane: ControlPlane, batches: BatchService
) -> None:
    published(batches, "a")
    batch = batches.open("key", "skip", JOE)
    users = [*checked_users("a", "b", password=PASSWORD), checked_user("c@example.com", "")]
    batches.claim(batch.batch_id, 0, users)
    assert batches.hash(batch.batch_id, [(0, PASSWORD), (1, PASSWORD)]) == 1
    assert batches.publish(batch.batch_id, 3, JOE).users == 2
    assert plane.hashing.computed == 1


def test_a_small_batch_computes_no_hash_for_an_existing_email(
    plane: ControlPlane, batches: BatchService
) -> None:
    published(batches, "a")
    with pytest.raises(BatchRefused):
        create(batches, "fail", checked_users("a", "b", password=PASSWORD))
    assert plane.hashing.computed == 0
    create(batches, "skip", checked_users("a", "b", password=PASSWORD), "skip")
    assert plane.hashing.computed == 1


class Interrupted(PasswordHashPool):
    """Hashes, but lets something happen first."""

    def __init__(self, happens: Callable[[], object]) -> None:
        super().__init__(CHEAPEST)
        self._happens = [happens]

    def hash_many(self, passwords: Sequence[str]) -> list[str]:
        while self._happens:
            self._happens.pop()()
        return super().hash_many(passwords)


def test_an_email_that_is_freed_while_a_small_batch_hashes_gets_a_hash(
    plane: ControlPlane, batches: BatchService
) -> None:
    holder = batches.open("holder", "fail", JOE)
    batches.claim(holder.batch_id, 0, checked_users("a"))
    with closing(Interrupted(lambda: batches.drop(holder.batch_id, JOE))) as hashing:
        other = BatchService(plane.store, hashing, POLICY, available=True, expiry_days=7)
        created = create(other, "key", checked_users("a", "b", password=PASSWORD))
        assert hashing.computed == 2
    assert created.batch.users == 2
    with plane.store.read() as tx:
        hashes = execute_sql(tx, "select password_hash from users").fetchall()
    assert all(plane.hashing.verify(text, PASSWORD) for (text,) in hashes)


def test_an_email_that_is_taken_while_a_small_batch_hashes_is_reported(
    plane: ControlPlane, batches: BatchService
) -> None:
    with closing(Interrupted(lambda: published(batches, "a"))) as hashing:
        other = BatchService(plane.store, hashing, POLICY, available=True, expiry_days=7)
        with pytest.raises(BatchRefused, match="has an account already"):
            create(other, "key", checked_users("a", "b", password=PASSWORD))
    assert account_emails(plane) == ["a@example.com"]
    assert row_counts(plane)["batches"] == 1


def test_a_batch_that_is_dropped_while_it_is_hashed_stores_nothing(
    plane: ControlPlane, batches: BatchService
) -> None:
    batch = batches.open("key", "fail", JOE)
    batches.claim(batch.batch_id, 0, checked_users("a", password=PASSWORD))
    with closing(Interrupted(lambda: batches.drop(batch.batch_id, JOE))) as hashing:
        other = BatchService(plane.store, hashing, POLICY, available=True, expiry_days=7)
        with pytest.raises(BatchGone, match="dropped"):
            other.hash(batch.batch_id, [(0, PASSWORD)])
    assert row_counts(plane)["users"] == 0


def test_the_policy_is_enforced_on_hashing(plane: ControlPlane, batches: BatchService) -> None:
    batch = batches.open("key", "fail", JOE)
    users = checked_users("a", "b", "c", password=PASSWORD)
    batches.claim(batch.batch_id, 0, users)
    with pytest.raises(BatchRefused) as caught:
        batches.hash(batch.batch_id, [(0, "short"), (1, PASSWORD), (2, "jane, of all names")])
    found = [(problem.index, problem.field, problem.code) for problem in caught.value.problems]
    assert found == [
        (0, "password", "password_too_short"),
        (2, "password", "password_personal"),
    ]
    assert "short'" not in str(caught.value)
    assert plane.hashing.computed == 0


# What is told


def test_all_users_of_a_batch_have_the_time_of_its_publishing(batches: BatchService) -> None:
    batch = published(batches, "d", "a", "c", "b")
    users = batches.created(batch.batch_id, "", 10)
    assert {user.created_at for user in users} == {batch.published_at}
    assert batch.published_at
    assert abs(datetime.now(UTC) - batch.published_at) < timedelta(minutes=1)
    assert batch.opened_at <= batch.published_at


def test_ids_are_unique_and_sort_in_the_order_of_the_input(
    plane: ControlPlane, batches: BatchService
) -> None:
    first = published(batches, "d", "a", "c", "b")
    second = batches.create("small", checked_users("z", "y"), "fail", JOE)
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
    plane: ControlPlane, batches: BatchService, small: bool
) -> None:
    published(batches, "b", "d")
    names = ("a", "b", "c", "d", "e")
    if small:
        created = batches.create("key", checked_users(*names), "skip", JOE)
        batch, skipped = created.batch, created.skipped
    else:
        batch = batches.open("key", "skip", JOE)
        batches.claim(batch.batch_id, 0, checked_users(*names[:3]))
        batches.claim(batch.batch_id, 1, checked_users(*names[3:]))
        batch = batches.publish(batch.batch_id, 5, JOE)
        skipped = batches.conflicts(batch.batch_id)
    assert (batch.users, batch.skipped) == (3, 2)
    assert [(c.position, c.email, c.kind) for c in skipped] == [
        (1, "b@example.com", "exists"),
        (3, "d@example.com", "exists"),
    ]
    assert [user.email[0] for user in batches.created(batch.batch_id, "", 9)] == ["a", "c", "e"]


@pytest.mark.parametrize("if_exists", ["fail", "skip"])
def test_existing_claimed_and_duplicate_emails_have_different_codes(
    batches: BatchService, if_exists: str
) -> None:
    published(batches, "a")
    holder = batches.open("holder", "fail", Principal("local:ann"))
    batches.claim(holder.batch_id, 0, checked_users("b"))

    batch = batches.open("key", if_exists, JOE)
    batches.claim(batch.batch_id, 0, checked_users("a", "b", "c"))
    claimed = batches.claim(batch.batch_id, 1, checked_users("d", "d", "c"))

    assert claimed.conflicts == 2
    found = batches.conflicts(batch.batch_id)
    assert [(c.position, c.kind, c.other, c.holder) for c in found] == [
        (0, "exists", None, None),
        (1, "held", None, holder.batch_id),
        (4, "duplicate", 3, None),
        (5, "duplicate", 2, None),
    ]
    assert (found[1].held_by, found[1].held_since) == ("local:ann", holder.opened_at)


def test_a_small_batch_does_not_skip_claimed_emails(
    plane: ControlPlane, batches: BatchService
) -> None:
    holder = batches.open("holder", "fail", Principal("local:ann"))
    batches.claim(holder.batch_id, 0, checked_users("b"))
    with pytest.raises(BatchRefused) as caught:
        create(batches, "key", checked_users("a", "b", password=PASSWORD), "skip")
    (problem,) = caught.value.problems
    assert (problem.index, problem.code) == (1, "email_held")
    assert holder.batch_id in problem.detail
    assert "local:ann" in problem.detail
    assert f"{holder.opened_at:%Y-%m-%d %H:%M:%S} UTC" in problem.detail
    assert row_counts(plane)["batches"] == 1
    assert plane.hashing.computed == 0


def test_a_second_claim_updates_the_conflicts_of_its_chunk(
    batches: BatchService,
) -> None:
    holder = batches.open("holder", "fail", Principal("local:ann"))
    batches.claim(holder.batch_id, 0, checked_users("a"))
    batch = batches.open("key", "fail", JOE)
    assert batches.claim(batch.batch_id, 0, checked_users("a", "b")).holders == [holder.batch_id]
    batches.drop(holder.batch_id, Principal("local:ann"))

    assert batches.claim(batch.batch_id, 0, checked_users("a", "b")).conflicts == 0
    assert batches.conflicts(batch.batch_id) == []
    assert batches.publish(batch.batch_id, 2, JOE).users == 2


def test_a_look_up_writes_nothing(plane: ControlPlane, batches: BatchService) -> None:
    published(batches, "b")
    before = row_counts(plane)
    (found,) = batches.look_up(checked_users("a", "b"), 7)
    assert (found.position, found.kind) == (8, "exists")
    assert row_counts(plane) == before


# Expiry


def make_idle(plane: ControlPlane, batch: Batch, days: float) -> None:
    with plane.store.write() as tx:
        execute_sql(
            tx,
            "update batches set touched_at = touched_at - ? where batch_id = ?",
            (int(days * 86_400_000), batch.batch_id),
        )


def test_only_idle_batches_expire(plane: ControlPlane, batches: BatchService) -> None:
    idle, fresh = (batches.open(key, "fail", JOE) for key in ("idle", "fresh"))
    batches.claim(idle.batch_id, 0, checked_users("a"))
    batches.claim(fresh.batch_id, 0, checked_users("b"))
    done = published(batches, "c")
    make_idle(plane, idle, 7.01)
    make_idle(plane, fresh, 6.99)
    make_idle(plane, done, 70)

    for _ in range(2):
        batches.expire()

    states = [batches.show(batch.batch_id).state for batch in (idle, fresh, done)]
    assert states == ["expired", "open", "published"]
    assert [(row.event, row.actor) for row in trail(plane)][1:] == [("batch.expired", "system")]
    assert row_counts(plane)["users"] == 2
    with pytest.raises(BatchGone, match="expired"):
        batches.claim(idle.batch_id, 0, checked_users("a"))


@pytest.mark.parametrize("call", ["open", "claim", "hash", "release"])
def test_every_call_on_a_batch_delays_its_expiry(
    plane: ControlPlane, batches: BatchService, call: str
) -> None:
    batch = batches.open("key", "fail", JOE)
    batches.claim(batch.batch_id, 0, checked_users("a", password=PASSWORD))
    make_idle(plane, batch, 8)
    calls: dict[str, Callable[[], object]] = {
        "open": lambda: batches.open("key", "fail", JOE),
        "claim": lambda: batches.claim(batch.batch_id, 1, checked_users("b")),
        "hash": lambda: batches.hash(batch.batch_id, [(0, PASSWORD)]),
        "release": lambda: batches.release(batch.batch_id),
    }
    calls[call]()
    batches.expire()
    assert batches.show(batch.batch_id).state == "open"


def test_a_second_claim_delays_the_expiry(plane: ControlPlane, batches: BatchService) -> None:
    batch = batches.open("key", "fail", JOE)
    batches.claim(batch.batch_id, 0, checked_users("a"))
    make_idle(plane, batch, 8)
    batches.claim(batch.batch_id, 0, checked_users("a"))
    batches.expire()
    assert batches.show(batch.batch_id).state == "open"


def test_a_batch_that_is_resumed_during_its_expiry_stays(
    plane: ControlPlane, batches: BatchService
) -> None:
    batch = batches.open("key", "fail", JOE)
    make_idle(plane, batch, 8)
    with plane.store.read() as tx:
        idle = tx.batches.get(batch.batch_id)
    assert idle
    batches.claim(batch.batch_id, 0, checked_users("a"))

    assert not expire_batch(plane.store, idle)  # the second half of an expiry that was overtaken

    assert batches.publish(batch.batch_id, 1, JOE).users == 1


def test_an_interrupted_drop_is_finished(plane: ControlPlane, batches: BatchService) -> None:
    batch = batches.open("key", "fail", JOE)
    for number, name in enumerate("abc"):
        batches.claim(batch.batch_id, number, checked_users(name))
    with plane.store.write() as tx:
        found = tx.batches.get(batch.batch_id)
        assert found
        tx.batches.set_state(found.id, "dropped")

    batches.expire()

    assert row_counts(plane) == {"batches": 1, "chunks": 0, "conflicts": 0, "users": 0, "audit": 0}


# The trail


def test_the_audit_log_is_chained_and_has_ids_only(
    plane: ControlPlane, batches: BatchService
) -> None:
    done = published(batches, "a", "b", "c", "d")
    create(batches, "small", checked_users("e", password=PASSWORD))
    dropped = batches.open("dropped", "fail", Principal("local:ann"))
    batches.drop(dropped.batch_id, JOE)
    idle = batches.open("idle", "fail", JOE)
    make_idle(plane, idle, 8)
    batches.expire()

    rows = trail(plane)

    assert [(row.event, row.actor) for row in rows] == [
        ("batch.published", "local:jane"),
        ("batch.published", JOE.actor),
        ("batch.dropped", JOE.actor),
        ("batch.expired", "system"),
    ]
    assert [rows[at].subject for at in (0, 2, 3)] == [
        done.batch_id,
        dropped.batch_id,
        idle.batch_id,
    ]
    assert '"users":4' in rows[0].data
    assert '"opened_by":"local:ann"' in rows[2].data
    previous = bytes(32)
    for row in rows:
        assert row.hash == entry_hash(previous, row)
        previous = row.hash
    told = "".join(row.data + row.subject + row.actor for row in rows)
    assert "@" not in told
    assert PASSWORD not in told


def test_no_password_is_in_the_database(
    store_deployment: Deployment, batches: BatchService
) -> None:
    batch = batches.open("key", "fail", JOE)
    batches.claim(batch.batch_id, 0, checked_users("a", password=PASSWORD))
    batches.hash(batch.batch_id, [(0, PASSWORD)])
    create(batches, "small", checked_users("b", password=PASSWORD))
    assert "battery" in PASSWORD
    assert "battery" not in str(store_deployment.snapshot())


# Ids


def test_an_id_ends_with_the_position_as_eight_digits() -> None:
    for position, digits in ((0, "00000000"), (31, "0000001f"), (MAX_POSITION, "ffffffff")):
        name = user_id("bat_01a2", position)
        assert name == f"usr_01a2{digits}"
        assert position_of(name) == position


# Switched off


def test_every_creating_call_is_refused_if_the_feature_is_off(
    store_deployment: Deployment, plane: ControlPlane, batches: BatchService
) -> None:
    batch = batches.open("key", "fail", JOE)
    with closing(store_deployment.control_plane(available=False)) as off:
        calls: list[Callable[[], object]] = [
            lambda: off.batches.create("small", checked_users("a"), "fail", JOE),
            off.batches.available_policy,  # which a dry run asks for first
            lambda: off.batches.open("other", "fail", JOE),
            lambda: off.batches.claim(batch.batch_id, 0, checked_users("a")),
            lambda: off.batches.hash(batch.batch_id, [(0, PASSWORD)]),
            lambda: off.batches.publish(batch.batch_id, 0, JOE),
        ]
        for call in calls:
            with pytest.raises(FeatureUnavailable, match="customer-hosted clouds"):
                call()
        assert row_counts(plane)["users"] == 0
        # Reading and clearing up go on.
        assert off.batches.look_up(checked_users("a"), 0) == []
        assert off.batches.show(batch.batch_id).state == "open"
        assert off.batches.drop(batch.batch_id, JOE).state == "dropped"
