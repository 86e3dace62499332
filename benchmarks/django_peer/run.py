"""Create an empty database with our schema, and run Django on it."""

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.postgres import PostgresServer, with_database

from anyscale.server.core.batches.reserve import new_batch
from anyscale.server.store.interface import Store
from anyscale.server.store.postgres.store import PostgresStore
from anyscale.server.store.sqlite.store import SqliteStore

__all__ = ["PYTHON", "django_on_postgres", "django_on_sqlite"]

#: of the environment that has Django and matplotlib
PYTHON = Path(sys.executable).parent.parent / "bench" / "bin" / "python"


def django_on_sqlite(folder: Path, count: int) -> float:
    """Return the seconds of `bulk_create` in a new SQLite database."""
    database = folder / "django.db"
    _add_batch(SqliteStore(database))
    seconds = _seconds(str(database), count)
    for path in folder.glob("django.db*"):
        path.unlink()
    return seconds


def django_on_postgres(server: PostgresServer, count: int) -> float:
    """Return the seconds of `bulk_create` in a new database of a PostgreSQL server."""
    with _database(server) as url:
        _add_batch(PostgresStore(url))
        server.execute("checkpoint")
        return _seconds(url, count)


@contextmanager
def _database(server: PostgresServer) -> Iterator[str]:
    name = f"django_{secrets.token_hex(4)}"
    server.execute(f"create database {name} encoding 'UTF8' template template0")
    yield with_database(server.url, name)
    server.execute(f"drop database {name}")


def _add_batch(store: Store) -> None:
    with store.write() as tx:
        tx.batches.add(new_batch(tx, "key", "fail", "local:bench"))
    store.close()


def _seconds(database: str, count: int) -> float:
    command = [str(PYTHON), "-m", "benchmarks.django_peer", database, str(count)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=os.environ, text=True)
    seconds: float = json.loads(done.stdout)["seconds"]
    return seconds
