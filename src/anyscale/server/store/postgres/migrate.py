"""Migrates a PostgreSQL database: each step, with its number, in one transaction.

Several servers may start at once: an advisory lock lets one after the other run, and the last ones
find nothing to do.
"""

from collections.abc import Mapping
from typing import Any

from psycopg import Connection

from anyscale.errors import StoreUnavailable
from anyscale.server.store.schema_versions import (
    checksum_of,
    refuse_newer,
    require_first_step,
    steps_of,
)

#: Any number, but the same in all versions, and no other lock's.
_LOCK = 0x6D757374_6D696772

# Not `to_regclass`: after the wait for the lock, its cache may lack a table that another server
# has created.
_HAS_VERSION = """
    select 1 from pg_tables
    where tablename = 'schema_version' and schemaname = any(current_schemas(false))
"""

# The database of an earlier commit has no checksum.
_VERSION = "select version, to_jsonb(schema_version) ->> 'checksum' from schema_version"


def migrate(connection: Connection[Any]) -> None:
    """Run the steps that are missing.

    Args:
        connection: in no transaction.

    Raises:
        StoreUnavailable: a newer version has migrated the database, another first step created it,
            its encoding does not have every character, or a step cannot be done.
    """
    steps = steps_of("postgres")
    newest = max(steps)
    found = schema_version(connection)
    refuse_newer(found, newest)
    _require_unicode(connection)
    for number in range(found + 1, newest + 1):
        _run(connection, number, steps)


def lock_migrations(connection: Connection[Any]) -> None:
    """Let no other process create or migrate the schema until the transaction ends."""
    connection.execute("select pg_advisory_xact_lock(%s)", (_LOCK,))


def schema_version(connection: Connection[Any]) -> int:
    """Return the number of the last step that was run, or 0.

    Raises:
        StoreUnavailable: another first step created the tables.
    """
    if not connection.execute(_HAS_VERSION).fetchone():
        return 0
    version, checksum = connection.execute(_VERSION).fetchone() or (0, None)
    require_first_step(checksum, steps_of("postgres"))
    return int(version)


def _run(connection: Connection[Any], number: int, steps: Mapping[int, str]) -> None:
    with connection.transaction():
        # A step may rewrite a table with millions of rows.
        connection.execute("set local statement_timeout = 0")
        lock_migrations(connection)
        if schema_version(connection) < number:
            connection.execute(steps[number])
            values = (number, checksum_of(steps))
            connection.execute("update schema_version set version = %s, checksum = %s", values)


def _require_unicode(connection: Connection[Any]) -> None:
    ((encoding,),) = connection.execute("show server_encoding").fetchall()
    if encoding != "UTF8":
        raise StoreUnavailable(
            f"the database has the encoding {encoding}, which does not hold every name: "
            "create it with encoding 'UTF8' template template0"
        )
