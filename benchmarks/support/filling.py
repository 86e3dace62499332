"""Create databases with many accounts quickly: with few SQL statements."""

import sqlite3
from pathlib import Path

import psycopg

from benchmarks.support.databases import Database

FILLED_BATCH, OPEN_BATCH = f"bat_{'0' * 24}", f"bat_{'1' * 24}"

_BATCH = f"""
    insert into batches (batch_id, idempotency_key, state, if_exists, opened_by, opened_at,
        touched_at, published_by, published_at, publication, origin)
    values ('{FILLED_BATCH}', 'filled', 'published', 'fail', 'bench', 0, 0, 'bench', 0, 1, 'batch')
    returning id
"""

_USERS = """
    insert into users
        (batch, user_id, email_key, name, name_folded, email, lastname, title, is_sso_user,
        hash_due)
    select {batch}, 'usr_{prefix}' || {digits}, {email}, 'name' || i, 'name' || i, {email},
        'lastname' || i, 'title' || i, {false}, {false}
    from {numbers}
"""

#: Multiplying by an odd number modulo 2^32 permutes the numbers.
_FACTOR = 2654435761

#: when the open batch was last touched, so that it does not expire
_NEVER = 10**13

# What the lists of the console can have among accounts of `fill`: some of each kind, an open batch
# of as many users, and audit entries of some actors, events and subjects.
_CONSOLE = (
    "update users set is_sso_user = {true} where substr(user_id, 36) = '0'",
    "update users set password_hash = 'x' where substr(user_id, 36) = '1'",
    "update users set suspended_at = 1 where substr(user_id, 35) = '07'",
    "update users set permission_level = 'owner' where substr(user_id, 34) = '00f'",
    f"""
    insert into batches (batch_id, idempotency_key, state, if_exists, opened_by, opened_at,
        touched_at, origin)
    values ('{OPEN_BATCH}', 'open', 'open', 'fail', 'bench', 0, {_NEVER}, 'batch')
    """,
    f"""
    insert into users (batch, user_id, email_key, name, name_folded, email, lastname, title,
        is_sso_user, hash_due)
    select (select id from batches where state = 'open'),
        'usr_{OPEN_BATCH[4:]}' || substr(user_id, 29), 'open' || email_key, name, name_folded,
        'open' || email, lastname, title, is_sso_user, {{true}} from users
    """,
    """
    insert into chunks (batch, number, digest, user_root, users, skipped, conflicts,
        hashes_due, passwords, suspended, sso_users)
    select batch, row_number() over (partition by batch order by substr(user_id, 29, 5)) - 1,
        cast('' as {bytes}), cast('' as {bytes}), count(*), 0, 0,
        sum(case when hash_due = {true} then 1 else 0 end),
        sum(case when hash_due = {true} or password_hash is not null then 1 else 0 end), 0,
        sum(case when is_sso_user = {true} then 1 else 0 end)
    from users group by batch, substr(user_id, 29, 5)
    """,
    f"""
    insert into audit (number, at, actor, event, subject, data, hash)
    select row_number() over (order by user_id), 0,
        case when user_id like '%000' then 'token:rare' else 'user:' || user_id end,
        case when user_id like '%7' then 'login.succeeded' else 'login.denied' end,
        case when user_id like '%f' then 'usr_{FILLED_BATCH[4:]}00000001' else user_id end,
        '{{{{}}}}', cast('' as {{bytes}}) from users where batch = 1
    """,
)


def filled_id(position: int) -> str:
    """Return the `user_id` of the account at a position."""
    return f"usr_{FILLED_BATCH[4:]}{position:08x}"


def filled_email(position: int) -> str:
    """Return the email of the account at a position."""
    return f"{position * _FACTOR % 2**32:08x}@example.com"


def fill(database: Database, count: int) -> None:
    """Create the schema and accounts in a new database, with emails in random order."""
    database.open_store().close()
    if path := database.sqlite_path:
        _fill_sqlite(path, count)
    else:
        _fill_postgres(database.url, count)


def fill_console(database: Database) -> None:
    """Add to the accounts of `fill` what the lists of the console can have."""
    is_sqlite = database.sqlite_path is not None
    words = {"true": "1", "bytes": "blob"} if is_sqlite else {"true": "true", "bytes": "bytea"}
    for sql in _CONSOLE:
        database.execute(sql.format(**words))
    if not is_sqlite:
        database.execute("analyze")


def _fill_sqlite(path: Path, count: int) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("pragma cache_size = -262144")
    connection.execute("begin")
    (batch,) = connection.execute(_BATCH).fetchone()
    numbers = (
        "(with recursive n (i) as (select 0 union all select i + 1 from n where i + 1 <"
        f" {count}) select i from n)"
    )
    email = f"printf('%08x', (i * {_FACTOR}) & 4294967295) || '@example.com'"
    connection.execute(_filled(batch, "printf('%08x', i)", email, "0", numbers))
    connection.execute("commit")
    connection.close()


def _fill_postgres(url: str, count: int) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("set maintenance_work_mem = '512MB'")
        row = connection.execute(_BATCH).fetchone()
        assert row
        numbers = f"generate_series(0, {count - 1}) as i"
        email = f"lpad(to_hex((i * {_FACTOR}) & 4294967295), 8, '0') || '@example.com'"
        # Building an index afterwards is several times faster than maintaining it.
        connection.execute("alter table users drop constraint users_email_key_key")
        connection.execute(_filled(row[0], "lpad(to_hex(i), 8, '0')", email, "false", numbers))
        connection.execute("alter table users add unique (email_key)")
        connection.execute("vacuum analyze users")


def _filled(batch: int, digits: str, email: str, false: str, numbers: str) -> str:
    return _USERS.format(
        batch=batch,
        prefix=FILLED_BATCH[4:],
        digits=digits,
        email=email,
        false=false,
        numbers=numbers,
    )
