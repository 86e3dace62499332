"""The first use of a database, by any number of processes at once, and newer schemas."""

import fcntl
import os
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from tests.store.sqlite.steps import add_batch, count_batches
from tests.support.at_once import at_once

from anyscale.errors import StoreUnavailable
from anyscale.server.store.sqlite.store import SqliteStore


def test_a_newer_schema_is_refused_by_readers_and_writers(path: Path) -> None:
    SqliteStore(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("update schema_version set version = 99")
    connection.close()

    for create in (True, False):
        with pytest.raises(StoreUnavailable, match="schema 99, and this version knows"):
            SqliteStore(path, create=create)


def test_only_reading_makes_nothing(path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="there is no control plane yet"):
        SqliteStore(path, create=False)
    assert not path.parent.exists()


def test_a_first_use_that_was_killed_before_its_schema_is_blank(path: Path) -> None:
    path.parent.mkdir()
    path.touch(0o600)

    with closing(SqliteStore(path, create=False)) as store:
        assert store.is_blank
        with pytest.raises(StoreUnavailable, match="start a server of this version"):
            store.ready()
    with closing(SqliteStore(path)) as store:
        assert not store.is_blank
        assert count_batches(store) == 0


def test_eight_processes_may_be_the_first_at_once(path: Path) -> None:
    code = (
        "import sys; from contextlib import closing; from pathlib import Path\n"
        "from anyscale.server.store.sqlite.store import SqliteStore\n"
        "from anyscale.server.store.records.audit import AuditRecord\n"
        "print('ready', flush=True)\n"
        "sys.stdin.readline()\n"
        "with closing(SqliteStore(Path(sys.argv[1]))) as store, store.write() as tx:\n"
        "    tx.audit.add(AuditRecord(int(sys.argv[2]), 1, 'a', 'e', 's', '{}', b''))\n"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(path), str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(8)
    ]
    for process in processes:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
    for process in processes:  # they have all imported: now they continue at once
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()

    errors = [process.communicate()[1] for process in processes]

    assert errors == [""] * 8
    with closing(SqliteStore(path)) as store, store.read() as tx:
        assert len(tx.audit.list(-1, 9)) == 8


def _use(path: Path, number: int) -> None:
    with closing(SqliteStore(path)) as store:
        add_batch(store, number)


def test_eight_threads_may_be_the_first_at_once(tmp_path: Path) -> None:
    for attempt in range(10):
        path = tmp_path / str(attempt) / "anyscale.db"
        at_once([partial(_use, path, number) for number in range(8)])
        with closing(SqliteStore(path)) as store:
            assert count_batches(store) == 8


def test_a_first_use_waits_while_another_process_sets_the_file_up(path: Path) -> None:
    path.parent.mkdir()
    other = os.open(path.parent, os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX)
    with ThreadPoolExecutor(1) as pool:
        first_use = pool.submit(lambda: SqliteStore(path).close())
        with pytest.raises(TimeoutError):
            first_use.result(0.2)
        os.close(other)
        first_use.result(30)
