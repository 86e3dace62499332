"""`anyscale server migrate` says what it did."""

from contextlib import closing
from pathlib import Path

import pytest
from tests.store.old_databases import know_steps, open_store
from tests.support.commands.running import RunAnyscale

from anyscale.server.store.schema_versions import steps_of

NEWEST = max(steps_of("sqlite"))


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """Return the address of an empty database."""
    if request.param == "sqlite":
        return tmp_path / "anyscale.db"
    url: str = request.getfixturevalue("blank_postgres_url")
    return url


def message_of_migrate(anyscale: RunAnyscale, database: Path | str) -> str:
    url = f"sqlite:///{database}" if isinstance(database, Path) else database
    done = anyscale("server", "migrate", env={"ANYSCALE_DATABASE_URL": url})
    assert (done.returncode, done.stdout) == (0, "")
    return done.stderr.splitlines()[-1].partition("s) ")[2]


def test_the_message_for_a_new_database_differs_from_that_for_one_that_is_current(
    anyscale: RunAnyscale, database: Path | str
) -> None:
    first, second = (message_of_migrate(anyscale, database) for _ in range(2))

    assert first == f"The tables of a new control plane are created, with schema {NEWEST}."
    assert second == f"The database has the schema of this version ({NEWEST})."


def test_a_migration_names_the_schema_before_and_after(
    anyscale: RunAnyscale, database: Path | str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        know_steps(patch, 4)
        with closing(open_store(database)) as store:
            assert store.schema() == 4

    assert message_of_migrate(anyscale, database) == f"The schema was 4 and is now {NEWEST}."
