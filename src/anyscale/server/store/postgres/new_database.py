"""An empty PostgreSQL database that gets its tables and all rows in one transaction."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from psycopg import Connection

from anyscale.errors import StoreUnavailable
from anyscale.server.store.postgres.connection import NO_LIMITS, PostgresConnection
from anyscale.server.store.postgres.errors import DatabaseAddress, translated
from anyscale.server.store.postgres.migrate import lock_migrations, migrate
from anyscale.server.store.postgres.pool import Pool
from anyscale.server.store.postgres.store import WRITE

# Tables of extensions are not the user's.
_TABLES = """
    select relname from pg_class
    where relnamespace = current_schema()::regnamespace and relkind in ('r', 'p') and not exists (
        select from pg_depend
        where classid = 'pg_class'::regclass and objid = pg_class.oid and deptype = 'e'
    ) order by relname limit 1
"""

_NUMBERED = """
    select table_name, column_name from information_schema.columns
    where table_schema = current_schema() and is_identity = 'YES'
"""

_CONTINUE = """
    select setval(pg_get_serial_sequence('{0}', '{1}'), coalesce(max({1}), 1), count(*) > 0)
    from {0}
"""


@contextmanager
def new_postgres(url: str) -> Iterator[PostgresConnection]:
    """Give the connection to a new database, which commits at the end of the block.

    Raises:
        StoreUnavailable: it cannot be reached, or it has a table.
    """
    address = DatabaseAddress(url)
    with (
        closing(Pool(address)) as pool,
        pool.transaction(WRITE) as cursor,
        translated(address),
    ):
        connection = cursor.connection
        connection.execute(NO_LIMITS)
        # A server that starts waits for it too, before it creates tables.
        lock_migrations(connection)
        if found := connection.execute(_TABLES).fetchone():
            raise StoreUnavailable(
                f"{address}: it is not empty, and a copy needs an empty database: it has the table "
                f"{found[0]}"
            )
        migrate(connection)
        yield PostgresConnection(cursor)
        _continue_numbers(connection)
        connection.execute("commit")


def _continue_numbers(connection: Connection[Any]) -> None:
    """Let the next row of a table get the number after those that were copied."""
    for table, column in connection.execute(_NUMBERED).fetchall():
        connection.execute(_CONTINUE.format(table, column))
