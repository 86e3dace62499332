"""A database that another first step created is refused, and stays as it is."""

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path

import psycopg
import pytest
from tests.support.commands.check_results import check_in_process
from tests.support.commands.running import RunAnyscale
from tests.support.databases.schema_steps import (
    create_with_early_commit,
    create_with_other_first_step,
    know_later_step,
    open_store,
)

from anyscale.errors import StoreUnavailable

pytestmark = pytest.mark.both_stores

REFUSAL = (
    "the database was created by another commit from before the first release, and this version "
    "cannot open it: docs/operations/upgrade.md says how to carry its users over"
)

CREATIONS: Mapping[str, Callable[[Path | str], None]] = {
    "another first step": create_with_other_first_step
} | {
    f"schema {schema}": partial(create_with_early_commit, schema=schema) for schema in (1, 3, 4, 6)
}


@pytest.fixture
def blank(request: pytest.FixtureRequest, store_kind: str, tmp_path: Path) -> Path | str:
    """Return the address of an empty database."""
    if store_kind == "sqlite":
        return tmp_path / "data" / "anyscale.db"
    url: str = request.getfixturevalue("blank_postgres_url")
    return url


@pytest.fixture(params=list(CREATIONS))
def database(request: pytest.FixtureRequest, blank: Path | str) -> Path | str:
    """Return the address of a database that another first step created."""
    CREATIONS[request.param](blank)
    return blank


def content(database: Path | str) -> object:
    """Return all that a refusal could change: the file, or the columns and the stored schema."""
    if isinstance(database, Path):
        return {path.name: path.read_bytes() for path in database.parent.glob("anyscale.db*")}
    with psycopg.connect(database) as postgres:
        columns = postgres.execute(
            "select table_name, column_name from information_schema.columns"
            " where table_schema = 'public' order by 1, 2"
        )
        return columns.fetchall(), postgres.execute("select * from schema_version").fetchall()


def url_of(database: Path | str) -> str:
    return f"sqlite:///{database}" if isinstance(database, Path) else database


@pytest.mark.parametrize("create", [True, False], ids=["writing", "reading"])
def test_a_database_of_another_first_step_is_refused_and_stays_as_it_is(
    database: Path | str, create: bool
) -> None:
    before = content(database)
    with pytest.raises(StoreUnavailable) as caught:
        open_store(database, create=create)
    assert str(caught.value).endswith(REFUSAL)
    assert content(database) == before


def test_migrating_says_so_in_one_sentence(blank: Path | str, anyscale: RunAnyscale) -> None:
    create_with_other_first_step(blank)
    before = content(blank)
    done = anyscale("server", "migrate", env={"ANYSCALE_DATABASE_URL": url_of(blank)})
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[1:] == [f"error: {REFUSAL}"]
    assert content(blank) == before


def test_the_embedded_control_plane_says_so_to_each_command(
    tmp_path: Path, anyscale: RunAnyscale
) -> None:
    database = tmp_path / "data" / "anyscale.db"
    create_with_other_first_step(database)
    users = tmp_path / "users.yaml"
    users.write_text("create_users: [{name: Jane, email: jane@x.org}]\n", encoding="utf-8")
    before = content(database)
    for arguments in (("user", "list"), ("user", "batch-create", "-f", str(users))):
        done = anyscale(*arguments, env={"ANYSCALE_DATA_DIR": str(database.parent)})
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.splitlines()[-1] == f"error: {REFUSAL}"
    assert content(database) == before


def test_the_check_of_an_installation_says_so(database: Path | str) -> None:
    before = content(database)
    results = check_in_process({"ANYSCALE_DATABASE_URL": url_of(database)}, "database.")
    assert results["database.reachable"].status == "fail"
    assert results["database.reachable"].found.endswith(REFUSAL)
    assert results["database.schema"].status == "not tried"
    assert content(database) == before


def test_a_store_in_use_is_not_ready_once_another_first_step_created_its_tables(
    blank: Path | str,
) -> None:
    with closing(open_store(blank)) as store:
        store.ready()
        execute(blank, "update schema_version set checksum = 'another'")
        with pytest.raises(StoreUnavailable, match=r"docs/operations/upgrade\.md"):
            store.ready()


def test_a_damaged_row_of_the_schema_is_refused(blank: Path | str) -> None:
    open_store(blank).close()
    execute(blank, "delete from schema_version")
    with pytest.raises(StoreUnavailable):
        open_store(blank)


def test_a_later_step_keeps_the_checksum_of_the_first_one(
    blank: Path | str, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_store(blank).close()
    with monkeypatch.context() as patch:
        know_later_step(patch)
        open_store(blank).close()
        open_store(blank).close()
    with pytest.raises(StoreUnavailable, match=r"schema 2, and this version knows 1"):
        open_store(blank)


def execute(database: Path | str, sql: str) -> None:
    if isinstance(database, Path):
        with closing(sqlite3.connect(database, isolation_level=None)) as sqlite:
            sqlite.execute(sql)
    else:
        with psycopg.connect(database) as postgres:
            postgres.execute(sql.encode())
