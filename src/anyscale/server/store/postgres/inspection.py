"""Look at a PostgreSQL database in a read-only transaction."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from ipaddress import ip_address

from psycopg.pq.abc import PGconn

from anyscale.server.store.database_facts import ConnectionLimits, DatabaseFacts, Encryption
from anyscale.server.store.postgres.connection import PostgresConnection
from anyscale.server.store.postgres.errors import DatabaseAddress, translated
from anyscale.server.store.postgres.insert_users import PostgresUsers
from anyscale.server.store.postgres.migrate import schema_version
from anyscale.server.store.postgres.pool import (
    APPLICATION_NAME,
    BEGIN_READ,
    MAX_CONNECTIONS,
    Pool,
)
from anyscale.server.store.schema_versions import steps_of
from anyscale.server.store.transaction import Transaction

_OLDEST = 14
#: `server_version_num` of 15.6 is 150006
_MAJOR = 10_000

_VERSION = "select current_setting('server_version'), current_setting('server_version_num')::int"

# Every user may see of each connection which database and which program it has.
_CONNECTIONS = """
    select
        current_setting('max_connections')::int
            - current_setting('superuser_reserved_connections')::int
            - coalesce(current_setting('reserved_connections', true), '0')::int,
        (select count(*) from pg_stat_activity
            where datid is not null and application_name <> ?)
"""


@contextmanager
def open_read_only(url: str) -> Iterator[tuple[DatabaseFacts, Transaction]]:
    """Read the facts of a database, and start a read-only transaction.

    Raises:
        StoreUnavailable: it cannot be reached.
    """
    address = DatabaseAddress(url)
    pool = Pool(address)
    with closing(pool), pool.transaction(BEGIN_READ) as cursor, translated(address):
        connection = PostgresConnection(cursor)
        yield _facts(connection), Transaction(connection, PostgresUsers(connection))


def _facts(connection: PostgresConnection) -> DatabaseFacts:
    ((version, number),) = connection.rows(_VERSION)
    ((accepted, others),) = connection.rows(_CONNECTIONS, APPLICATION_NAME)
    return DatabaseFacts(
        product=f"PostgreSQL {version}",
        is_supported=number >= _OLDEST * _MAJOR,
        schema=schema_version(connection.driver_connection),
        newest=max(steps_of("postgres")),
        now=connection.now(),
        connections=ConnectionLimits(accepted, others, MAX_CONNECTIONS),
        encryption=_encryption(connection.driver_connection.pgconn),
    )


def _encryption(connection: PGconn) -> Encryption:
    """Return what libpq did, with the values of its variables and its service file."""
    modes = [option.val or b"" for option in connection.info if option.keyword == b"sslmode"]
    host, address = connection.host.decode(), connection.hostaddr.decode()
    is_local = host.startswith(("/", "@")) or ip_address(address or "0.0.0.0").is_loopback  # noqa: S104 - of no machine
    return Encryption(is_local, connection.ssl_in_use, b"".join(modes).decode())
