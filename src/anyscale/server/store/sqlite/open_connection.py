"""Opens connections to a SQLite file, and sets when their commits reach the disk and the file."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from anyscale.server.store.sqlite.errors import BUSY_SECONDS

# Each chunk of a large batch changes most pages of the emails' index, and each page has a cost of
# its own in the log and in the file. A file keeps the size that it was created with.
_PAGE_SIZE = "pragma page_size = 16384"

#: Bytes of the log. The later it is copied into the file, the less often a page is written back.
_CHECKPOINT_AFTER = 96 << 20

# KiB. Inserting into the unique index on emails in random order is what needs it: a page that finds
# no room is written before the commit, perhaps more than once. Connections that only read keep
# SQLite's default, 2 MB, since a server has many.
_WRITER_CACHE = "pragma cache_size = -24576"

_PRAGMAS = (
    _PAGE_SIZE,
    # FULL: in a simulated power cut NORMAL lost every commit since the last checkpoint.
    "pragma synchronous = full",
    "pragma temp_store = memory",
    # A deleted row is overwritten. Some builds of SQLite do so by default.
    "pragma secure_delete = on",
    # Checking the batch of each user costs too much; some builds of SQLite do so by default.
    "pragma foreign_keys = off",
)


def open_connection(path: Path, mode: str) -> sqlite3.Connection:
    """Open a connection that any thread may use, one at a time.

    `mode` is the parameter of SQLite's URI.
    """
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        for pragma in _PRAGMAS:
            connection.execute(pragma)
    except BaseException:
        connection.close()
        raise
    return connection


def prepare_writer(connection: sqlite3.Connection) -> None:
    """Set the cache and the checkpoints of the connection that writes."""
    connection.execute(_WRITER_CACHE)
    _set_autocheckpoint(connection)


@contextmanager
def write_behind(connection: sqlite3.Connection) -> Iterator[None]:
    """Make commits that do not wait for the disk; the next other commit writes them too.

    They make no checkpoint either, for which all other writers would wait.
    """
    connection.execute("pragma synchronous = normal")
    connection.execute("pragma wal_autocheckpoint = 0")
    try:
        yield
    finally:
        connection.execute("pragma synchronous = full")
        _set_autocheckpoint(connection)


def _set_autocheckpoint(connection: sqlite3.Connection) -> None:
    """Let a commit copy the log into the file if the log has become long."""
    (page_size,) = connection.execute("pragma page_size").fetchone()
    connection.execute(f"pragma wal_autocheckpoint = {_CHECKPOINT_AFTER // page_size}")
