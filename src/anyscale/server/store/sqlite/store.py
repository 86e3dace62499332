"""A store in one SQLite file: WAL, every commit on disk, one writer at a time."""

import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import NamedTuple

from anyscale.errors import StoreUnavailable
from anyscale.server.store.interface import Transaction
from anyscale.server.store.schema_versions import NOTHING_YET, require_current, steps_of
from anyscale.server.store.sqlite.connection import SqliteConnection
from anyscale.server.store.sqlite.database_file import (
    check_path,
    create_file,
    is_at_rest,
    make_private,
)
from anyscale.server.store.sqlite.errors import BUSY_SECONDS, translated
from anyscale.server.store.sqlite.insert_users import SqliteUsers
from anyscale.server.store.sqlite.migrate import NOT_OURS, is_ours, migrate, schema_version
from anyscale.server.store.sqlite.writer_lock import WriterLock

__all__ = ["SqliteStore"]

#: Seconds of `BUSY_SECONDS` to wait inside SQLite, where neither Ctrl-C nor `close` is noticed.
_BUSY_STEP = 0.5

# Each chunk of a large batch changes most pages of the emails' index, and each page has a cost of
# its own in the log and in the file. A file keeps the size that it was created with, which was
# 4 KiB earlier.
_PAGE_SIZE = "pragma page_size = 16384"

#: Bytes of the log. The later it is copied into the file, the less often a page is written back.
_CHECKPOINT_AFTER = 96 << 20

# KiB. Inserting into the unique index on emails in random order is what needs it: a page that finds
# no room is written before the commit, perhaps more than once. Connections that only read keep
# SQLite's default, 2 MB, since a server has many.
_WRITER_CACHE = "pragma cache_size = -24576"

#: Transactions that are not durable between two checkpoints: so few that their log is smaller.
_CHECKPOINT_EVERY = 16

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


class SqliteStore:
    """A store in a file that only its owner can read.

    Args:
        path: of the file.
        create: whether to create the file and its folder. A schema that exists is migrated in any
            case.

    Raises:
        StoreUnavailable: the file cannot be opened, or is no database.
    """

    def __init__(self, path: Path, *, create: bool = True) -> None:
        self.path = path
        self._writing = WriterLock()
        self._is_closed = False
        self._written_behind = 0
        self._mode = "rw"
        self._idle: list[_Session] = []
        with translated(path):
            if create:
                create_file(path)
            elif not check_path(path):
                raise StoreUnavailable(f"{path}: {NOTHING_YET}")
            elif is_at_rest(path):
                self._mode = "ro&immutable=1"
            with _lock_folder(path) if create else nullcontext():
                self._writer = self._connect_to_ours()
                try:
                    # First, since a migration may fill indexes in random order too.
                    self._writer.connection.execute(_WRITER_CACHE)
                    _set_autocheckpoint(self._writer.connection)
                    self._set_up(self._writer.connection, create=create)
                    milliseconds = int(min(BUSY_SECONDS, _BUSY_STEP) * 1000)
                    self._writer.connection.execute(f"pragma busy_timeout = {milliseconds}")
                except BaseException:
                    self._writer.connection.close()
                    raise

    @property
    def is_blank(self) -> bool:
        return self.schema() == 0

    def schema(self) -> int:
        with self._reader() as session, translated(self.path):
            return schema_version(session.connection)

    def ready(self) -> None:
        require_current(self.schema(), max(steps_of("sqlite")))

    def close(self) -> None:
        """Close all connections; the last one copies the write-ahead log into the file.

        SQLite crashes if a connection is closed while a thread uses it. So this waits for the
        transaction of another thread that writes, and a transaction that reads closes its
        connection when it ends. A transaction of the calling thread was cut short by an interrupt,
        and is rolled back.
        """
        self._is_closed = True
        self._close_idle()
        self._writing.leave()
        with self._writing.lock():
            self._writer.connection.close()

    @contextmanager
    def write(
        self, *, durable: bool = True, patience: float | None = None, is_slice: bool = False
    ) -> Iterator[Transaction]:
        """Start a transaction that may write, once no other one writes."""
        with self._lock_writer(patience, is_slice=is_slice) as left:
            self._require_open()
            with nullcontext() if durable else _write_behind(self._writer.connection):
                yield from self._transaction(
                    self._writer, "begin immediate", outcome_unknown=True, patience=left
                )
        if not durable:
            self._checkpoint_at_times()

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        with self._reader() as session:
            yield from self._transaction(session, "begin")

    @contextmanager
    def _lock_writer(self, patience: float | None, *, is_slice: bool) -> Iterator[float | None]:
        """Wait for the other threads that write; give what is left of the patience."""
        started = time.monotonic()
        with self._writing.lock(patience, is_slice=is_slice) as is_locked:
            if not is_locked:
                raise StoreUnavailable(f"{self.path}: other threads have been writing for too long")
            yield None if patience is None else patience - (time.monotonic() - started)

    def _checkpoint_at_times(self) -> None:
        """Copy the log into the file now and then, while others write."""
        self._written_behind += 1
        if self._written_behind % _CHECKPOINT_EVERY == 0:
            with self._reader() as session, translated(self.path):
                session.connection.execute("pragma wal_checkpoint(passive)").fetchall()

    def _set_up(self, connection: sqlite3.Connection, *, create: bool) -> None:
        if create:
            connection.execute("pragma journal_mode = wal")
        self.found_schema = schema_version(connection)
        if create or self.found_schema:
            migrate(connection)

    def _transaction(
        self,
        session: "_Session",
        begin: str,
        *,
        outcome_unknown: bool = False,
        patience: float | None = None,
    ) -> Iterator[Transaction]:
        connection = session.connection
        try:
            with translated(self.path):  # here nothing has begun yet
                self._begin(connection, begin, BUSY_SECONDS if patience is None else patience)
            with translated(self.path, outcome_unknown=outcome_unknown):
                yield session.tx
                connection.execute("commit")
        except BaseException:
            with suppress(sqlite3.ProgrammingError):  # it was closed after an interrupt
                if connection.in_transaction:
                    connection.execute("rollback")
            raise

    def _begin(self, connection: sqlite3.Connection, begin: str, patience: float) -> None:
        """Begin a transaction, as soon as no other process writes."""
        deadline = time.monotonic() + patience
        while True:
            try:
                connection.execute(begin)
            except sqlite3.OperationalError as error:
                is_busy = error.sqlite_errorname.startswith("SQLITE_BUSY")
                if not is_busy or self._is_closed or time.monotonic() > deadline:
                    raise
            else:
                return

    @contextmanager
    def _reader(self) -> Iterator["_Session"]:
        self._require_open()
        with translated(self.path):
            session = self._pop_idle() or self._connect()
        try:
            yield session
        finally:
            self._idle.append(session)
            if self._is_closed:
                self._close_idle()

    def _pop_idle(self) -> "_Session | None":
        try:
            return self._idle.pop()  # without a check first: another thread may take the last one
        except IndexError:
            return None

    def _close_idle(self) -> None:
        while session := self._pop_idle():
            session.connection.close()

    def _require_open(self) -> None:
        if self._is_closed:
            raise StoreUnavailable(f"{self.path} is closed")

    def _connect_to_ours(self) -> "_Session":
        """Connect, and take the file from other users if it is a control plane's."""
        session = self._connect()
        is_ready = False
        try:
            if not is_ours(session.connection):
                raise StoreUnavailable(f"{self.path}: {NOT_OURS}")
            is_ready = self._mode != "rw" or not self.path.lstat().st_mode & 0o077
        finally:
            if not is_ready:
                session.connection.close()
        if is_ready:
            return session
        make_private(self.path)
        return self._connect()

    def _connect(self) -> "_Session":
        connection = sqlite3.connect(
            f"{self.path.absolute().as_uri()}?mode={self._mode}",
            uri=True,
            timeout=BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            for pragma in _PRAGMAS:
                connection.execute(pragma)
            statements = SqliteConnection(connection)
        except BaseException:
            connection.close()
            raise
        return _Session(connection, Transaction(statements, SqliteUsers(statements)))


class _Session(NamedTuple):
    """A connection, and the object for each of its transactions, one after the other."""

    connection: sqlite3.Connection
    tx: Transaction


@contextmanager
def _write_behind(connection: sqlite3.Connection) -> Iterator[None]:
    """Let commits leave the log to the operating system; the next other commit has it written.

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


@contextmanager
def _lock_folder(path: Path) -> Iterator[None]:
    """Let one process at a time set the file up: SQLite fails if two switch to WAL at once."""
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
