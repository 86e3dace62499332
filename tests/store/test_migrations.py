"""Bringing a schema up, which anything may interrupt."""

import shutil
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from tests.support.databases.schema_steps import LATER, NEWEST, know_later_step

from anyscale.errors import StoreUnavailable
from anyscale.server.store import schema_versions as steps
from anyscale.server.store.schema_versions import steps_of
from anyscale.server.store.sqlite.migrate import migrate, schema_version
from anyscale.server.store.sqlite.store import SqliteStore


def schema(path: Path) -> list[tuple[str, str]]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute("select name, sql from sqlite_master order by name").fetchall()
    finally:
        connection.close()


@pytest.mark.both_stores
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


def killed_before_each_statement(path: Path) -> list[Path]:
    """Migrate a file; give copies of what a process that is killed before a statement leaves.

    A kill keeps what was written to the files, and SQLite rebuilds the `-shm` from the log.
    """
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("pragma journal_mode = wal")
        folders: list[Path] = []

        def copy(_statement: str) -> None:
            folders.append(path.with_name(f"killed{len(folders)}"))
            folders[-1].mkdir()
            for file in (path, path.with_name(f"{path.name}-wal")):
                shutil.copy(file, folders[-1])

        connection.set_trace_callback(copy)
        migrate(connection)
    return [folder / path.name for folder in folders]


def test_a_migration_that_is_killed_anywhere_is_completed_by_the_next_start(
    tmp_path: Path,
) -> None:
    path = tmp_path / "anyscale.db"
    copies = killed_before_each_statement(path)

    assert len(copies) > 34
    for copy in copies:
        # The transaction of the step was not committed.
        assert schema(copy) == []
        SqliteStore(copy).close()
        assert schema(copy) == schema(path)


def test_a_later_step_that_is_killed_anywhere_leaves_the_schema_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "anyscale.db"
    SqliteStore(path).close()
    before = schema(path)
    know_later_step(monkeypatch)
    copies = killed_before_each_statement(path)

    assert len(copies) > 9
    for copy in copies:
        assert schema(copy) == before
        with closing(SqliteStore(copy)) as store:
            assert store.schema() == LATER
        assert schema(copy) == schema(path) != before


def test_a_step_that_fails_leaves_nothing_of_itself(tmp_path: Path) -> None:
    path = tmp_path / "anyscale.db"
    connection = sqlite3.connect(path)
    connection.execute("create table audit (number)")  # a table of the first step
    connection.isolation_level = None

    with pytest.raises(sqlite3.OperationalError, match="table audit already exists"):
        migrate(connection)
    connection.close()

    assert [name for name, _ in schema(path)] == ["audit"]


def test_a_newer_schema_is_not_changed() -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection)
    connection.execute("update schema_version set version = 9999")
    with pytest.raises(StoreUnavailable, match=r"schema 9999, .* or a newer one"):
        migrate(connection)
    assert schema_version(connection) == 9999
    connection.close()
