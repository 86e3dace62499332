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
from anyscale.server.store.schema_versions import NOTHING_YET, require_current, steps_of
from anyscale.server.store.sqlite.connection import SqliteConnection
from anyscale.server.store.sqlite.database_file import (
    check_path,
    create_file,
    has_room,
    is_at_rest,
    make_private,
)
from anyscale.server.store.sqlite.errors import BUSY_SECONDS, translated
from anyscale.server.store.sqlite.insert_users import SqliteUsers
from anyscale.server.store.sqlite.migrate import NOT_OURS, is_ours, migrate, schema_version
from anyscale.server.store.sqlite.open_connection import (
    open_connection,
    prepare_writer,
    write_behind,
)
from anyscale.server.store.sqlite.writer_lock import WriterLock
from anyscale.server.store.transaction import Transaction

#: In place of a path, for a database that stays empty: each connection has its own one in memory.
IN_MEMORY = Path(":memory:")

#: Seconds of `BUSY_SECONDS` to wait inside SQLite, where neither Ctrl-C nor `close` is noticed.
_BUSY_STEP = 0.5

#: Transactions that are not durable between two checkpoints: so few that their log is smaller.
_CHECKPOINT_EVERY = 16


class SqliteStore:
    """A store in a file that only its owner can read.

    Args:
        path: of the file, or `IN_MEMORY`.
        create: whether to create the file and its folder. A schema that exists is migrated in any
            case.
        has_provider: whether SSO users can sign in at an identity provider.

    Raises:
        StoreUnavailable: the file cannot be opened, or is not a database.
    """

    def __init__(self, path: Path, *, create: bool = True, has_provider: bool = False) -> None:
        self.path = path
        self._has_provider = has_provider
        self._writing = WriterLock()
        self._is_closed = False
        #: how many transactions were not durable
        self._written_behind = 0
        self._idle: list[_OpenConnection] = []
        with translated(path):
            self._mode = _prepare_file(path, create=create)
            with _lock_folder(path) if create else nullcontext():
                self._writer = self._open_writer(create=create)

    @property
    def is_blank(self) -> bool:
        return self.schema() == 0

    def schema(self) -> int:
        with self._reader() as opened, translated(self.path):
            return schema_version(opened.connection)

    def ready(self) -> bool:
        require_current(self.schema(), max(steps_of("sqlite")))
        with translated(self.path):
            return has_room(self.path)

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
        with self._lock_writer(patience, is_slice=is_slice) as remaining:
            self._require_open()
            with nullcontext() if durable else write_behind(self._writer.connection):
                yield from self._transaction(
                    self._writer, "begin immediate", outcome_unknown=True, patience=remaining
                )
        if not durable:
            self._checkpoint_at_times()

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        with self._reader() as opened:
            yield from self._transaction(opened, "begin")

    @contextmanager
    def _lock_writer(self, patience: float | None, *, is_slice: bool) -> Iterator[float | None]:
        """Wait for the other threads that write; give the remaining patience."""
        started = time.monotonic()
        with self._writing.lock(patience, is_slice=is_slice) as is_locked:
            if not is_locked:
                raise StoreUnavailable(f"{self.path}: other threads have been writing for too long")
            yield None if patience is None else patience - (time.monotonic() - started)

    def _checkpoint_at_times(self) -> None:
        """Copy the log into the file now and then, while others write."""
        self._written_behind += 1
        if self._written_behind % _CHECKPOINT_EVERY == 0:
            with self._reader() as opened, translated(self.path):
                opened.connection.execute("pragma wal_checkpoint(passive)").fetchall()

    def _open_writer(self, *, create: bool) -> "_OpenConnection":
        """Open the connection that writes, and create or migrate the schema."""
        opened = self._connect_to_ours()
        try:
            # This comes before the migration, which may fill indexes in random order too.
            prepare_writer(opened.connection)
            self._set_up(opened.connection, create=create)
            milliseconds = int(min(BUSY_SECONDS, _BUSY_STEP) * 1000)
            opened.connection.execute(f"pragma busy_timeout = {milliseconds}")
        except BaseException:
            opened.connection.close()
            raise
        return opened

    def _set_up(self, connection: sqlite3.Connection, *, create: bool) -> None:
        if create:
            connection.execute("pragma journal_mode = wal")
        self.found_schema: int = schema_version(connection)
        if create or self.found_schema:
            migrate(connection)

    def _transaction(
        self,
        opened: "_OpenConnection",
        begin: str,
        *,
        outcome_unknown: bool = False,
        patience: float | None = None,
    ) -> Iterator[Transaction]:
        connection = opened.connection
        try:
            with translated(self.path):  # no statement of the transaction has run yet
                self._begin(connection, begin, BUSY_SECONDS if patience is None else patience)
            with translated(self.path, outcome_unknown=outcome_unknown):
                yield opened.tx
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
    def _reader(self) -> Iterator["_OpenConnection"]:
        self._require_open()
        with translated(self.path):
            opened = self._pop_idle() or self._connect()
        try:
            yield opened
        finally:
            self._idle.append(opened)
            if self._is_closed:
                self._close_idle()

    def _pop_idle(self) -> "_OpenConnection | None":
        try:
            return self._idle.pop()  # without a check first: another thread may take the last one
        except IndexError:
            return None

    def _close_idle(self) -> None:
        while opened := self._pop_idle():
            opened.connection.close()

    def _require_open(self) -> None:
        if self._is_closed:
            raise StoreUnavailable(f"{self.path} is closed")

    def _connect_to_ours(self) -> "_OpenConnection":
        """Connect to the file if it is blank or a control plane's, and make it private."""
        opened = self._connect()
        try:
            is_control_plane = is_ours(opened.connection)
            is_private = self._mode != "rw" or not self.path.lstat().st_mode & 0o077
        except BaseException:
            opened.connection.close()
            raise
        if is_control_plane and is_private:
            return opened
        opened.connection.close()
        if not is_control_plane:
            raise StoreUnavailable(f"{self.path}: {NOT_OURS}")
        make_private(self.path)
        return self._connect()

    def _connect(self) -> "_OpenConnection":
        connection = open_connection(self.path, self._mode)
        try:
            if self.path == IN_MEMORY:
                migrate(connection)
            statements = SqliteConnection(connection, has_provider=self._has_provider)
        except BaseException:
            connection.close()
            raise
        return _OpenConnection(connection, Transaction(statements, SqliteUsers(statements)))


class _OpenConnection(NamedTuple):
    """A connection, and the object that all of its transactions use, one after the other."""

    connection: sqlite3.Connection
    tx: Transaction


def _prepare_file(path: Path, *, create: bool) -> str:
    """Create or check the file; return the `mode` that SQLite opens it with."""
    if path == IN_MEMORY:
        return "memory"
    if create:
        create_file(path)
        return "rw"
    if not check_path(path):
        raise StoreUnavailable(f"{path}: {NOTHING_YET}")
    return "ro&immutable=1" if is_at_rest(path) else "rw"


@contextmanager
def _lock_folder(path: Path) -> Iterator[None]:
    """Let one process at a time set the file up: SQLite fails if two switch to WAL at once."""
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
