"""On SQLite, where one transaction writes at a time, others wait for a part of a batch at most."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from tests.support.callers import OPERATOR, operator
from tests.support.databases.stored_data import execute_sql
from tests.support.users import checked_users
from tests.support.waiting import wait_until

from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.batches import cleanup
from anyscale.server.core.batches.cleanup import delete_rows
from anyscale.server.settings import Settings
from anyscale.server.store.sqlite.store import SqliteStore

JANE = operator("jane")


def test_a_write_goes_before_the_chunks_that_wait(tmp_path: Path) -> None:
    order = list[str]()

    def write() -> None:
        with control_plane.store.write():
            order.append("write")

    def reserve(number: int) -> None:
        batches.reserve(OPERATOR, batch.batch_id, number, checked_users(f"a{number}"))
        order.append("chunk")

    control_plane = ControlPlane(Settings(database=tmp_path / "anyscale.db"))
    with closing(control_plane), ThreadPoolExecutor(3) as pool:
        batches, store = control_plane.batches, control_plane.store
        assert isinstance(store, SqliteStore)
        line = store._writing._line
        batch = batches.open(JANE, "key", "fail")
        with store.write(is_slice=True):
            pool.submit(reserve, 0)
            pool.submit(reserve, 1)
            wait_until(lambda: len(line) == 3)
            pool.submit(write)
            wait_until(lambda: len(line) == 4)

    assert order == ["write", "chunk", "chunk"]


def test_a_write_waits_for_the_slice_of_one_undo_and_goes_before_another(tmp_path: Path) -> None:
    def count() -> int:
        with control_plane.store.write() as tx:
            return sum(tx.accounts.find(f"{name}@example.com") is not None for name in names)

    def undo(batch_id: str) -> None:
        batches.undo(JANE, batch_id, "", force=False, dry_run=False)

    names = ("ann", "joe")
    control_plane = ControlPlane(Settings(database=tmp_path / "anyscale.db"))
    with closing(control_plane), ThreadPoolExecutor(3) as pool:
        batches, store = control_plane.batches, control_plane.store
        assert isinstance(store, SqliteStore)
        line = store._writing._line
        created = [batches.create(JANE, one, checked_users(one), "fail").batch for one in names]
        with store.write():
            for batch in created:
                pool.submit(undo, batch.batch_id)
            wait_until(lambda: len(line) == 3)
            counting = pool.submit(count)
            wait_until(lambda: len(line) == 4)
        assert counting.result(30) == 1


@pytest.mark.parametrize(
    ("end", "left"), [("dropped", (3, 1)), ("expired", (3, 1)), ("open", (0, 0))]
)
def test_a_write_waits_for_a_slice_of_a_dropped_batch_and_for_a_chunk_of_an_open_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str, left: tuple[int, int]
) -> None:
    """Of an open batch, each chunk has all users that it counts; of others it stays until last."""
    monkeypatch.setattr(cleanup, "_SLICE", 2)
    control_plane = ControlPlane(Settings(database=tmp_path / "anyscale.db"))

    def count() -> tuple[int, int]:
        sql = "select (select count(*) from users), (select count(*) from chunks)"
        with store.write() as tx:
            (row,) = execute_sql(tx, sql).fetchall()
        return row[0], row[1]

    with closing(control_plane), ThreadPoolExecutor(2) as pool:
        store, chunk_users = control_plane.store, control_plane.batches.policy.chunk_users
        assert isinstance(store, SqliteStore)
        line = store._writing._line
        batch_id = control_plane.batches.open(JANE, "key", "fail").batch_id
        control_plane.batches.reserve(OPERATOR, batch_id, 0, checked_users(*"abcde"))
        with store.write() as tx:
            batch = tx.batches.lock(batch_id, exclusive=True)
            assert batch
            tx.batches.set_state(batch.id, end)
        with store.write():
            deleting = pool.submit(
                delete_rows, control_plane.transactions, batch, chunk_users, None
            )
            wait_until(lambda: len(line) == 2)
            counting = pool.submit(count)
            wait_until(lambda: len(line) == 3)
        assert counting.result(30) == left
        assert deleting.result(30)
        assert count() == (0, 0)
