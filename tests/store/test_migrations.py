"""Bringing a schema up, which anything may interrupt."""

import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from tests.store.old_databases import know_steps

from anyscale.errors import StoreUnavailable
from anyscale.server.store import schema_versions as steps
from anyscale.server.store.schema_versions import steps_of
from anyscale.server.store.sqlite.migrate import migrate, schema_version
from anyscale.server.store.sqlite.store import SqliteStore

# Kills itself in front of the statement with a given number, as a power cut would.
KILLED_AT = """
import os, sqlite3, sys
from anyscale.server.store.sqlite.migrate import migrate

left = int(sys.argv[2])

def count(statement):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), 9)

connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("pragma journal_mode = wal")
connection.set_trace_callback(count)
migrate(connection)
"""


NEWEST = max(steps_of("sqlite"))


def schema(path: Path) -> list[tuple[str, str]]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute("select name, sql from sqlite_master order by name").fetchall()
    finally:
        connection.close()


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_the_steps_are_numbered_without_a_gap(database: str) -> None:
    numbers = sorted(steps_of(database))
    assert numbers == list(range(1, len(numbers) + 1))


def test_every_store_takes_the_same_steps() -> None:
    folder = Path(steps.__file__).parent / "migrations"
    names = [{file.name for file in (folder / kind).iterdir()} for kind in ("sqlite", "postgres")]
    assert names[0] == names[1]


def test_migrating_twice_is_migrating_once() -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection)
    migrate(connection)
    assert schema_version(connection) == NEWEST
    connection.close()


def test_several_may_migrate_at_once(tmp_path: Path) -> None:
    path = tmp_path / "anyscale.db"
    sqlite3.connect(path).execute("pragma journal_mode = wal").connection.close()
    start = threading.Barrier(8)

    def bring_up(_: int) -> int:
        with closing(sqlite3.connect(path, timeout=60, isolation_level=None)) as connection:
            start.wait()
            migrate(connection)
            return schema_version(connection)

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(bring_up, range(8))) == {NEWEST}


@pytest.mark.parametrize("statement", range(1, 14, 2))
def test_a_migration_that_is_killed_anywhere_is_completed_by_the_next_start(
    tmp_path: Path, statement: int
) -> None:
    whole, path = tmp_path / "whole.db", tmp_path / "anyscale.db"
    SqliteStore(whole).close()

    killed = subprocess.run(
        [sys.executable, "-c", KILLED_AT, str(path), str(statement)], check=False
    )
    assert killed.returncode == -9

    # A reader finds either nothing or everything, and the next writer completes it.
    if schema(path):
        assert schema(path) == schema(whole)
    SqliteStore(path).close()
    assert schema(path) == schema(whole)


@pytest.mark.parametrize(
    ("step", "statement"),
    [*((4, statement) for statement in range(39, 61, 3)), *((5, at) for at in range(61, 78, 3))],
)
def test_a_later_step_that_is_killed_anywhere_leaves_the_schema_before_it(
    tmp_path: Path, step: int, statement: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, before, path = (tmp_path / f"{name}.db" for name in ("whole", "before", "anyscale"))
    SqliteStore(whole).close()
    with monkeypatch.context() as patch:
        know_steps(patch, step - 1)
        SqliteStore(before).close()

    killed = subprocess.run(
        [sys.executable, "-c", KILLED_AT, str(path), str(statement)], check=False
    )
    assert killed.returncode == -9

    assert schema(path) == schema(before)
    SqliteStore(path).close()
    assert schema(path) == schema(whole)


def test_a_step_that_fails_leaves_nothing_of_itself(tmp_path: Path) -> None:
    path = tmp_path / "anyscale.db"
    connection = sqlite3.connect(path)
    connection.execute("create table audit (number)")  # the last table of the first step
    connection.isolation_level = None

    with pytest.raises(sqlite3.OperationalError, match="table audit already exists"):
        migrate(connection)
    connection.close()

    assert [name for name, _ in schema(path)] == ["audit"]


def test_a_newer_schema_is_not_changed() -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute("pragma user_version = 9999")
    with pytest.raises(StoreUnavailable, match=r"schema 9999, .* or a newer one"):
        migrate(connection)
    assert schema_version(connection) == 9999
    connection.close()
