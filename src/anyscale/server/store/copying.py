"""Copies all rows of a control plane into a new database, of either kind."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Final

from anyscale.server.store.sql.connection import Connection, StoredTable
from anyscale.server.store.transaction import Transaction

#: Rows between two reports of the progress.
_REPORT_EVERY = 5_000

#: Filling the unique index on emails in its order takes a fraction of the time of random order.
_ORDER: Final = {"users": ("email_key",)}


def new_database(database: Path | str) -> AbstractContextManager[Connection]:
    """Give the connection to a new database, which exists as a whole at the end of the block.

    Raises:
        StoreUnavailable: it is not empty, or it cannot be written.
    """
    if isinstance(database, str):
        from anyscale.server.store.postgres.new_database import new_postgres

        return new_postgres(database)
    from anyscale.server.store.sqlite.new_database import new_sqlite

    return new_sqlite(database)


def without_server(database: Path | str) -> AbstractContextManager[None]:
    """Let no server start on a SQLite file during the block.

    `Connection.hold_tables` does so for PostgreSQL.

    Raises:
        StoreUnavailable: a server has the file.
    """
    if isinstance(database, str):
        return nullcontext()
    from anyscale.server.store.sqlite.server_lock import lock_without_server

    return lock_without_server(database)


def copy_tables(
    tx: Transaction, target: Connection, report: Callable[[int, int], None]
) -> dict[str, int]:
    """Copy all rows that a transaction sees, after `hold_tables`; return their number by table.

    The tables and columns are those that the databases name themselves.

    Args:
        tx: that reads.
        target: a new database.
        report: receives the number of rows that are copied, and of all.
    """
    source, types = tx.connection, {table.name: table.types for table in target.tables()}
    tables = source.tables()
    counts = {table.name: source.number(f"select count(*) from {table.name}") for table in tables}
    done, total = 0, sum(counts.values())
    for table in tables:
        target.execute(f"delete from {table.name}")  # the rows that new tables have
        rows = _reported(_rows_of(source, table), done, total, report)
        target.insert_many(
            table.name, {name: types[table.name][name] for name in table.types}, rows
        )
        done += counts[table.name]
    return counts


def _rows_of(source: Connection, table: StoredTable) -> Iterator[Any]:
    return source.stream(table.name, table.types, _ORDER.get(table.name, table.key))


def _reported(
    rows: Iterator[Any], done: int, total: int, report: Callable[[int, int], None]
) -> Iterator[Any]:
    for at, row in enumerate(rows):
        if not at % _REPORT_EVERY:
            report(done + at, total)
        yield row
