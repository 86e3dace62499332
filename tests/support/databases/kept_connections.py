"""Connections to PostgreSQL that the next control plane on the same database takes over.

A new connection has to be made, and reads from the catalogs what each of its first statements
needs: that took half of the processor time of many tests. A kept one has nothing else of the test
before: no settings, locks, prepared statements or plans.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from psycopg._preparing import PrepareManager

from anyscale.server.store.postgres import pool, store
from anyscale.server.store.postgres.errors import DatabaseAddress

__all__ = [
    "connections_are_kept",
    "forget_connections",
    "keep_connections",
    "pids_of_kept",
    "rename_kept",
]

#: of a database: more are closed, since few tests use more at once
_MOST = 3

# `discard all` without the caches, which are what is kept; then what a connection begins with.
_RESET = (
    *("close all", "unlisten *", "select pg_advisory_unlock_all()", "reset all"),
    *("deallocate all", "discard plans", "discard temp", "discard sequences"),
)

#: the parts of an address without the database, and a connection that was made with them
_Kept = tuple[dict[str, Any], psycopg.Connection[Any]]

_local = threading.local()
#: database -> connections; only of this process, since a forked one shares their sockets
_kept: dict[tuple[int, str], list[_Kept]] = {}


@contextmanager
def connections_are_kept() -> Iterator[None]:
    """Let the stores that the block makes take kept connections, and keep theirs."""
    _local.is_on = True
    try:
        yield
    finally:
        _local.is_on = False


def keep_connections(database: str) -> None:
    """Keep connections to a database until they are forgotten."""
    _kept[os.getpid(), database] = []


def rename_kept(old: str, new: str) -> None:
    """Keep them for the new name of a database."""
    _kept[os.getpid(), new] = _kept.pop((os.getpid(), old))


def forget_connections(database: str) -> None:
    """Close those of a database, and keep no others."""
    for _, connection in _kept.pop((os.getpid(), database), []):
        connection.close()


def pids_of_kept(database: str) -> list[int]:
    """Return the processes of the kept connections, which are idle."""
    return [one.info.backend_pid for _, one in _kept.get((os.getpid(), database), [])]


class _KeepingPool(pool.Pool):
    """A pool that takes over the connections of one before."""

    def _connect(self) -> psycopg.Connection[Any]:
        kept = self._kept()
        while kept:
            with suppress(IndexError, psycopg.Error):  # another thread took it, or it was lost
                parts, connection = kept.pop()
                if parts == self._parts():
                    connection.execute(f"set application_name = '{pool.APPLICATION_NAME}'")
                    return connection
                connection.close()
        return super()._connect()

    def _close_idle(self) -> None:
        while self._idle:
            with suppress(IndexError):  # another thread took it
                _keep(self._idle.pop().connection, self._parts(), self._kept())

    def _parts(self) -> dict[str, Any]:
        # A database may be renamed.
        return {name: part for name, part in self._address.parts.items() if name != "dbname"}

    def _kept(self) -> list[_Kept] | None:
        return _kept.get((os.getpid(), self._address.parts["dbname"]))


def _keep(
    connection: psycopg.Connection[Any], parts: dict[str, Any], kept: list[_Kept] | None
) -> None:
    settings = pool._SETTINGS | {"application_name": "kept by tests"}
    reset = (*_RESET, *(f"set {name} = '{value}'" for name, value in settings.items()))
    with suppress(psycopg.Error):
        if kept is not None and len(kept) < _MOST:
            connection.execute("; ".join(reset), prepare=False)
            connection._prepared = PrepareManager()
            kept.append((parts, connection))
            return
    connection.close()


def _new_pool(address: DatabaseAddress) -> pool.Pool:
    return (_KeepingPool if getattr(_local, "is_on", False) else pool.Pool)(address)


vars(store)["Pool"] = _new_pool
