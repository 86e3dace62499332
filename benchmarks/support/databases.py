"""New databases of each kind of store, their stores, and statements without a server."""

import os
import secrets
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import psycopg
from tests.support.databases.postgres import PostgresServer, with_database

from anyscale.server.store.postgres.store import PostgresStore
from anyscale.server.store.sqlite.store import SqliteStore
from anyscale.server.store.transaction import Store

#: the settings of PostgreSQL that docs/operations/postgresql.md recommends
GUIDE = {"shared_buffers": "1GB", "min_wal_size": "1GB", "wal_writer_delay": "10ms"}


class Database(NamedTuple):
    """A database that exists until the end of its block."""

    url: str

    def open_store(self) -> Store:
        """Open it as a server does, which creates the schema."""
        path = self.sqlite_path
        return SqliteStore(path) if path else PostgresStore(self.url)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Run a query on a connection of its own."""
        if path := self.sqlite_path:
            with closing(sqlite3.connect(path)) as sqlite:
                return sqlite.execute(sql).fetchall()
        with psycopg.connect(self.url) as postgres:
            return postgres.execute(sql.encode()).fetchall()

    def execute(self, sql: str) -> None:
        """Run a statement and commit it."""
        if path := self.sqlite_path:
            with closing(sqlite3.connect(path)) as sqlite, sqlite:
                sqlite.execute(sql)
        else:
            with psycopg.connect(self.url) as postgres:
                postgres.execute(sql.encode())

    def count_chunks(self) -> int:
        """Count the chunks of all batches."""
        ((count,),) = self.rows("select count(*) from chunks")
        return int(count)

    @property
    def sqlite_path(self) -> Path | None:
        is_sqlite = self.url.startswith("sqlite:")
        return Path(self.url.removeprefix("sqlite:///")) if is_sqlite else None


class Databases(Protocol):
    """Creates databases of one kind."""

    name: str

    def new(self) -> AbstractContextManager[Database]:
        """Create a database without a schema, and remove it at the end of the block."""


class SqliteDatabases:
    """Creates databases in a folder."""

    name = "SQLite"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def new(self) -> Iterator[Database]:
        folder = self._folder / f"sqlite_{secrets.token_hex(4)}"
        try:
            yield Database(f"sqlite:///{folder}/anyscale.db")
        finally:
            shutil.rmtree(folder, ignore_errors=True)


class PostgresDatabases:
    """Creates databases on a server."""

    name = "PostgreSQL"

    def __init__(self, server: PostgresServer) -> None:
        self.server = server

    @property
    def cpu_seconds(self) -> float:
        """User and system time so far of all processes of the server, also of those that ended."""
        children = Path(f"/proc/{self.server.pid}/task/{self.server.pid}/children")
        first, *others = (self.server.pid, *children.read_text(encoding="ascii").split())
        return _cpu_seconds(first, 4) + sum(_cpu_seconds(pid, 2) for pid in others)

    @contextmanager
    def new(self) -> Iterator[Database]:
        name = f"bench_{secrets.token_hex(4)}"
        self.server.execute(f"create database {name} encoding 'UTF8' template template0")
        # One database does not pay for the pages that another one has written.
        self.server.execute("checkpoint")
        try:
            yield Database(with_database(self.server.url, name))
        finally:
            self.server.execute(f"drop database {name} with (force)")


def _cpu_seconds(pid: int | str, fields: int) -> float:
    """Return the time of a process: the first two fields, and two of the children that ended."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    except (FileNotFoundError, ProcessLookupError):  # it has ended, and its parent counts it
        return 0
    ticks = stat.rpartition(")")[2].split()[11 : 11 + fields]
    return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")


@contextmanager
def each_kind(folder: Path) -> Iterator[tuple[SqliteDatabases, PostgresDatabases]]:
    """Give both kinds of store. PostgreSQL has its default settings."""
    with postgres_server() as server:
        yield SqliteDatabases(folder), PostgresDatabases(server)


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """Run a PostgreSQL with its default settings, so that committed data is on disk."""
    server = PostgresServer(settings={})
    try:
        yield server
    finally:
        server.remove()


def configure(server: PostgresServer, settings: Mapping[str, str]) -> None:
    """Restart a PostgreSQL with these settings, and the default ones otherwise."""
    server.execute("alter system reset all")
    for name, text in settings.items():
        server.execute(f"alter system set {name} = '{text}'")
    server.stop("fast")
    server.start()
