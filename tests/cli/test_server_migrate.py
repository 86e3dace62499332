"""`anyscale server migrate` says what it did."""

from pathlib import Path

import pytest
from tests.support.commands.running import RunAnyscale
from tests.support.databases.schema_steps import LATER, NEWEST, know_later_step, open_store

from anyscale.cli.server import start_migrate


@pytest.fixture
def database(request: pytest.FixtureRequest, store_kind: str, tmp_path: Path) -> Path | str:
    """Return the address of an empty database."""
    if store_kind == "sqlite":
        return tmp_path / "anyscale.db"
    url: str = request.getfixturevalue("blank_postgres_url")
    return url


def message_of_migrate(anyscale: RunAnyscale, database: Path | str) -> str:
    done = anyscale("server", "migrate", env={"ANYSCALE_DATABASE_URL": url_of(database)})
    assert (done.returncode, done.stdout) == (0, "")
    return done.stderr.splitlines()[-1].partition("s) ")[2]


@pytest.mark.both_stores
def test_the_message_for_a_new_database_differs_from_that_for_one_that_is_current(
    anyscale: RunAnyscale, database: Path | str
) -> None:
    first, second = (message_of_migrate(anyscale, database) for _ in range(2))

    assert first == f"The tables of a new control plane are created, with schema {NEWEST}."
    assert second == f"The database has the schema of this version ({NEWEST})."


@pytest.mark.both_stores
def test_a_migration_names_the_schema_before_and_after(
    database: Path | str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    open_store(database).close()
    know_later_step(monkeypatch)
    monkeypatch.setenv("ANYSCALE_DATABASE_URL", url_of(database))
    start_migrate.migrate.main([], standalone_mode=False)

    assert f"The schema was {NEWEST} and is now {LATER}." in capsys.readouterr().err


def url_of(database: Path | str) -> str:
    return f"sqlite:///{database}" if isinstance(database, Path) else database
