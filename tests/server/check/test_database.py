"""`anyscale server check` on the database: what it finds, and that it changes nothing."""

import shutil
import socket
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from tests.support.callers import OPERATOR
from tests.support.commands.check_results import check_in_process, check_installation
from tests.support.servers.server_process import ServerProcess

from anyscale.server.check.database import judge_encryption
from anyscale.server.check.run import CheckResult
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.hashing.pool import CHEAPEST
from anyscale.server.settings import Settings
from anyscale.server.store.database_facts import Encryption
from anyscale.server.store.inspection import inspect_database


def results_of(database: Path | str, **environment: str) -> dict[str, CheckResult]:
    url = database if isinstance(database, str) else f"sqlite:///{database}"
    return check_in_process({"ANYSCALE_DATABASE_URL": url} | environment, "database.")


def statuses(results: dict[str, CheckResult]) -> dict[str, str]:
    return {check.partition(".")[2]: result.status for check, result in results.items()}


def create(database: Path | str) -> None:
    """Create a control plane with a token."""
    with closing(ControlPlane(Settings(database=database), profile=CHEAPEST)) as control_plane:
        control_plane.tokens.create(OPERATOR, "jane", "owner", None)


@pytest.fixture
def sqlite_file(tmp_path: Path) -> Path:
    path = tmp_path / "data" / "anyscale.db"
    create(path)
    return path


def listing(folder: Path) -> dict[str, Any]:
    """Give each file of a folder with its content and its times."""
    return {
        str(path): (
            path.stat().st_mtime_ns,
            path.stat().st_mode,
            path.is_file() and path.read_bytes(),
        )
        for path in sorted([folder, *folder.rglob("*")])
    }


def test_a_sqlite_database_at_rest_is_ok_and_stays_as_it_is(sqlite_file: Path) -> None:
    before = listing(sqlite_file.parent)

    results = results_of(sqlite_file)

    assert listing(sqlite_file.parent) == before
    assert statuses(results) == {
        "reachable": "ok",
        "version": "ok",
        "schema": "ok",
        "tokens": "ok",
        "imported_hashes": "ok",
        "journal": "ok",
        "free_space": "ok",
        "connections": "not tried",
        "encrypted": "not tried",
        "clock": "not tried",
    }


@pytest.mark.both_stores
def test_a_database_in_use_is_ok_and_gets_no_file_and_no_row(database: str, tmp_path: Path) -> None:
    with ServerProcess(database, tmp_path) as server:
        server.token()
        folder = tmp_path / "served"
        before = names_in(folder), rows_of(database)

        status, results = check_installation({"ANYSCALE_DATABASE_URL": database}, tmp_path)

        assert (names_in(folder), rows_of(database)) == before
    tried = {check: result for check, result in results.items() if check.startswith("database.")}
    assert set(statuses(tried).values()) == {"ok", "not tried"}
    assert status == 0, results


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*"))


def rows_of(database: str) -> dict[str, int]:
    """Count the rows of every table."""
    if database.startswith("sqlite"):
        with closing(sqlite3.connect(f"/{database.removeprefix('sqlite:////')}")) as connection:
            names = connection.execute("select name from sqlite_master where type = 'table'")
            return {name: count_rows(connection, name) for (name,) in names.fetchall()}
    with psycopg.connect(database) as connected:
        tables = connected.execute("select tablename from pg_tables where schemaname = 'public'")
        return {name: count_rows(connected, name) for (name,) in tables.fetchall()}


def count_rows(connection: Any, table: str) -> int:
    return int(connection.execute(f"select count(*) from {table}").fetchone()[0])


def test_a_connection_inside_this_machine_needs_no_encryption(postgres_url: str) -> None:
    encryption = inspect_database(postgres_url, lambda _: None)[0].encryption
    assert encryption
    assert (encryption.is_local, encryption.is_encrypted) == (True, False)
    assert judge_encryption(encryption).status == "ok"


@pytest.mark.parametrize(
    ("is_encrypted", "mode", "status"),
    [
        (False, "disable", "fail"),
        (False, "prefer", "fail"),
        (True, "prefer", "warn"),
        (True, "require", "warn"),
        (True, "verify-ca", "ok"),
        (True, "verify-full", "ok"),
    ],
)
def test_a_connection_to_another_machine_must_be_encrypted(
    is_encrypted: bool, mode: str, status: str
) -> None:
    assert judge_encryption(Encryption(False, is_encrypted, mode)).status == status


def test_without_a_data_directory_none_is_created(home: Path) -> None:
    results = check_in_process({"HOME": str(home)}, "")

    assert results["database.reachable"].status == "fail"
    assert "there is no control plane yet" in results["database.reachable"].found
    assert list(home.iterdir()) == []


def test_a_write_ahead_log_of_a_killed_server_is_read_and_kept(tmp_path: Path) -> None:
    database = f"sqlite:////{tmp_path.relative_to('/')}/served/anyscale.db"
    with ServerProcess(database, tmp_path) as server:
        server.token()
        server.kill()
    folder = tmp_path / "served"
    before = listing(folder)
    assert (folder / "anyscale.db-wal").stat().st_size

    results = results_of(folder / "anyscale.db")

    assert results["database.tokens"].found.endswith("create-token`: 1")
    assert results["database.imported_hashes"].found.endswith("signed in yet: 0")
    assert listing(folder).keys() == before.keys()
    for suffix in ("", "-wal"):
        path = str(folder / f"anyscale.db{suffix}")
        assert listing(folder)[path] == before[path]

    (folder / "anyscale.db-shm").unlink()
    results = results_of(folder / "anyscale.db")
    assert results["database.reachable"].status == "fail"
    assert "only a start of the server reads it" in results["database.reachable"].found
    assert not (folder / "anyscale.db-shm").exists()


def test_an_older_schema_has_to_be_migrated_and_a_newer_one_needs_a_newer_program(
    sqlite_file: Path,
) -> None:
    facts, _ = inspect_database(sqlite_file, lambda _: None)
    set_schema(sqlite_file, facts.newest - 1)
    results = results_of(sqlite_file)
    assert results["database.schema"].status == "fail"
    assert "anyscale server migrate" in results["database.schema"].fix
    assert results["database.tokens"].status == "not tried"

    set_schema(sqlite_file, facts.newest + 1)
    results = results_of(sqlite_file)
    assert results["database.schema"].status == "fail"
    assert "newer" in results["database.schema"].fix
    assert inspect_database(sqlite_file, lambda _: None)[0].schema == facts.newest + 1


def set_schema(path: Path, number: int) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(f"update schema_version set version = {number}")


def test_the_schema_of_postgresql_is_compared_and_not_migrated(
    blank_postgres_url: str, postgres_url: str
) -> None:
    blank = results_of(blank_postgres_url)
    assert blank["database.schema"].status == "fail"
    assert inspect_database(blank_postgres_url, lambda _: None)[0].schema == 0

    with psycopg.connect(postgres_url) as connection:
        connection.execute("update schema_version set version = version + 1")
    assert results_of(postgres_url)["database.schema"].status == "fail"


def test_a_database_without_a_valid_token_is_warned_about(tmp_path: Path) -> None:
    path = tmp_path / "data" / "anyscale.db"
    with closing(ControlPlane(Settings(database=path))):
        pass

    result = results_of(path)["database.tokens"]

    assert result.status == "warn"
    assert "create-token" in result.fix


def test_a_database_without_a_write_ahead_log_is_warned_about(sqlite_file: Path) -> None:
    with closing(sqlite3.connect(sqlite_file)) as connection:
        connection.execute("pragma journal_mode = delete")

    assert results_of(sqlite_file)["database.journal"].status == "warn"


@pytest.mark.parametrize(("mebibytes", "status"), [(100, "fail"), (1_000, "warn"), (3_000, "ok")])
def test_little_free_space_is_found(
    mebibytes: int, status: str, sqlite_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = SimpleNamespace(free=mebibytes << 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: free)

    assert results_of(sqlite_file)["database.free_space"].status == status


def test_a_file_of_another_program_is_no_database_of_ours(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("create table books (title text)")

    result = results_of(path)["database.reachable"]

    assert result.status == "fail"
    assert "the database of another application" in result.found


def test_postgresql_that_does_not_respond_is_found_without_its_password() -> None:
    results = results_of("postgresql://jane:hunter2@127.0.0.1:9/roll")

    assert results["database.reachable"].status == "fail"
    assert "Connection refused: is the server running" in results["database.reachable"].found
    assert results["database.schema"].status == "not tried"
    assert "hunter2" not in repr(results)


def test_postgresql_that_says_nothing_takes_limited_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anyscale.server.check.network.SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://jane@127.0.0.1:{silent.getsockname()[1]}/roll"
        result = results_of(url)["database.reachable"]

    assert result.status == "fail"
    assert "seconds" in result.found


def test_postgresql_has_room_for_a_number_of_workers(postgres_url: str) -> None:
    create(postgres_url)

    one = results_of(postgres_url)
    many = results_of(postgres_url, ANYSCALE_WORKERS="50")

    assert set(statuses(one).values()) == {"ok", "not tried"}
    assert one["database.version"].looked_at.startswith("PostgreSQL ")
    assert many["database.connections"].status == "warn"
    assert "this one has 50" in many["database.connections"].found


def test_a_clock_of_postgresql_that_is_wrong_is_warned_about(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 90)

    result = results_of(postgres_url)["database.clock"]

    assert result.status == "warn"
    assert "by 90 s" in result.found
