"""Migrates a SQLite database: each step, with its number, in one transaction."""

import sqlite3

from anyscale.server.store.schema_versions import PYTHON_STEPS, refuse_newer, steps_of
from anyscale.server.store.sqlite.connection import SqliteConnection

__all__ = ["NOT_OURS", "is_ours", "migrate", "schema_version"]

#: the error for a database that `is_ours` is false for
NOT_OURS = "the file is the database of another application: name a new file"

#: "must", as the migration to schema 4 writes it
_APPLICATION_ID = 0x6D757374
_FIRST_TABLES = frozenset({"audit", "batches", "conflicts", "users"})


def migrate(connection: sqlite3.Connection) -> None:
    """Run the steps that are missing. Two processes may do so at once, and either may be killed.

    Raises:
        StoreUnavailable: a newer version has migrated the database, or a step cannot be done.
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
                _run(connection, number, steps[number])
            connection.execute("commit")
        except BaseException:
            if connection.in_transaction:
                connection.execute("rollback")
            raise


def schema_version(connection: sqlite3.Connection) -> int:
    """Return the number of the last step that was run, or 0."""
    return int(connection.execute("pragma user_version").fetchone()[0])


def is_ours(connection: sqlite3.Connection) -> bool:
    """Return whether a database is blank or a control plane's, not another application's."""
    application = connection.execute("pragma application_id").fetchone()[0]
    tables = {name for (name,) in connection.execute("select name from sqlite_master")}
    # The schemas before 4 have no id.
    without_id = not application and (not tables or tables.issuperset(_FIRST_TABLES))
    return application == _APPLICATION_ID or without_id


def _run(connection: sqlite3.Connection, number: int, step: str) -> None:
    for statement in step.split(";\n\n"):
        connection.execute(statement)
    if number in PYTHON_STEPS:
        PYTHON_STEPS[number](SqliteConnection(connection))
    # It is part of the transaction, as any page of the file is.
    connection.execute(f"pragma user_version = {number}")
