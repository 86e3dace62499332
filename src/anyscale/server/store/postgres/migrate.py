"""Migrates a PostgreSQL database: each step, with its number, in one transaction.

Several servers may start at once: an advisory lock lets one after the other run, and the last ones
find nothing to do.
"""

from typing import Any

from psycopg import Connection

from anyscale.errors import StoreUnavailable
from anyscale.server.store.postgres.connection import PostgresConnection
from anyscale.server.store.schema_versions import PYTHON_STEPS, refuse_newer, steps_of

__all__ = ["migrate", "schema_version"]

#: Any number, but the same in all versions, and no other lock's.
_LOCK = 0x6D757374_6D696772

# It has one row: a second one would have the same key.
_TABLE = """
    create table if not exists schema_version (
        is_only boolean primary key default true check (is_only),
        version integer not null
    )
"""


def migrate(connection: Connection[Any]) -> None:
    """Run the steps that are missing.

    Args:
        connection: in no transaction.

    Raises:
        StoreUnavailable: a newer version has migrated the database, its encoding does not have
            every character, or a step cannot be done.
    """
    steps = steps_of("postgres")
    newest = max(steps)
    found = schema_version(connection)
    refuse_newer(found, newest)
    _require_unicode(connection)
    for number in range(found + 1, newest + 1):
        _run(connection, number, steps[number])


def schema_version(connection: Connection[Any]) -> int:
    """Return the number of the last step that was run, or 0."""
    if _value(connection, "select to_regclass('schema_version')") is None:
        return 0
    return int(_value(connection, "select max(version) from schema_version") or 0)


def _run(connection: Connection[Any], number: int, step: str) -> None:
    with connection.transaction():
        # A step may rewrite a table with millions of rows.
        connection.execute("set local statement_timeout = 0")
        connection.execute("select pg_advisory_xact_lock(%s)", (_LOCK,))
        connection.execute(_TABLE)
        if schema_version(connection) < number:
            connection.execute(step)
            if number in PYTHON_STEPS:
                PYTHON_STEPS[number](PostgresConnection(connection))
            connection.execute(
                "insert into schema_version (version) values (%s)"
                " on conflict (is_only) do update set version = excluded.version",
                (number,),
            )


def _require_unicode(connection: Connection[Any]) -> None:
    encoding = _value(connection, "show server_encoding")
    if encoding != "UTF8":
        raise StoreUnavailable(
            f"the database has the encoding {encoding}, which does not hold every name: "
            "create it with encoding 'UTF8' template template0"
        )


def _value(connection: Connection[Any], sql: str) -> Any:
    row = connection.execute(sql).fetchone()
    return row[0] if row else None
