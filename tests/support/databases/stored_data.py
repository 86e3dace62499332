"""Read what a database stores, below the rules of the store."""

import shutil
import sqlite3
from pathlib import Path
from typing import Any, NamedTuple

from anyscale.server.store.transaction import Transaction


def execute_sql(tx: Transaction, sql: str, values: tuple[object, ...] = ()) -> Any:
    """Run a statement, written with `?`, on the connection of a transaction; give its cursor."""
    connection = tx.connection.driver_connection  # type: ignore[attr-defined]  # only the connections of the stores have it
    mark = "?" if isinstance(connection, sqlite3.Connection) else "%s"
    return connection.execute(sql.replace("?", mark), values)


_ACCOUNTS = """
    select email from users join batches on batches.id = users.batch
    where state = 'published' order by email
"""


class StoredRows(NamedTuple):
    """The rows of a database, of published and open batches."""

    emails: list[str]
    #: the emails of accounts, which are the rows of published batches
    accounts: list[str]
    #: email -> PHC string
    hashes: dict[str, str]
    #: batch_id -> state
    batches: dict[str, str]


def read_database_copy(data: Path, copy: Path) -> StoredRows:
    """Read a copy of a data directory's database, which has to pass SQLite's integrity check.

    A copy, because opening the database itself would replay its log.
    """
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir()
    for file in data.glob("anyscale.db*"):
        if not file.name.endswith("-shm"):  # SQLite rebuilds it from the log
            shutil.copy(file, copy)
    path = copy / "anyscale.db"
    if not path.exists():
        return StoredRows([], [], {}, {})
    connection = sqlite3.connect(path)
    try:
        assert connection.execute("pragma integrity_check").fetchall() == [("ok",)]
        if not connection.execute("select 1 from sqlite_master").fetchone():
            return StoredRows([], [], {}, {})
        query = connection.execute("select email, password_hash from users order by email")
        users = dict(query.fetchall())
        published = connection.execute(_ACCOUNTS).fetchall()
        batches = dict(connection.execute("select batch_id, state from batches").fetchall())
    finally:
        connection.close()
    hashes = {email: phc for email, phc in users.items() if phc}
    return StoredRows(list(users), [email for (email,) in published], hashes, batches)


def run_state_files(data: Path) -> list[Path]:
    """List the state files of unfinished runs."""
    return sorted((data / "runs").glob("*"))


def query_database(data: Path, sql: str) -> list[tuple[object, ...]]:
    """Query the database of a running command; give nothing while there is none."""
    try:
        connection = sqlite3.connect(f"file:{data / 'anyscale.db'}?mode=ro", uri=True)
    except sqlite3.OperationalError:
        return []
    try:
        return connection.execute(sql).fetchall()
    except sqlite3.OperationalError:
        return []
    finally:
        connection.close()
