"""Connections to PostgreSQL: a bounded number, each used by one thread at a time."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus

from anyscale.errors import StoreUnavailable
from anyscale.server.store.postgres.errors import DatabaseAddress, translated

#: Starts a transaction that reads one state. It names isolation level and access mode, because a
#: database may have other defaults.
BEGIN_READ = "begin isolation level repeatable read read only"

#: A process opens at most this number. PostgreSQL accepts 100 by default, for all servers together.
MAX_CONNECTIONS = 16

#: A transaction waits at most this number of seconds for a connection.
_WAIT = 60.0

#: PostgreSQL lists our connections by this name.
APPLICATION_NAME = "musterroll"

# Parameters of the URL replace these.
_CONNECT: dict[str, Any] = {
    "application_name": APPLICATION_NAME,
    "connect_timeout": 10,
    # A host that vanishes sends nothing: the connection then fails after a minute.
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}

_SETTINGS = {
    # An acknowledged commit is on the disk of the server, whatever its own setting is.
    "synchronous_commit": "on",
    "lock_timeout": "60s",
    "statement_timeout": "120s",
    # A process that was stopped (SIGSTOP, a laptop's lid) does not keep its locks forever.
    "idle_in_transaction_session_timeout": "120s",
    "client_encoding": "UTF8",
    # This hides the notices of `if not exists`.
    "client_min_messages": "warning",
    # With bitmap scans, PostgreSQL would sort a whole large batch for each page of it, until the
    # first `analyze` after the batch.
    "enable_bitmapscan": "off",
    # The default, 4.0, is for spinning disks. With it, PostgreSQL reads the whole table to find
    # 2,000 of 200,000 emails, which takes five times as long as by their index.
    "random_page_cost": "1.1",
    # Compiling one of our statements takes longer than running it.
    "jit": "off",
}


class Pool:
    """Connections that are idle, each by its one cursor, the last one used first.

    A new cursor for each statement would add a third to the time of a short one.

    A connection that was lost while it was idle is replaced when `begin` fails on it, before
    anything was done. docs/decisions/0006-postgresql.md compares it with `psycopg_pool`.
    """

    def __init__(self, address: DatabaseAddress) -> None:
        self._address = address
        self._free = threading.BoundedSemaphore(MAX_CONNECTIONS)
        self._idle: list[psycopg.Cursor[Any]] = []
        self._is_closed = False

    def close(self) -> None:
        """Close idle connections now, and those in use when they are returned."""
        self._is_closed = True
        self._close_idle()

    @contextmanager
    def transaction(self, begin: str) -> Iterator[psycopg.Cursor[Any]]:
        """Take a connection on which a transaction was just started.

        Raises:
            StoreUnavailable: PostgreSQL cannot be reached, all connections are in use, or the pool
                is closed.
        """
        if not self._free.acquire(timeout=_WAIT):
            raise StoreUnavailable(f"all {MAX_CONNECTIONS} connections are in use: try again later")
        try:
            if self._is_closed:  # perhaps during the wait
                raise StoreUnavailable(f"{self._address} is closed")
            cursor = self._begin(begin)
            try:
                yield cursor
            finally:
                self._put_back(cursor)
        finally:
            self._free.release()

    def _begin(self, begin: str) -> psycopg.Cursor[Any]:
        while self._idle:
            with suppress(IndexError, psycopg.Error):  # another thread took it, or it is lost
                return _begin_on(self._idle.pop(), begin)
        with translated(self._address):
            return _begin_on(self._connect().cursor(), begin)

    def _put_back(self, cursor: psycopg.Cursor[Any]) -> None:
        if cursor.connection.info.transaction_status == TransactionStatus.IDLE:
            self._idle.append(cursor)
        else:
            cursor.connection.close()
        if self._is_closed:  # checked last: it may have been closed just before
            self._close_idle()

    def _close_idle(self) -> None:
        while self._idle:
            with suppress(IndexError):  # another thread took it
                self._idle.pop().connection.close()

    def _connect(self) -> psycopg.Connection[Any]:
        connection = psycopg.connect(autocommit=True, **(_CONNECT | self._address.parts))
        try:
            for name, value in _SETTINGS.items():
                connection.execute("select set_config(%s, %s, false)", (name, value))
        except BaseException:
            connection.close()
            raise
        return connection


def _begin_on(cursor: psycopg.Cursor[Any], begin: str) -> psycopg.Cursor[Any]:
    try:
        return cursor.execute(begin, prepare=False)
    except BaseException:
        cursor.connection.close()
        raise
