"""Migrates a SQLite database: each step, with its number, in one transaction."""

import sqlite3
from collections.abc import Mapping

from anyscale.server.store.schema_versions import (
    checksum_of,
    refuse_newer,
    require_first_step,
    steps_of,
)

#: the error for a database that `is_ours` is false for
NOT_OURS = "the file is the database of another application: name a new file"

#: "must", as the first step writes it
_APPLICATION_ID = 0x6D757374
_FIRST_TABLES = frozenset({"audit", "batches", "conflicts", "users"})


def migrate(connection: sqlite3.Connection) -> None:
    """Run the steps that are missing. Two processes may do so at once, and either may be killed.

    Raises:
        StoreUnavailable: a newer version has migrated the database, another first step created it,
            or a step cannot be done.
    """
    steps = steps_of("sqlite")
    newest = max(steps)
    # Nearly always the schema is current, and no lock is needed to see that.
    found = schema_version(connection)
    refuse_newer(found, newest)
    for number in range(found + 1, newest + 1):
        connection.execute("begin immediate")
        try:
            if schema_version(connection) < number:
                _run(connection, number, steps)
            connection.execute("commit")
        except BaseException:
            if connection.in_transaction:
                connection.execute("rollback")
            raise


def schema_version(connection: sqlite3.Connection) -> int:
    """Return the number of the last step that was run, or 0.

    Raises:
        StoreUnavailable: another first step created the tables.
    """
    tables = _tables(connection)
    if not tables.issuperset(_FIRST_TABLES):
        return 0
    version, checksum = 0, None
    if "schema_version" in tables:
        sql = "select version, checksum from schema_version"
        version, checksum = connection.execute(sql).fetchone() or (0, None)
    require_first_step(checksum, steps_of("sqlite"))
    return int(version)


def is_ours(connection: sqlite3.Connection) -> bool:
    """Return whether a database is blank or a control plane's, not another application's."""
    application = connection.execute("pragma application_id").fetchone()[0]
    tables = _tables(connection)
    # The earliest commits wrote no id.
    without_id = not application and (not tables or tables.issuperset(_FIRST_TABLES))
    return application == _APPLICATION_ID or without_id


def _tables(connection: sqlite3.Connection) -> set[str]:
    return {name for (name,) in connection.execute("select name from sqlite_master")}


def _run(connection: sqlite3.Connection, number: int, steps: Mapping[int, str]) -> None:
    for statement in steps[number].split(";\n\n"):
        connection.execute(statement)
    values = (number, checksum_of(steps))
    connection.execute("update schema_version set version = ?, checksum = ?", values)
