"""Lock a database at a chosen moment, and wait until others wait for a lock."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Protocol

from tests.support.databases.stored_data import execute_sql
from tests.support.waiting import wait_until

from anyscale.server.store.sqlite.store import SqliteStore
from anyscale.server.store.transaction import Store, Transaction

#: counts the users whose passwords are hashed
HASHED = "select count(*) from users where password_hash is not null"

_OPEN = "select count(*) from batches where state = 'open'"

_BLOCKED = """
    select count(distinct pid) from pg_locks join pg_stat_activity using (pid)
    where not granted and datname = current_database()
"""


class _Process(Protocol):
    def poll(self) -> int | None: ...


def count_in(database: Path, sql: str) -> int:
    """Return the number that a query of a SQLite file gives; 0 if it has no tables yet."""
    if not database.exists():
        return 0
    with closing(sqlite3.connect(database, timeout=30)) as connection:
        try:
            return int(connection.execute(sql).fetchone()[0])
        except sqlite3.OperationalError:
            return 0


@contextmanager
def locked_when(process: _Process, database: Path, sql: str, more_than: int = 0) -> Iterator[None]:
    """Lock a SQLite file for the block, as soon as a query gives a larger number.

    The batch of a process that writes it is open then, and stays open until the block ends.
    """

    def is_due() -> bool:
        assert process.poll() is None, getattr(process, "stderr", "")
        return count_in(database, sql) > more_than

    wait_until(is_due)
    with closing(sqlite3.connect(database, timeout=30, isolation_level=None)) as connection:
        connection.execute("begin immediate")
        assert connection.execute(_OPEN).fetchone()[0], "the batch ended too early"
        yield
        connection.execute("rollback")


def wait_until_blocked(store: Store, tx: Transaction, transactions: int = 1) -> None:
    """Wait until so many transactions wait for a lock, while `tx` is the one that writes."""
    wait_until(_blocked_in(store, tx, transactions))


def _blocked_in(store: Store, tx: Transaction, transactions: int) -> Callable[[], bool]:
    if isinstance(store, SqliteStore):
        line = store._writing._line
        return lambda: len(line) > transactions  # `tx` is the first one in it

    def are_blocked() -> bool:
        execute_sql(tx, "select pg_stat_clear_snapshot()")
        return bool(execute_sql(tx, _BLOCKED).fetchone()[0] >= transactions)

    return are_blocked
