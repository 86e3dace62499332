"""Create databases with many accounts quickly: with one SQL statement."""

import sqlite3
from pathlib import Path

import psycopg

from benchmarks.support.databases import Database

__all__ = ["fill", "filled_id"]

_BATCH_ID = f"bat_{'0' * 24}"

_BATCH = f"""
    insert into batches (batch_id, idempotency_key, state, if_exists, opened_by, opened_at,
        touched_at, published_by, published_at, publication)
    values ('{_BATCH_ID}', 'filled', 'published', 'fail', 'bench', 0, 0, 'bench', 0, 1) returning id
"""

_USERS = """
    insert into users
        (batch, user_id, email_key, name, name_folded, email, lastname, title, is_sso_user,
        hash_due)
    select {batch}, 'usr_{prefix}' || {digits}, {email}, 'name' || i, 'name' || i, {email},
        'lastname' || i, 'title' || i, {false}, {false}
    from {numbers}
"""


def filled_id(position: int) -> str:
    """Return the `user_id` of the account at a position."""
    return f"usr_{_BATCH_ID[4:]}{position:08x}"


def fill(database: Database, count: int) -> None:
    """Create the schema and accounts in a new database, with emails in random order."""
    database.open_store().close()
    if path := database.sqlite_path:
        _fill_sqlite(path, count)
    else:
        _fill_postgres(database.url, count)


def _fill_sqlite(path: Path, count: int) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("pragma cache_size = -262144")
    connection.execute("begin")
    (batch,) = connection.execute(_BATCH).fetchone()
    numbers = (
        "(with recursive n (i) as (select 0 union all select i + 1 from n where i + 1 <"
        f" {count}) select i from n)"
    )
    # Multiplying by an odd number modulo 2^32 permutes the numbers.
    email = "printf('%08x', (i * 2654435761) & 4294967295) || '@example.com'"
    connection.execute(_filled(batch, "printf('%08x', i)", email, "0", numbers))
    connection.execute("commit")
    connection.close()


def _fill_postgres(url: str, count: int) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("set maintenance_work_mem = '512MB'")
        row = connection.execute(_BATCH).fetchone()
        assert row
        numbers = f"generate_series(0, {count - 1}) as i"
        email = "lpad(to_hex((i * 2654435761) & 4294967295), 8, '0') || '@example.com'"
        # Building an index afterwards is several times faster than maintaining it.
        connection.execute("alter table users drop constraint users_email_key_key")
        connection.execute(_filled(row[0], "lpad(to_hex(i), 8, '0')", email, "false", numbers))
        connection.execute("alter table users add unique (email_key)")
        connection.execute("vacuum analyze users")


def _filled(batch: int, digits: str, email: str, false: str, numbers: str) -> str:
    return _USERS.format(
        batch=batch,
        prefix=_BATCH_ID[4:],
        digits=digits,
        email=email,
        false=false,
        numbers=numbers,
    )
