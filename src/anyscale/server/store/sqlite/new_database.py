"""A new SQLite file that is filled at once, and appears under its name when it is whole."""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from anyscale.disk import flush, give_name
from anyscale.errors import StoreUnavailable
from anyscale.server.store.sqlite.connection import SqliteConnection
from anyscale.server.store.sqlite.database_file import create_file
from anyscale.server.store.sqlite.errors import translated
from anyscale.server.store.sqlite.migrate import migrate
from anyscale.server.store.sqlite.open_connection import open_connection
from anyscale.server.store.sqlite.server_lock import lock_without_server

# No other process knows the file, and after a crash it is removed: no journal is needed. The index
# of the ids is filled in random order, for which the cache has room: 128 MiB.
_FILLING = (
    "pragma journal_mode = off",
    "pragma synchronous = off",
    "pragma cache_size = -131072",
)


@contextmanager
def new_sqlite(path: Path) -> Iterator[SqliteConnection]:
    """Give the connection to a new database, which is complete at the end of the block.

    It is filled under another name. If the block fails, or the process is killed, nothing has the
    name `path`; what a killed process left is removed by the next call.

    Raises:
        StoreUnavailable: there is something at the path, or it cannot be written.
    """
    part = path.with_name(f"{path.name}-copy")
    with translated(path):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _refuse_existing(path)
        with lock_without_server(path):
            part.unlink(missing_ok=True)
            try:
                create_file(part)
                yield from _fill(part)
                _publish(part, path)
            finally:
                part.unlink(missing_ok=True)


def _refuse_existing(path: Path) -> None:
    # SQLite would apply the journal of an earlier file to the new one.
    for existing in (path, *(path.with_name(f"{path.name}{end}") for end in ("-wal", "-shm"))):
        if os.path.lexists(existing):
            raise StoreUnavailable(
                f"{existing}: it exists, and a copy needs a new file: name another one, or move it "
                "away"
            )


def _fill(part: Path) -> Iterator[SqliteConnection]:
    with closing(open_connection(part, "rw")) as connection:
        for pragma in _FILLING:
            connection.execute(pragma)
        migrate(connection)
        connection.execute("begin")
        yield SqliteConnection(connection)
        connection.execute("commit")
        connection.execute("pragma journal_mode = wal")


def _publish(part: Path, path: Path) -> None:
    """Write a file to the disk and give it its name, unless something has the name by now."""
    flush(part)
    give_name(part, path)
    part.unlink(missing_ok=True)
    flush(path.parent)
