"""Brings a SQLite schema up, a numbered file at a time: each and its number in one transaction."""

import sqlite3

from anyscale.server.store.schema_versions import refuse_newer, steps_of

__all__ = ["migrate", "schema_version"]


def migrate(connection: sqlite3.Connection) -> None:
    """Apply the steps that are missing. Two processes may do so at once, and either may be killed.

    Raises:
        StoreUnavailable: a newer version of this program made the database.
    """
    steps = steps_of("sqlite")
    newest = max(steps)
    # Most starts find the schema current, and need no lock to see it.
    found = schema_version(connection)
    refuse_newer(found, newest)
    for number in range(found + 1, newest + 1):
        connection.execute("begin immediate")
        if schema_version(connection) < number:
            for statement in steps[number].split(";\n\n"):
                connection.execute(statement)
            # user_version is part of the transaction, as any page of the database is.
            connection.execute(f"pragma user_version = {number}")
        connection.execute("commit")


def schema_version(connection: sqlite3.Connection) -> int:
    """Give the number of the last step that was applied, or 0."""
    return int(connection.execute("pragma user_version").fetchone()[0])
