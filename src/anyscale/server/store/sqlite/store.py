"""The rows in one SQLite file: WAL, every commit on disk, one writer at a time."""

import fcntl
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from anyscale.errors import StoreUnavailable
from anyscale.server.store.schema_versions import NOTHING_YET, require_current, steps_of
from anyscale.server.store.sql.connection import Connection
from anyscale.server.store.sql.transaction import SqlTransaction
from anyscale.server.store.sqlite.driver import SqliteDriver
from anyscale.server.store.sqlite.migrate import migrate, schema_version
from anyscale.server.store.sqlite.users import SqliteUsers

__all__ = ["SqliteStore"]

#: seconds to wait for another process's transaction
_BUSY = 60.0

_PRAGMAS = (
    # FULL: in a simulated power cut NORMAL lost every commit since the last checkpoint.
    "pragma synchronous = full",
    # KiB. The unique index on emails in random order is what needs it.
    "pragma cache_size = -16384",
    # Pages of 4 KiB, so 64 MB. Each claim of a large batch touches most pages of the emails' index;
    # the later the checkpoint, the less often each is written back.
    "pragma wal_autocheckpoint = 16000",
    "pragma temp_store = memory",
    # A row that is erased leaves nothing behind. Some builds of SQLite do so unasked, and not all.
    "pragma secure_delete = on",
)


class SqliteStore:
    """A store in one file, readable by its owner alone.

    Args:
        path: of the file. It and its folder are made if `create` says so.
        create: whether to write anything at all when opening.

    Raises:
        StoreUnavailable: it cannot be opened, or is no database.
    """

    def __init__(self, path: Path, *, create: bool = True) -> None:
        self.path = path
        self._writing = threading.Lock()
        self._is_closed = False
        self._idle: list[sqlite3.Connection] = []
        with _translated(path):
            if create:
                _make_private(path)
            elif not path.exists():
                raise StoreUnavailable(f"{path}: {NOTHING_YET}")
            self._writer = self._connect()
            try:
                self._set_up(create=create)
            except BaseException:
                self._writer.close()
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    is_near = True

    @property
    def is_blank(self) -> bool:
        """Whether nothing was ever set up in the file, as after a first use that was killed."""
        with self._reader() as connection, _translated(self.path):
            return schema_version(connection) == 0

    def ready(self) -> None:
        """See `base.Store`."""
        with self._reader() as connection, _translated(self.path):
            found = schema_version(connection)
        require_current(found, max(steps_of("sqlite")))

    def close(self) -> None:
        """Close all connections; the last one folds the write-ahead log back into the file.

        SQLite does not survive that a thread's connection is closed under it: a transaction that
        writes is waited for, so none may close its own store, and one that reads closes its own
        connection when it ends.
        """
        self._is_closed = True
        self._close_idle()
        with self._writing:
            self._writer.close()

    @contextmanager
    def write(self) -> Iterator[SqlTransaction]:
        """Begin a transaction that may write, when no other one does."""
        with self._writing:
            self._require_open()
            yield from self._transaction(self._writer, "begin immediate", begun=True)

    @contextmanager
    def read(self) -> Iterator[SqlTransaction]:
        """Begin a transaction that sees one state, whatever a writer does meanwhile."""
        with self._reader() as connection:
            yield from self._transaction(connection, "begin")

    def _set_up(self, *, create: bool) -> None:
        if create:
            with _alone(self.path):
                self._writer.execute("pragma journal_mode = wal")
                migrate(self._writer)
        elif schema_version(self._writer):
            migrate(self._writer)

    def _transaction(
        self, connection: sqlite3.Connection, begin: str, *, begun: bool = False
    ) -> Iterator[SqlTransaction]:
        try:
            with _translated(self.path):  # one that could not begin has left nothing to ask about
                connection.execute(begin)
            with _translated(self.path, begun=begun):
                yield _transaction_on(connection)
                connection.execute("commit")
        except BaseException:
            if connection.in_transaction:
                connection.execute("rollback")
            raise

    @contextmanager
    def _reader(self) -> Iterator[sqlite3.Connection]:
        self._require_open()
        connection = self._taken() or self._connected()
        try:
            yield connection
        finally:
            self._idle.append(connection)
            if self._is_closed:
                self._close_idle()

    def _taken(self) -> sqlite3.Connection | None:
        try:
            return self._idle.pop()  # not asked for first: another thread may take the last one
        except IndexError:
            return None

    def _connected(self) -> sqlite3.Connection:
        with _translated(self.path):
            return self._connect()

    def _close_idle(self) -> None:
        while connection := self._taken():
            connection.close()

    def _require_open(self) -> None:
        if self._is_closed:
            raise StoreUnavailable(f"{self.path} is closed")

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"{self.path.absolute().as_uri()}?mode=rw",
            uri=True,
            timeout=_BUSY,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            for pragma in _PRAGMAS:
                connection.execute(pragma)
        except BaseException:
            connection.close()
            raise
        connection.create_function("folded", 1, str.casefold, deterministic=True)
        # SQLite has it since 3.43.
        connection.create_function("octet_length", 1, _octet_length, deterministic=True)
        return connection


def _transaction_on(sqlite: sqlite3.Connection) -> SqlTransaction:
    connection = Connection(SqliteDriver(sqlite))
    return SqlTransaction(connection, SqliteUsers(connection, sqlite))


def _octet_length(text: str) -> int:
    return len(text.encode())


def _make_private(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        # Files of before, or of a wide umask's copy. SQLite gives its journals the same mode.
        if os.fstat(descriptor).st_mode & 0o077:
            os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Let one process at a time set the file up: two that switch to WAL at once fail at once."""
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


_REASONS = {
    "SQLITE_FULL": "the disk is full: make room, then run the same command again",
    "SQLITE_BUSY": f"another process has been writing for {_BUSY:.0f} s: try again later",
    "SQLITE_READONLY": "it is read-only for this user",
    "SQLITE_CANTOPEN": "it cannot be opened: check the folder and its permissions",
    "SQLITE_NOTADB": "the file is not a database",
    # SQLite says so of a disk that cannot read as well.
    "SQLITE_CORRUPT": "it is damaged or the disk fails: see to the disk, or restore a backup",
    "SQLITE_IOERR_SHMSIZE": "the disk is full or fails: make room, then run the same command again",
    "SQLITE_IOERR": "reading or writing the disk failed",
}


@contextmanager
def _translated(path: Path, *, begun: bool = False) -> Iterator[None]:
    """Turn what SQLite and the file system say into our error."""
    try:
        yield
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", "") or ""
        reason = next((text for key, text in _REASONS.items() if name.startswith(key)), None)
        raise StoreUnavailable(f"{path}: {reason or error}", outcome_unknown=begun) from error
    except OSError as error:
        raise StoreUnavailable(
            f"{path}: {error.strerror or error}", outcome_unknown=begun
        ) from error
