"""Look at a SQLite database, and leave every file of its folder as it is."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from anyscale.errors import StoreUnavailable
from anyscale.server.store.database_facts import DatabaseFacts
from anyscale.server.store.schema_versions import NOTHING_YET, steps_of
from anyscale.server.store.sqlite.connection import SqliteConnection
from anyscale.server.store.sqlite.database_file import check_path
from anyscale.server.store.sqlite.errors import translated
from anyscale.server.store.sqlite.insert_users import SqliteUsers
from anyscale.server.store.sqlite.migrate import NOT_OURS, is_ours, schema_version
from anyscale.server.store.transaction import Transaction

#: the versions for writing and reading of a file with a write-ahead log, where its header has them
#: (https://www.sqlite.org/fileformat2.html, 1.3). The pragma does not tell of a file at rest.
_LOGGED, _LOGGED_AT = b"\x02\x02", slice(18, 20)

#: seconds to wait for another process, which locks the file for a moment when it starts or ends
_BUSY = 5.0


@contextmanager
def open_read_only(path: Path) -> Iterator[tuple[DatabaseFacts, Transaction]]:
    """Read the facts of a database, and start a read-only transaction.

    Raises:
        StoreUnavailable: there is no file, it cannot be read, or it is not a control plane's.
    """
    with translated(path):
        if not check_path(path):
            raise StoreUnavailable(f"{path}: {NOTHING_YET}")
        # This comes before the connection, whose locks would end when this file is closed.
        with path.open("rb") as file:
            has_log = file.read(_LOGGED_AT.stop)[_LOGGED_AT] == _LOGGED
        uri = f"{path.absolute().as_uri()}?{_mode(path)}"
        connecting = sqlite3.connect(uri, uri=True, timeout=_BUSY, isolation_level=None)
        with closing(connecting) as connection:
            connection.execute("begin")
            if not is_ours(connection):
                raise StoreUnavailable(f"{path}: {NOT_OURS}")
            statements = SqliteConnection(connection)
            yield (
                _facts(statements, has_log=has_log),
                Transaction(statements, SqliteUsers(statements)),
            )


def _mode(path: Path) -> str:
    """Return the mode that lets SQLite create no file.

    Even if it only reads, it creates the write-ahead log and its index where they are missing.
    They are there while another process has the database open.
    """
    log, index = (path.with_name(f"{path.name}{suffix}") for suffix in ("-wal", "-shm"))
    if not log.exists():
        return "mode=ro&immutable=1"
    if not index.exists():
        raise StoreUnavailable(
            f"{log}: a server that was killed has left it, and only a start of the server reads it"
        )
    return "mode=ro"


def _facts(connection: SqliteConnection, *, has_log: bool) -> DatabaseFacts:
    return DatabaseFacts(
        product=f"SQLite {sqlite3.sqlite_version}",
        schema=schema_version(connection.driver_connection),
        newest=max(steps_of("sqlite")),
        now=connection.now(),
        has_write_ahead_log=has_log,
    )
