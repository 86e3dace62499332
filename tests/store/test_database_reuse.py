"""A test on PostgreSQL gets a database in which earlier tests have left nothing."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from tests.support.databases.postgres import PostgresServer
from tests.support.databases.postgres_databases import PostgresDatabases, new_databases

TABLES = "select relname from pg_class where relnamespace = 2200 and relkind = 'r'"

CHANGES = {
    "a column": "alter table users add column x integer",
    "a constraint": "alter table users add constraint x check (email <> 'x')",
    "a database setting": "do $$begin execute format('alter database %I set work_mem = 64', "
    "current_database()); end$$",
    "a default": "alter table users alter column name set default 'x'",
    "a dropped index": "drop index users_owners",
    "a dropped table": "drop table tokens",
    "a function": "create function x() returns integer language sql return 1",
    "a nullable column": "alter table users alter column email drop not null",
    "a table": "create table x (y integer)",
    "a view": "create view x as select 1",
    "many rows": "insert into audit select n, 1, 'a', 'e', 's', 'd', '' "
    "from generate_series(1, 5000) n",
    "statistics": "analyze",
    "vacuum": "vacuum",
}


BATCH = """
    insert into batches
        (batch_id, idempotency_key, state, if_exists, opened_by, opened_at, touched_at)
    values ('bat_1', 'key', 'open', 'fail', 'local:test', 1, 1) returning id
"""


@pytest.fixture(scope="module")
def databases(postgres_server: PostgresServer) -> Iterator[PostgresDatabases]:
    with new_databases(postgres_server.url, reuse=True) as databases:
        yield databases


def test_the_next_test_gets_the_rows_and_numbers_of_a_new_database_and_no_session(
    databases: PostgresDatabases,
) -> None:
    urls, databases_used, contents, sessions = set(), set(), [], []
    for _ in range(3):
        with databases.empty() as url:
            connection = psycopg.connect(url, autocommit=True)
            databases_used.add(number_of_database(connection))
            contents.append(
                {
                    table: rows_of(connection, f"select one::text from {table} one")
                    for table in rows_of(connection, TABLES)
                }
            )
            assert rows_of(connection, BATCH) == [1]
            connection.execute("update schema_version set version = 99")
            sessions.append(connection)
        urls.add(url)
    assert len(databases_used) == 1
    # A process that an earlier test has left running cannot connect again.
    assert len(urls) == 3
    assert contents[0]["schema_version"]
    assert contents[0]["batches"] == []
    assert contents == [contents[0]] * 3
    for connection in sessions:
        with pytest.raises(psycopg.OperationalError):
            connection.execute("select 1")
        connection.close()


@pytest.mark.parametrize("what", list(CHANGES))
def test_no_test_gets_a_changed_database(databases: PostgresDatabases, what: str) -> None:
    with databases.empty() as changed, psycopg.connect(changed, autocommit=True) as connection:
        connection.execute(CHANGES[what])
        number = number_of_database(connection)
    with databases.empty() as url, psycopg.connect(url) as connection:
        assert number_of_database(connection) != number


def test_a_user_who_may_create_databases_and_no_more_gets_them_too(
    postgres_server: PostgresServer,
) -> None:
    postgres_server.execute("create role creator login createdb")
    url = postgres_server.url.replace("postgres@", "creator@")
    with (
        new_databases(url, reuse=False) as databases,
        databases.empty() as empty,
        psycopg.connect(empty) as connection,
    ):
        assert rows_of(connection, "select count(*) from users") == [0]
    postgres_server.execute("drop role creator")


def number_of_database(connection: psycopg.Connection[Any]) -> int:
    """Return the number that a database keeps when it is renamed."""
    sql = "select oid from pg_database where datname = current_database()"
    (number,) = rows_of(connection, sql)
    return int(number)


def rows_of(connection: psycopg.Connection[Any], sql: str) -> list[Any]:
    return [value for (value,) in connection.execute(sql)]
