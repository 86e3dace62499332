"""`anyscale server copy` moves everything between SQLite and PostgreSQL, or nothing."""

from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from tests.support.commands.command_process import CommandResult
from tests.support.commands.running import RunAnyscale
from tests.support.databases.all_rows import all_rows, fill_every_table
from tests.support.databases.postgres import execute_at
from tests.support.users_files import write_users_file

from anyscale.server.store.postgres.store import PostgresStore
from anyscale.server.store.sqlite.server_lock import lock_for_server


def url_of(database: Path | str) -> str:
    return f"sqlite:///{database}" if isinstance(database, Path) else database


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where no SQLite file is yet."""
    return tmp_path / "data" / "anyscale.db"


class Copies:
    """Runs the command."""

    def __init__(self, anyscale: RunAnyscale) -> None:
        self.anyscale = anyscale

    def run(self, source: Path | str, target: Path | str) -> CommandResult:
        return self.anyscale(
            "server", "copy", "--to", url_of(target), env={"ANYSCALE_DATABASE_URL": url_of(source)}
        )

    def refuse(self, source: Path | str, target: Path | str) -> str:
        """Run a copy that is refused; give its message."""
        before = all_rows(source)
        done = self.run(source, target)
        assert done.returncode == 1, done.stderr
        assert all_rows(source) == before
        return done.stderr.splitlines()[-1]


@pytest.fixture
def copies(anyscale: RunAnyscale) -> Copies:
    return Copies(anyscale)


def test_every_row_of_every_table_is_the_same_there_and_back(
    copies: Copies, postgres_url: str, file: Path, blank_postgres_url: str
) -> None:
    fill_every_table(postgres_url)
    before = all_rows(postgres_url)
    assert all(before.values())

    for source, target in (postgres_url, file), (file, blank_postgres_url):
        done = copies.run(source, target)
        assert done.returncode == 0, done.stderr
        assert all_rows(source) == all_rows(target)

    # Each copy is recorded, in both databases.
    copied = [row for row in all_rows(file)["audit"] if row not in before["audit"]]
    assert [row["event"] for row in copied] == ["database.copied"] * 2
    assert all_rows(file) | {"audit": before["audit"]} == before
    # The next batch gets a number of its own.
    numbers = [row["id"] for row in before["batches"]]
    with psycopg.connect(blank_postgres_url) as connection:
        following = connection.execute("select nextval(pg_get_serial_sequence('batches', 'id'))")
        assert following.fetchone() == (max(numbers) + 1,)


def test_the_copy_is_a_control_plane_with_the_same_audit_log_and_open_batches(
    anyscale: RunAnyscale, copies: Copies, file: Path, blank_postgres_url: str, tmp_path: Path
) -> None:
    in_file = {"ANYSCALE_DATABASE_URL": url_of(file)}
    in_postgres = {"ANYSCALE_DATABASE_URL": blank_postgres_url, "ANYSCALE_SSO_ONLY": "on"}
    users = write_users_file(tmp_path / "users.yaml", 20, 2)
    assert anyscale("user", "batch-create", "-f", users, env=in_file).returncode == 0
    head = anyscale("audit", "verify", "--database", env=in_file).stdout.split("head: ")[1]
    assert copies.run(file, blank_postgres_url).returncode == 0

    verified = anyscale("audit", "verify", "--database", "--head", head.strip(), env=in_postgres)
    assert verified.stdout.startswith("chain: intact\n"), verified.stderr
    created = anyscale("server", "create-owner", "--email", "jane@example.com", env=in_postgres)
    assert created.returncode == 0, created.stderr


def test_what_no_database_contains_is_named_at_the_end(
    copies: Copies, anyscale: RunAnyscale, file: Path, tmp_path: Path
) -> None:
    anyscale("server", "migrate", env={"ANYSCALE_DATABASE_URL": url_of(file)})
    target = tmp_path / "other" / "new.db"
    lines = copies.run(file, target).stderr

    assert "ANYSCALE_DATABASE_URL" in lines
    assert f"the signing keys in {file.parent / 'signing-keys'}" in lines
    assert f"those in {target.parent / 'signing-keys'}: copy them there" in lines
    assert target.stat().st_mode & 0o777 == 0o600
    assert sorted(target.parent.iterdir()) == [target, Path(f"{target}-server")]


@pytest.fixture
def source(anyscale: RunAnyscale, file: Path) -> Path:
    """A control plane on SQLite."""
    anyscale("server", "migrate", env={"ANYSCALE_DATABASE_URL": url_of(file)}).check_returncode()
    return file


def test_a_copy_is_refused_while_a_server_has_the_file(
    copies: Copies, source: Path, tmp_path: Path
) -> None:
    target = tmp_path / "new.db"
    with lock_for_server(source):
        assert "a server has the database: stop the server first" in copies.refuse(source, target)
    assert not target.exists()


def test_a_copy_is_refused_while_a_server_is_connected_to_postgresql(
    copies: Copies, postgres_url: str, tmp_path: Path
) -> None:
    target = tmp_path / "new.db"
    with closing(PostgresStore(postgres_url)) as store:
        assert store.ready()
        assert "stop all servers" in copies.refuse(postgres_url, target)
    assert not target.exists()


def test_a_copy_needs_an_empty_target_and_leaves_any_other_as_it_is(
    copies: Copies, source: Path, postgres_url: str, blank_postgres_url: str, tmp_path: Path
) -> None:
    journal = tmp_path / "new.db-wal"
    journal.touch()
    assert f"{journal}: it exists" in copies.refuse(source, tmp_path / "new.db")
    assert f"{source}: it exists" in copies.refuse(source, source)
    assert "it is not empty" in copies.refuse(source, postgres_url)
    execute_at(blank_postgres_url, "create table theirs (id int)")
    assert "it has the table theirs" in copies.refuse(source, blank_postgres_url)
    assert not all_rows(postgres_url)["audit"]


@pytest.mark.parametrize("url", ["", "mysql://localhost/x", "anyscale.db"])
def test_a_wrong_address_is_refused(anyscale: RunAnyscale, source: Path, url: str) -> None:
    done = anyscale("server", "copy", "--to", url, env={"ANYSCALE_DATABASE_URL": url_of(source)})
    assert done.returncode == 2
    assert "--to must be sqlite:///path or postgresql://..." in done.stderr
