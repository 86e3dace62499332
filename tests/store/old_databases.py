"""Databases as earlier versions made them: of a schema version, or of commit f2874bc."""

import hashlib
import json
import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.support.databases.stored_data import execute_sql

from anyscale.server.store import schema_versions
from anyscale.server.store.postgres import migrate as postgres_migrate
from anyscale.server.store.postgres import store as postgres_store
from anyscale.server.store.postgres.store import PostgresStore
from anyscale.server.store.sqlite import migrate as sqlite_migrate
from anyscale.server.store.sqlite import store as sqlite_store
from anyscale.server.store.sqlite.store import SqliteStore
from anyscale.server.store.transaction import Store, Transaction

__all__ = [
    "OldDatabase",
    "all_rows",
    "fill_batch_of_schema_4",
    "fill_old_schema",
    "know_steps",
    "open_store",
]

_FIXTURES = Path(__file__).parent / "fixtures"


def open_store(database: Path | str) -> Store:
    """Open a file with SQLite, or a URL with PostgreSQL."""
    return SqliteStore(database) if isinstance(database, Path) else PostgresStore(database)


def know_steps(patch: pytest.MonkeyPatch, newest: int) -> None:
    """Let the stores know the first steps of the schema only, as an earlier version does."""

    def known(database: str) -> dict[int, str]:
        steps = schema_versions.steps_of(database)
        return {number: step for number, step in steps.items() if number <= newest}

    for module in (sqlite_migrate, sqlite_store, postgres_migrate, postgres_store):
        patch.setattr(module, "steps_of", known)


def fill_old_schema(tx: Transaction, version: int) -> None:
    """Insert a published and an open batch, and tokens, into tables of an old schema."""
    chunk = "page" if version < 4 else "chunk"
    folded = {} if version < 4 else {"name_folded": "strasse"}
    for number, published_at in enumerate([5_000, None], 1):
        _insert_batch(tx, number, published_at)
        _insert(
            tx,
            f"{chunk}s",
            batch=number,
            number=0,
            digest=b"digest",
            user_root=b"root",
            users=2,
            skipped=0,
            conflicts=1,
        )
        conflict = {chunk: 0, "email": "x@x.org", "kind": "exists"}
        _insert(tx, "conflicts", batch=number, position=9, **conflict)
        for position, email in enumerate([f"User{number}@x.org", f"sso{number}@x.org"]):
            is_published = published_at is not None
            _insert(
                tx,
                "users",
                **folded,
                batch=number,
                user_id=f"usr_{number:024x}{position:08x}",
                email_key=email.lower(),
                name="STRASSE" if position else "Straße",
                email=email,
                lastname="Doe",
                title=None,
                is_sso_user=bool(position),
                password_hash="hash" if is_published and not position else None,
                hash_due=not is_published and not position,
            )
    _insert(tx, "audit", number=1, at=7, actor="a", event="e", subject="s", data="{}", hash=b"hash")
    if version > 1:
        for number, revoked_at in ((1, 7), (2, None)):
            _insert(
                tx,
                "tokens",
                token_id=f"tok_{number}",
                name="laptop",
                role="owner",
                hash=bytes([number]),
                created_by="local:jane",
                created_at=1_000,
                revoked_at=revoked_at,
            )


def fill_batch_of_schema_4(
    tx: Transaction, number: int, published_at: int | None, lastnames: Sequence[str | None]
) -> None:
    """Insert a batch with a user for each last name into tables of schema 4."""
    _insert_batch(tx, number, published_at)
    for position, lastname in enumerate(lastnames):
        email = f"user{position}@batch{number}.org"
        _insert(
            tx,
            "users",
            batch=number,
            user_id=f"usr_{number:024x}{position:08x}",
            email_key=email,
            name="Jane",
            name_folded="jane",
            email=email,
            lastname=lastname,
            is_sso_user=False,
            hash_due=False,
        )


def _insert_batch(tx: Transaction, number: int, published_at: int | None) -> None:
    _insert(
        tx,
        "batches",
        id=number,
        batch_id=f"bat_{number:024x}",
        idempotency_key=f"key-{number}",
        state="open" if published_at is None else "published",
        if_exists="fail",
        opened_by="local:jane",
        opened_at=1_000,
        touched_at=1_000,
        published_by="local:joe" if published_at else None,
        published_at=published_at,
    )


def _insert(tx: Transaction, table: str, **values: object) -> None:
    marks = ", ".join("?" * len(values))
    overriding = ""
    if table == "batches" and not _is_sqlite(tx):
        overriding = "overriding system value"
    sql = f"insert into {table} ({', '.join(values)}) {overriding} values ({marks})"
    execute_sql(tx, sql, tuple(values.values()))


def all_rows(tx: Transaction, tables: dict[str, str]) -> dict[str, list[dict[str, object]]]:
    """Return the rows of tables, by the names of their columns.

    Args:
        tx: the transaction.
        tables: what a table is called in the result, and in the database.
    """
    found = {}
    for name, table in tables.items():
        cursor = execute_sql(tx, f"select * from {table} order by 1, 2")
        columns = [column[0] for column in cursor.description]
        found[name] = [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]
    return found


class OldDatabase:
    """A database that commit f2874bc made, with a state file of its client: fixtures/README.md.

    Args:
        database: an empty database: a file that does not exist, or a URL.
        patch: for the schema of before.
    """

    def __init__(self, database: Path | str, patch: pytest.MonkeyPatch) -> None:
        self.database = database
        kind = "sqlite" if isinstance(database, Path) else "postgres"
        self._dump = (_FIXTURES / f"f2874bc-{kind}.sql").read_text(encoding="utf-8")
        details = (_FIXTURES / f"f2874bc-{kind}.json").read_text(encoding="utf-8")
        self.details: dict[str, Any] = json.loads(details)
        self._restore(patch)

    def place_run(self, data: Path, target: str, users_file: Path) -> None:
        """Write the users file, and the state file of its run as its client left it.

        Args:
            data: the data directory of the client.
            target: the control plane, as the client names it.
            users_file: the path of the users file.
        """
        users_file.write_text(self.details["users_file"], encoding="utf-8")
        state = self.details["state_file"]
        time = json.loads(state.splitlines()[0])["stamp"][1]
        os.utime(users_file, ns=(time, time))
        name = hashlib.sha256(f"{target}\0{users_file}".encode()).hexdigest()[:32]
        path = data / "runs" / f"{name}.run"
        path.parent.mkdir(mode=0o700, parents=True)
        path.touch(0o600)
        path.write_text(state.replace("USERS_FILE", str(users_file)), encoding="utf-8")

    def execute(self, sql: str) -> None:
        """Run a statement, before the database is migrated."""
        if isinstance(self.database, Path):
            with sqlite3.connect(self.database) as connection:
                connection.execute(sql)
            connection.close()
        else:
            with psycopg.connect(self.database) as postgres:
                postgres.execute(sql.encode())

    def _restore(self, patch: pytest.MonkeyPatch) -> None:
        if isinstance(self.database, Path):
            self.database.parent.mkdir(mode=0o700, parents=True)
            connection = sqlite3.connect(self.database)
            connection.executescript(self._dump)
            connection.close()
        else:
            with patch.context() as old:
                know_steps(old, 3)
                PostgresStore(self.database).close()
            with psycopg.connect(self.database) as postgres:
                postgres.execute(self._dump.encode())
        # As if its client had been at work a moment ago: the batch has not expired.
        now = "cast(strftime('%s') as integer)" if isinstance(self.database, Path) else _NOW
        self.execute(f"update batches set touched_at = {now} * 1000 where state = 'open'")


_NOW = "extract(epoch from now())::bigint"


def _is_sqlite(tx: Transaction) -> bool:
    connection: Any = tx.connection.driver_connection  # type: ignore[attr-defined]  # only the connections of the stores have it
    return isinstance(connection, sqlite3.Connection)
