"""Databases with another schema: of a later step, of another first step, or of an early commit."""

import sqlite3
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from anyscale.server.store import schema_versions
from anyscale.server.store.postgres import inspection as postgres_inspection
from anyscale.server.store.postgres import migrate as postgres_migrate
from anyscale.server.store.postgres import store as postgres_store
from anyscale.server.store.postgres.store import PostgresStore
from anyscale.server.store.schema_versions import steps_of
from anyscale.server.store.sqlite import inspection as sqlite_inspection
from anyscale.server.store.sqlite import migrate as sqlite_migrate
from anyscale.server.store.sqlite import store as sqlite_store
from anyscale.server.store.sqlite.store import SqliteStore
from anyscale.server.store.transaction import Store

#: the number of the newest step, and of a made-up step after it
NEWEST = max(steps_of("sqlite"))
LATER = NEWEST + 1

_LATER_STEP = """
-- A step that adds and computes.
alter table users add column department text;

create index users_department on users (department);

update users set department = lastname;

create table departments (name text primary key)
"""

_READERS_OF_STEPS = (
    sqlite_inspection,
    sqlite_migrate,
    sqlite_store,
    postgres_inspection,
    postgres_migrate,
    postgres_store,
)


def open_store(database: Path | str, *, create: bool = True) -> Store:
    """Open a file with SQLite, or a URL with PostgreSQL."""
    if isinstance(database, Path):
        return SqliteStore(database, create=create)
    return PostgresStore(database, create=create)


def know_later_step(patch: pytest.MonkeyPatch) -> None:
    """Let the stores know a made-up later step, as a later version does."""
    _know(patch, {LATER: _LATER_STEP})


def create_with_other_first_step(database: Path | str) -> None:
    """Create a database as a commit with another first step does: it differs in a comment."""
    with pytest.MonkeyPatch.context() as patch:
        _know(patch, {1: "-- Another step.\n" + steps_of(_kind(database))[1]})
        open_store(database).close()


def create_with_early_commit(database: Path | str, schema: int) -> None:
    """Create some tables of a database of the first six schemas, which stored no checksum."""
    if isinstance(database, str):
        with psycopg.connect(database) as postgres:
            postgres.execute(
                "create table schema_version (is_only boolean primary key, version integer)"
            )
            postgres.execute("insert into schema_version values (true, %s)", (schema,))
        return
    database.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    database.touch(0o600)
    with closing(sqlite3.connect(database)) as sqlite:
        sqlite.execute("pragma journal_mode = wal")
        for table in ("audit", "batches", "conflicts", "users"):
            sqlite.execute(f"create table {table} (number integer)")
        sqlite.execute(f"pragma user_version = {schema}")
        if schema >= 4:
            sqlite.execute("pragma application_id = 0x6d757374")
        sqlite.commit()


def _know(patch: pytest.MonkeyPatch, others: dict[int, str]) -> None:
    for module in _READERS_OF_STEPS:
        patch.setattr(module, "steps_of", lambda kind: {**schema_versions.steps_of(kind), **others})


def _kind(database: Path | str) -> str:
    return "sqlite" if isinstance(database, Path) else "postgres"
