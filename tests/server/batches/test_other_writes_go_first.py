"""On SQLite, where one transaction writes at a time, others wait for one chunk at most."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

from tests.support.users import checked_users
from tests.support.waiting import wait_until

from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.authorization import Principal
from anyscale.server.settings import Settings
from anyscale.server.store.sqlite.store import SqliteStore

JANE = Principal("local:jane")


def test_a_write_goes_before_the_chunks_that_wait(tmp_path: Path) -> None:
    order = list[str]()

    def write() -> None:
        with plane.store.write():
            order.append("write")

    def claim(number: int) -> None:
        batches.claim(batch.batch_id, number, checked_users(f"a{number}"))
        order.append("chunk")

    plane = ControlPlane(Settings(database=tmp_path / "anyscale.db"))
    with closing(plane), ThreadPoolExecutor(3) as pool:
        batches, store = plane.batches, plane.store
        assert isinstance(store, SqliteStore)
        line = store._writing._line
        batch = batches.open("key", "fail", JANE)
        with store.write(is_slice=True):
            pool.submit(claim, 0)
            pool.submit(claim, 1)
            wait_until(lambda: len(line) == 3)
            pool.submit(write)
            wait_until(lambda: len(line) == 4)

    assert order == ["write", "chunk", "chunk"]
