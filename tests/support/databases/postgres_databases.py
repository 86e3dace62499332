"""Databases with our schema and no users on PostgreSQL.

A database that a test leaves unchanged except for some rows is restored for the next one: that
takes a fraction of the time of creating and dropping one. The connection that does it stays open,
since a new one needs five times as long to read the catalogs.
"""

import secrets
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any

import psycopg
import pytest
from psycopg import sql
from tests.support.databases.postgres import OTHER_SERVER, execute_at, is_alive, with_database
from tests.support.waiting import wait_until

from anyscale.server.store.postgres.store import PostgresStore

#: a change of the schema changes the number of their rows, or the newest transaction in them
_CATALOGS = (
    *("pg_attrdef", "pg_attribute", "pg_class", "pg_constraint", "pg_index", "pg_proc"),
    *("pg_rewrite", "pg_statistic", "pg_trigger", "pg_type"),
    # A connection that had a temporary table leaves a schema without one.
    "pg_namespace where nspname !~ '^pg_(toast_)?temp_'",
)

_STATE = (
    *(f"(select (count(*), max(xmin::text::bigint)) from {name})" for name in _CATALOGS),
    # VACUUM and ANALYZE change these in place.
    "(select (sum(relpages), sum(reltuples)) from pg_class where oid >= 16384)",
    "(select (datallowconn, datconnlimit, datacl) from own)",
    "(select count(*) from pg_db_role_setting where setdatabase = (select oid from own))",
)

#: what the tables' rows do not affect
_READ_STATE = f"""
    with own as (select * from pg_database where datname = current_database())
    select concat_ws(' ', {", ".join(_STATE)})
"""

#: PostgreSQL plans for this number of octets at least (10 pages) if a table was never analyzed, so
#: that removed rows change no plan
_SMALL = 8 * 8192

_LARGEST = """
    select max(pg_relation_size(oid)) from pg_class
    where oid >= 16384 and relkind in ('r', 'i', 't')
"""

_DISCONNECT_OTHERS = """
    select pid, pg_terminate_backend(pid) from pg_stat_activity
    where datname = current_database() and backend_type = 'client backend'
        and pid <> pg_backend_pid()
"""

_TABLES_AND_SEQUENCES = """
    select relkind, relname from pg_class
    where relnamespace = 'public'::regnamespace and relkind in ('r', 'S')
"""


class PostgresDatabases:
    """Gives databases with our schema and no users.

    Args:
        admin_url: whose user may create databases.
        template: the name of the database to copy; a copy takes a third of the time of migrations.
        reuse: whether the user may also delete rows without the checks of foreign keys, as a
            superuser, so that a database is used again.
    """

    def __init__(self, admin_url: str, template: str, *, reuse: bool) -> None:
        self._admin_url = admin_url
        self._template = template
        self._reuse = reuse
        self._unused: list[str] = []
        self._admin: psycopg.Connection[Any] | None = None
        #: by the name of their database
        self._restoring: dict[str, psycopg.Connection[Any]] = {}
        if reuse:
            with psycopg.connect(with_database(admin_url, template)) as connection:
                self._state = _row(connection, _READ_STATE)
                self._to_restore = "; ".join(_statements_to_restore(connection))

    @contextmanager
    def empty(self) -> Iterator[str]:
        """Give the URL of one, which nothing else uses until the block ends."""
        name = self._unused.pop() if self._unused else self._create()
        yield with_database(self._admin_url, name)
        if self._reuse:
            name = self._renamed(name)
            if self._restored(name):
                self._unused.append(name)
                return
        self._execute(f"drop database {name} with (force)")

    def _create(self) -> str:
        name = _new_name()
        self._execute(f"create database {name} template {self._template}")
        return name

    def _renamed(self, name: str) -> str:
        """Rename a database, so that what a test has left running does not find it again.

        `alter database` refuses that while it has connections.
        """
        new_name = _new_name()
        self._execute("set allow_system_table_mods = on")
        self._execute(f"update pg_database set datname = '{new_name}' where datname = '{name}'")
        if name in self._restoring:
            self._restoring[new_name] = self._restoring.pop(name)
        return new_name

    def _restored(self, name: str) -> bool:
        """Restore the rows of the template; give False if something else has changed."""
        connection = self._restoring.pop(name, None) or self._connected(name)
        with suppress(psycopg.OperationalError):  # a test has ended the connection
            for pid, _ in connection.execute(_DISCONNECT_OTHERS).fetchall():
                _wait_for_end(pid)
            (largest,) = _row(connection, _LARGEST)
            if largest <= _SMALL and _row(connection, _READ_STATE) == self._state:
                connection.execute(self._to_restore)
                self._restoring[name] = connection
                return True
        connection.close()
        return False

    def _connected(self, name: str) -> psycopg.Connection[Any]:
        url = with_database(self._admin_url, name)
        connection = psycopg.connect(url, autocommit=True)
        connection.execute("set session_replication_role = replica")
        return connection

    def _execute(self, statement: str) -> None:
        """Run a statement outside of a transaction, on a connection that stays open."""
        if self._admin and self._admin.closed:
            self._admin = None
        if not self._admin:
            self._admin = psycopg.connect(self._admin_url, autocommit=True)
        try:
            self._admin.execute(statement)
        except psycopg.OperationalError:
            if not self._admin.closed:
                raise
            self._execute(statement)  # a test has stopped the server since

    def close(self) -> None:
        """Close the connections."""
        for connection in (self._admin, *self._restoring.values()):
            if connection:
                connection.close()


def _wait_for_end(pid: int) -> None:
    """Wait for the end of the process of a connection; PostgreSQL itself looks each 100 ms."""
    wait_until(lambda: not is_alive(pid), interval=0.001)


def _new_name() -> str:
    return f"test_{secrets.token_hex(6)}"


def _statements_to_restore(connection: psycopg.Connection[Any]) -> Iterator[str]:
    """Give statements that restore the rows and numbers which a database has now."""
    for kind, name in connection.execute(_TABLES_AND_SEQUENCES).fetchall():
        if kind == "S":
            (call,) = _row(
                connection,
                f"select format('setval(%L, %s, %L)', '{name}', last_value, is_called) from {name}",
            )
            yield f"select {call}"
            continue
        yield f"delete from {name}"
        (rows,) = _row(connection, f"select json_agg(one)::text from {name} one")
        if rows:
            text = sql.Literal(rows).as_string(connection)
            yield (
                f"insert into {name} overriding system value "
                f"select * from json_populate_recordset(null::{name}, {text})"
            )


def _row(connection: psycopg.Connection[Any], statement: str) -> tuple[Any, ...]:
    row: tuple[Any, ...] | None = connection.execute(statement).fetchone()
    assert row
    return row


@contextmanager
def new_databases(admin_url: str, *, reuse: bool) -> Iterator[PostgresDatabases]:
    """Give databases until the block ends."""
    template = f"template_{secrets.token_hex(6)}"
    execute_at(admin_url, f"create database {template} encoding 'UTF8' template template0")
    PostgresStore(with_database(admin_url, template)).close()
    with closing(PostgresDatabases(admin_url, template, reuse=reuse)) as databases:
        yield databases
    execute_at(admin_url, f"drop database {template} with (force)")


@pytest.fixture(scope="session")
def postgres_databases(postgres_admin_url: str) -> Iterator[PostgresDatabases]:
    """Gives databases, for tests that need several."""
    with new_databases(postgres_admin_url, reuse=not OTHER_SERVER) as databases:
        yield databases


@pytest.fixture
def postgres_url(postgres_databases: PostgresDatabases) -> Iterator[str]:
    """The URL of a database with our schema and no users."""
    with postgres_databases.empty() as url:
        yield url
