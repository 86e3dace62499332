"""A chunk is reserved slice by slice: others write in between, and no row is lost or left."""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from pathlib import Path

import pytest
from tests.support.databases.stored_data import execute_sql
from tests.support.users import account_emails, checked_users
from tests.support.waiting import wait_until

from anyscale.errors import BatchGone, BatchUnfinished
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.authorization import Principal
from anyscale.server.core.batches import chunks
from anyscale.server.core.batches.chunks import NewChunk, reserve_in_slices
from anyscale.server.core.batches.service import BatchService
from anyscale.server.store.interface import Store, Transaction
from anyscale.server.store.sqlite.store import SqliteStore
from anyscale.user.models import Batch, ReservedChunk
from anyscale.user.validation import CheckedUser

JANE = Principal("local:jane")


@pytest.fixture(autouse=True)
def slices_of_one_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "SLICE", 1)
    monkeypatch.setattr(chunks, "_PAUSE", 0)


@pytest.fixture
def batches(plane: ControlPlane) -> BatchService:
    return plane.batches


@pytest.fixture
def batch(batches: BatchService) -> Batch:
    return batches.open("key", "fail", JANE)


class Interrupted(Exception):
    """The end of a server's process, between two transactions."""


class WatchedStore:
    """A store that calls a function before its second transaction that writes."""

    def __init__(self, store: Store, before_second: Callable[[], object]) -> None:
        self._store = store
        self._before_second = before_second
        self._writes = 0

    def write(self, **options: bool) -> AbstractContextManager[Transaction]:
        self._writes += 1
        if self._writes == 2:
            self._before_second()
        return self._store.write(**options)

    def call_again(self) -> None:
        """Count the transactions from now on, so that the function is called once more."""
        self._writes = 0


def reserve(
    plane: ControlPlane,
    batch: Batch,
    users: list[CheckedUser],
    before_second: Callable[[], object] = lambda: None,
) -> ReservedChunk:
    """Reserve the first chunk of a batch, and call a function between its first two slices."""
    with plane.store.read() as tx:
        record = tx.batches.get(batch.batch_id)
    assert record
    store: Store = WatchedStore(plane.store, before_second)  # type: ignore[assignment]  # all that is called
    return reserve_in_slices(store, NewChunk(record, 0, 0, users))


def interrupt() -> None:
    raise Interrupted


def reserve_half(plane: ControlPlane, batch: Batch) -> None:
    with pytest.raises(Interrupted):
        reserve(plane, batch, checked_users("a", "b", "c"), interrupt)


def count(plane: ControlPlane, table: str) -> int:
    with plane.store.read() as tx:
        return int(execute_sql(tx, f"select count(*) from {table}").fetchone()[0])


def test_another_write_waits_for_one_slice_although_two_chunks_are_reserved(tmp_path: Path) -> None:
    order = list[str]()

    def write(name: str, *, is_slice: bool) -> None:
        with store.write(is_slice=is_slice):
            order.append(name)

    def begin(name: str, *, is_slice: bool) -> threading.Thread:
        before = len(store._writing._line)
        thread = threading.Thread(target=write, args=[name], kwargs={"is_slice": is_slice})
        thread.start()
        wait_until(lambda: len(store._writing._line) > before)
        return thread

    with closing(SqliteStore(tmp_path / "anyscale.db")) as store:
        with store.write(is_slice=True):
            threads = [
                begin("slice", is_slice=True),
                begin("slice", is_slice=True),
                begin("sign-in", is_slice=False),
                begin("sign-in", is_slice=False),
            ]
        for thread in threads:
            thread.join()

    assert order == ["sign-in", "slice", "sign-in", "slice"]


def test_another_transaction_writes_between_two_slices_of_a_chunk(
    plane: ControlPlane, batch: Batch
) -> None:
    def write() -> None:
        with plane.store.write(patience=1):
            seen.append(count(plane, "users"))

    seen = list[int]()
    assert reserve(plane, batch, checked_users("a", "b", "c"), write).users == 3
    assert seen == [1]


def test_a_chunk_that_was_interrupted_between_two_slices_is_not_published(
    plane: ControlPlane, batches: BatchService, batch: Batch
) -> None:
    reserve_half(plane, batch)
    assert batches.show(batch.batch_id).users == 0
    for entries in (0, 1, 3):
        with pytest.raises(BatchUnfinished):
            batches.publish(batch.batch_id, entries, JANE)
    assert account_emails(plane) == []


def test_a_chunk_that_was_interrupted_is_reserved_by_the_next_equal_call(
    plane: ControlPlane, batches: BatchService, batch: Batch
) -> None:
    reserve_half(plane, batch)
    assert batches.claim(batch.batch_id, 0, checked_users("a", "b", "c")).users == 3
    assert batches.publish(batch.batch_id, 3, JANE).users == 3
    assert account_emails(plane) == ["a@example.com", "b@example.com", "c@example.com"]


@pytest.mark.parametrize("end", ["drop", "release"])
def test_nothing_is_left_of_an_interrupted_chunk_once_its_batch_is_dropped_or_released(
    plane: ControlPlane, batches: BatchService, batch: Batch, end: str
) -> None:
    reserve_half(plane, batch)
    assert count(plane, "users") == 1
    if end == "drop":
        batches.drop(batch.batch_id, JANE)
    else:
        batches.release(batch.batch_id)
    assert (count(plane, "users"), count(plane, "chunks")) == (0, 0)


def test_a_chunk_that_is_released_between_two_slices_is_reserved_from_its_beginning(
    plane: ControlPlane, batches: BatchService, batch: Batch
) -> None:
    def release() -> None:
        batches.release(batch.batch_id)

    assert reserve(plane, batch, checked_users("a", "b", "c"), release).users == 3
    assert batches.publish(batch.batch_id, 3, JANE).users == 3
    assert len(account_emails(plane)) == 3


def test_a_chunk_that_is_released_and_marked_by_others_is_reserved_from_its_beginning(
    plane: ControlPlane, batches: BatchService, batch: Batch
) -> None:
    def release_and_mark() -> None:
        batches.release(batch.batch_id)
        reserve_half(plane, batch)
        with plane.store.write() as tx:  # a row of the earlier slice that is not there any more
            execute_sql(tx, "delete from users")

    assert reserve(plane, batch, checked_users("a", "b", "c"), release_and_mark).users == 3
    batches.publish(batch.batch_id, 3, JANE)
    assert len(account_emails(plane)) == 3


def test_two_equal_calls_at_once_have_one_outcome(
    plane: ControlPlane, batches: BatchService, batch: Batch
) -> None:
    users = checked_users("a", "b", "c")
    both = list[ReservedChunk]()
    both.append(
        reserve(plane, batch, users, lambda: both.append(batches.claim(batch.batch_id, 0, users)))
    )
    assert both[0] == both[1]
    assert both[0].users == count(plane, "users") == 3


def test_a_call_waits_longer_each_time_that_others_have_begun_its_chunk(
    plane: ControlPlane, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds, pauses = 6, list[float]()
    monkeypatch.setattr(chunks, "_PAUSE", 1)
    monkeypatch.setattr(chunks, "_LONGEST_PAUSE", 8)
    monkeypatch.setattr("time.sleep", pauses.append)

    def begin_too() -> None:
        if len(pauses) < rounds:
            store.call_again()
            reserve_half(plane, batch)

    with plane.store.read() as tx:
        record = tx.batches.get(batch.batch_id)
    assert record
    store = WatchedStore(plane.store, begin_too)
    reserve_in_slices(store, NewChunk(record, 0, 0, checked_users("a", "b", "c")))  # type: ignore[arg-type]  # all that is called

    least = [1, 2, 4, 8, 8, 8]
    assert [
        min(max(pause, low), 2 * low) for pause, low in zip(pauses, least, strict=True)
    ] == pauses


def test_a_batch_that_is_dropped_between_two_slices_gets_no_more_users(
    plane: ControlPlane, batches: BatchService, batch: Batch
) -> None:
    def drop() -> None:
        batches.drop(batch.batch_id, JANE)

    with pytest.raises(BatchGone):
        reserve(plane, batch, checked_users("a", "b", "c"), drop)
    assert (count(plane, "users"), count(plane, "chunks")) == (0, 0)


def test_conflicts_of_every_slice_are_found_and_have_their_positions(
    batches: BatchService, batch: Batch
) -> None:
    earlier = batches.open("earlier", "fail", JANE)
    batches.claim(earlier.batch_id, 0, checked_users("b"))
    batches.publish(earlier.batch_id, 1, JANE)

    reserved = batches.claim(batch.batch_id, 0, checked_users("a", "b", "a"))

    assert (reserved.users, reserved.conflicts) == (1, 2)
    found = [(one.position, one.kind, one.other) for one in batches.conflicts(batch.batch_id)]
    assert found == [(1, "exists", None), (2, "duplicate", 0)]
