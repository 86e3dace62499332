"""New databases of each kind of store, and reading them without a server."""

import secrets
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import psycopg
from tests.support.postgres import PostgresServer, with_database

__all__ = ["Database", "Databases", "PostgresDatabases", "SqliteDatabases", "each_kind"]


class Database(NamedTuple):
    """A database that exists until the end of its block."""

    url: str

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
        yield Database(f"sqlite:///{folder}/anyscale.db")
        shutil.rmtree(folder, ignore_errors=True)


class PostgresDatabases:
    """Creates databases on a server."""

    name = "PostgreSQL"

    def __init__(self, server: PostgresServer) -> None:
        self.server = server

    @contextmanager
    def new(self) -> Iterator[Database]:
        name = f"bench_{secrets.token_hex(4)}"
        self.server.execute(f"create database {name} encoding 'UTF8' template template0")
        # One database does not pay for the pages that another one has written.
        self.server.execute("checkpoint")
        yield Database(with_database(self.server.url, name))
        self.server.execute(f"drop database {name} with (force)")


@contextmanager
def each_kind(folder: Path) -> Iterator[tuple[SqliteDatabases, PostgresDatabases]]:
    """Give both kinds of store. PostgreSQL has its default settings."""
    server = PostgresServer(settings={})
    try:
        yield SqliteDatabases(folder), PostgresDatabases(server)
    finally:
        server.remove()
