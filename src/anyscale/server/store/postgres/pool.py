"""Connections to PostgreSQL: a bounded number, each used by one thread at a time."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus

from anyscale.errors import StoreUnavailable
from anyscale.server.store.postgres.errors import DatabaseAddress, translated

__all__ = ["Pool"]

#: PostgreSQL has 100 by default, and several servers share them.
_CONNECTIONS = 16

#: seconds to wait for one of them
_WAIT = 60.0

# What the URL says goes before.
_CONNECT: dict[str, Any] = {
    "application_name": "musterroll",
    "connect_timeout": 10,
    # A host that vanishes says nothing: after a minute of that the connection is dead.
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}

_SETTINGS = {
    # Whatever the server is set to: what is answered is on its disk.
    "synchronous_commit": "on",
    "lock_timeout": "60s",
    "statement_timeout": "120s",
    # A process that was stopped (SIGSTOP, a laptop's lid) does not keep its locks for ever.
    "idle_in_transaction_session_timeout": "120s",
    "client_encoding": "UTF8",
    # "if not exists" is no news.
    "client_min_messages": "warning",
    # Before the first "analyze" after a large batch it would rather sort all of it for each page.
    "enable_bitmapscan": "off",
    # It takes longer to compile a statement of ours than to run it.
    "jit": "off",
}


class Pool:
    """Idle connections, the last one used first.

    No pool of a library: those keep threads of their own to mend connections, and a connection that
    died while it was idle is replaced here when `begin` fails, before anything was done on it.
    """

    def __init__(self, place: DatabaseAddress) -> None:
        self._place = place
        self._free = threading.BoundedSemaphore(_CONNECTIONS)
        self._idle: list[psycopg.Connection[Any]] = []
        self._is_closed = False

    def close(self) -> None:
        """Close what is idle now, and what is in use when it is given back."""
        self._is_closed = True
        self._close_idle()

    @contextmanager
    def begun(self, begin: str) -> Iterator[psycopg.Connection[Any]]:
        """Give a connection on which a transaction was just begun.

        Raises:
            StoreUnavailable: PostgreSQL cannot be reached, all connections are in use, or the pool
                is closed.
        """
        if not self._free.acquire(timeout=_WAIT):
            raise StoreUnavailable(f"all {_CONNECTIONS} connections are in use: try again later")
        try:
            if self._is_closed:  # perhaps while this one waited
                raise StoreUnavailable(f"{self._place} is closed")
            connection = self._begin(begin)
            try:
                yield connection
            finally:
                self._give_back(connection)
        finally:
            self._free.release()

    def _begin(self, begin: str) -> psycopg.Connection[Any]:
        while self._idle:
            with suppress(IndexError, psycopg.Error):  # another thread took it; or it is dead
                return _begun(self._idle.pop(), begin)
        with translated(self._place):
            return _begun(self._connect(), begin)

    def _give_back(self, connection: psycopg.Connection[Any]) -> None:
        if connection.info.transaction_status == TransactionStatus.IDLE:
            self._idle.append(connection)
        else:
            connection.close()
        if self._is_closed:  # asked for last: it may have been closed since
            self._close_idle()

    def _close_idle(self) -> None:
        while self._idle:
            with suppress(IndexError):  # another thread took it
                self._idle.pop().close()

    def _connect(self) -> psycopg.Connection[Any]:
        connection = psycopg.connect(autocommit=True, **(_CONNECT | self._place.parts))
        try:
            for name, value in _SETTINGS.items():
                connection.execute("select set_config(%s, %s, false)", (name, value))
        except BaseException:
            connection.close()
            raise
        return connection


def _begun(connection: psycopg.Connection[Any], begin: str) -> psycopg.Connection[Any]:
    try:
        connection.execute(begin, prepare=False)
    except BaseException:
        connection.close()
        raise
    return connection
