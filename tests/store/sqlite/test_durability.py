"""What was committed survives, and writers wait for each other and for the disk."""

import signal
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from tests.store.contract.steps import batch_row
from tests.store.sqlite.steps import add_batch, count_batches
from tests.support.databases.stored_data import execute_sql
from tests.support.waiting import wait_until

from anyscale.errors import StoreUnavailable
from anyscale.server.store.records.audit import AuditRecord
from anyscale.server.store.sqlite import migrate as sqlite_migrate
from anyscale.server.store.sqlite import store as sqlite_store
from anyscale.server.store.sqlite.store import SqliteStore
from anyscale.server.store.transaction import Transaction

# What survives


def test_every_connection_writes_ahead_and_to_the_disk(path: Path) -> None:
    with closing(SqliteStore(path)) as store, store.write() as writing, store.read() as reading:
        for tx in (writing, reading):
            assert execute_sql(tx, "pragma journal_mode").fetchone() == ("wal",)
            assert execute_sql(tx, "pragma synchronous").fetchone() == (2,)


def test_the_next_process_reads_all_committed_data(path: Path) -> None:
    with closing(SqliteStore(path)) as store:
        add_batch(store, 1)

    with closing(SqliteStore(path)) as store:
        assert count_batches(store) == 1


def test_a_process_that_is_killed_in_a_transaction_leaves_nothing_of_it(path: Path) -> None:
    SqliteStore(path).close()
    code = (
        "import os, sys; from pathlib import Path\n"
        "from anyscale.server.store.sqlite.store import SqliteStore\n"
        "from tests.store.contract.steps import batch_row\n"
        "store = SqliteStore(Path(sys.argv[1]))\n"
        "with store.write() as tx: tx.batches.add(batch_row(1))\n"
        "with store.write() as tx: tx.batches.add(batch_row(2)); os.kill(os.getpid(), 9)\n"
    )

    killed = subprocess.run([sys.executable, "-c", code, str(path)], check=False)

    assert killed.returncode == -9
    with closing(SqliteStore(path)) as store:
        assert count_batches(store) == 1


def test_a_reader_does_not_wait_for_a_writer(path: Path) -> None:
    with closing(SqliteStore(path)) as one, closing(SqliteStore(path)) as other, one.write() as tx:
        tx.batches.add(batch_row(1))
        assert count_batches(one) == 0
        assert count_batches(other) == 0


def test_a_connection_that_is_being_closed_is_not_used(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite crashes the process when a connection is closed that a thread is using."""
    late: list[str] = []

    class ReadBeforeClosing(sqlite3.Connection):
        def close(self) -> None:
            try:
                with store.read() as tx:
                    super().close()
                    tx.batches.list(open_only=False, before="", limit=1)
            except StoreUnavailable as error:
                late.append(str(error))
                super().close()

    connect = partial(sqlite3.connect, factory=ReadBeforeClosing)
    monkeypatch.setattr(sqlite3, "connect", connect)
    store = SqliteStore(path)
    assert count_batches(store) == 0  # of the two connections one reads
    store.close()
    assert late == [f"{path} is closed"] * 2


def test_a_reader_closes_its_connection_when_its_store_was_closed_meanwhile(path: Path) -> None:
    store = SqliteStore(path)
    add_batch(store, 1)
    with store.read():
        store.close()
        assert len(list(path.parent.iterdir())) == 3
    assert [file.name for file in path.parent.iterdir()] == ["anyscale.db"]


def test_a_transaction_that_writes_ends_before_its_store_is_closed(path: Path) -> None:
    with closing(SqliteStore(path)) as store, ThreadPoolExecutor(1) as pool:
        with store.write() as tx:
            end = pool.submit(store.close)
            with pytest.raises(TimeoutError):
                end.result(timeout=0.1)
            tx.batches.add(batch_row(1))
        end.result(timeout=30)
    with closing(SqliteStore(path)) as store:
        assert count_batches(store) == 1


def test_the_error_says_that_another_process_writes_and_nothing_has_begun(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anyscale.server.store.sqlite.store.BUSY_SECONDS", 0.05)
    with closing(SqliteStore(path)) as one, closing(SqliteStore(path)) as other:
        with one.write(), pytest.raises(StoreUnavailable, match="has been writing") as caught:
            add_batch(other, 1)
        assert not caught.value.outcome_unknown
        add_batch(other, 1)


def test_only_the_connection_that_writes_has_a_large_cache_and_it_has_it_to_migrate(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    caches: list[int] = []

    def migrate(connection: sqlite3.Connection) -> None:
        caches.extend(connection.execute("pragma cache_size").fetchone())
        sqlite_migrate.migrate(connection)

    monkeypatch.setattr(sqlite_store, "migrate", migrate)
    with closing(SqliteStore(path)) as store:
        for transaction in (store.write(), store.read()):
            with transaction as tx:
                caches += execute_sql(tx, "pragma cache_size").fetchone()
    assert caches == [-24576, -24576, -2000]  # KiB


@pytest.mark.parametrize("page_size", [4_096, 16_384])
def test_the_log_is_copied_after_as_many_bytes_whatever_the_size_of_the_pages(
    path: Path, page_size: int
) -> None:
    path.parent.mkdir(mode=0o700)
    with closing(sqlite3.connect(path)) as earlier:
        earlier.execute(f"pragma page_size = {page_size}")
        earlier.execute("pragma application_id = 0x6D757374")  # it writes the first page
    path.chmod(0o600)
    with closing(SqliteStore(path)) as store:
        for durable in (True, False, True):
            with store.write(durable=durable) as tx:
                (pages,) = execute_sql(tx, "pragma wal_autocheckpoint").fetchone()
                assert execute_sql(tx, "pragma page_size").fetchone() == (page_size,)
                assert pages * page_size == (96 << 20) * durable


def test_a_new_file_has_pages_of_16_kib(path: Path) -> None:
    with closing(SqliteStore(path)) as store, store.read() as tx:
        assert execute_sql(tx, "pragma page_size").fetchone() == (16_384,)


def test_a_write_waits_for_another_process_no_longer_than_it_wants(path: Path) -> None:
    with closing(SqliteStore(path)) as one, closing(SqliteStore(path)) as other:
        started = time.monotonic()
        with one.write(), pytest.raises(StoreUnavailable, match="has been writing"):
            other.write(patience=0.05).__enter__()
        assert time.monotonic() - started < 20


def test_a_store_that_waits_for_another_process_can_be_closed(path: Path) -> None:
    with closing(SqliteStore(path)) as one, ThreadPoolExecutor(1) as pool:
        other = SqliteStore(path)
        with one.write():
            waiting = pool.submit(add_batch, other, 1)
            wait_until(other._writing.locked)
            started = time.monotonic()
            other.close()

            assert time.monotonic() - started < 10
            with pytest.raises(StoreUnavailable, match="has been writing"):
                waiting.result()


WAITING = """
import sys, threading, time
from pathlib import Path
from anyscale.server.store.sqlite.store import SqliteStore

def say_when_it_waits():
    while not store._writing.locked():
        time.sleep(0.01)
    print("waiting", flush=True)

store = SqliteStore(Path(sys.argv[1]))
threading.Thread(target=say_when_it_waits, daemon=True).start()
with store.write():
    pass
"""


def test_ctrl_c_is_noticed_while_another_process_writes(path: Path) -> None:
    command = [sys.executable, "-c", WAITING, str(path)]
    with (
        closing(SqliteStore(path)) as store,
        store.write(),
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process,
    ):
        assert process.stdout
        assert process.stdout.readline() == b"waiting\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == -signal.SIGINT


def test_the_error_of_a_failed_statement_says_that_the_transaction_had_begun(path: Path) -> None:
    with closing(SqliteStore(path)) as store:
        entry = AuditRecord(1, 1, "a", "e", "s", "{}", b"")
        with store.write() as tx:
            tx.batches.add(batch_row(1))
            tx.audit.add(entry)
        with pytest.raises(StoreUnavailable) as caught, store.write() as tx:
            tx.audit.add(entry)
        assert caught.value.outcome_unknown
        assert count_batches(store) == 1


# Transactions that are not durable


def test_only_a_transaction_that_is_not_durable_does_not_wait_for_the_disk(path: Path) -> None:
    def level(tx: Transaction) -> object:
        return execute_sql(tx, "pragma synchronous").fetchone()[0]

    with closing(SqliteStore(path)) as store:
        with store.write() as tx:
            assert level(tx) == 2  # full
        with store.write(durable=False) as tx:
            assert level(tx) == 1  # normal
        with store.write() as tx:
            assert level(tx) == 2


def test_transactions_that_are_not_durable_do_not_let_the_log_grow(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_store, "_CHECKPOINT_EVERY", 4)
    with closing(SqliteStore(path)) as store:
        for number in range(1, 81):
            with store.write(durable=False) as tx:
                tx.audit.add(AuditRecord(number, 1, "a", "e", "s", "x" * 100_000, b"hash"))
        # Of 8 MB: it is 2.6 MB, of which the pages of the index of times are 80 kB.
        assert path.with_name(f"{path.name}-wal").stat().st_size < 2_700_000
