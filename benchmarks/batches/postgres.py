"""Write 100,000 rows and their audit entry to PostgreSQL, without and with 5,000,000 other users.

The server has PostgreSQL's default settings, so committed data is on disk. The run with other users
is repeated with a larger cache: the index on millions of emails does not fit the default cache of
128 MiB, so its pages are evicted while others are filled. It is then repeated with all settings
that docs/operations/postgresql.md recommends.
"""

import random
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import psycopg
from tests.support.postgres import PostgresServer, with_database

from anyscale.server.core.batches.publish import publish
from anyscale.server.core.batches.records import new_users, user_ids
from anyscale.server.core.batches.reserve import lock_batch, new_batch, reserve_chunk
from anyscale.server.store.postgres.store import PostgresStore
from anyscale.user.validation import CheckedUser, Policy
from benchmarks.support.filling import fill_postgres, filled_id
from benchmarks.support.measuring import Cost, pairs, show, timed

_COUNT = 100_000
_EXISTING = 5_000_000
_CACHE = "1GB"
#: the other settings that the guide recommends
_LOG = {"min_wal_size": "1GB", "wal_writer_delay": "10ms"}
_CHUNK = Policy().chunk_users

_BARE = "create table bare (like users including all)"
_COPY = """
    copy bare (user_id, email_key, email_folded, name, name_folded, email, lastname,
    lastname_folded, title, is_sso_user, hash_due, batch) from stdin (format binary)
"""
_TYPES = (*["text"] * 9, "bool", "bool", "int8")

# Statements that delete the rows of a run: in an empty database, and with other users.
_EMPTY = ("truncate users, chunks, conflicts, batches, audit, bare", "checkpoint")
_REMOVE = (
    f"delete from users where user_id > '{filled_id(_EXISTING)}'",
    "delete from chunks",
    "delete from batches where opened_by = 'local:bench'",
    # By default, vacuum skips the indexes if less than 2 % of the table's pages have dead rows.
    # Then every other run would find its own emails still in the index.
    "vacuum (index_cleanup on) users",
    "checkpoint",
)


def measure(_: Path) -> None:
    server = PostgresServer(settings={})
    try:
        few, many = (_database(server, name) for name in ("few", "many"))
        PostgresStore(few).close()
        _execute(few, _BARE)
        _beside_nobody(few)
        fill_postgres(many, _EXISTING)
        _beside_many(few, many, "default cache")
        server.execute(f"alter system set shared_buffers = '{_CACHE}'")
        server.stop("fast")
        server.start()
        _beside_many(few, many, f"cache of {_CACHE}")
        for name, text in _LOG.items():
            server.execute(f"alter system set {name} = '{text}'")
        server.execute("select pg_reload_conf()")
        _beside_many(few, many, "all settings of the guide")
    finally:
        server.remove()


def _beside_nobody(url: str) -> None:
    users = _users()
    found = pairs(lambda: _ours(url, users), lambda: _bare(url, users))
    show(
        "PostgreSQL: rows with audit and publish / a bare binary COPY of the same rows",
        found.ratio(lambda cost: cost.wall),
        1.7,
        note=f" ({_row(found.ours)} and {_row(found.bound)} us a row)",
    )


def _beside_many(few: str, many: str, cache: str) -> None:
    users = _users()
    found = pairs(lambda: _ours(many, users, _REMOVE), lambda: _ours(few, users))
    show(
        f"PostgreSQL, {cache}: the same with 5,000,000 other users / with none",
        found.ratio(lambda cost: cost.wall),
        1.6,
        note=f" ({_row(found.ours)} and {_row(found.bound)} us a row)",
    )


def _row(costs: Sequence[Cost]) -> str:
    return f"{min(cost.wall for cost in costs) / _COUNT * 1e6:.1f}"


def _database(server: PostgresServer, name: str) -> str:
    server.execute(f"create database {name} encoding 'UTF8' template template0")
    return with_database(server.url, name)


def _users() -> list[CheckedUser]:
    """Create users whose emails sort anywhere among the others, in random order."""
    numbers = random.Random(1).sample(range(16**8), _COUNT)
    return [
        CheckedUser(
            f"{i:08x}-{at}@example.com",
            f"name{at}",
            f"{i:08x}-{at}@example.com",
            False,
            False,
            f"lastname{at}",
            f"title{at}",
        )
        for at, i in enumerate(numbers)
    ]


def _ours(url: str, users: Sequence[CheckedUser], undo: Sequence[str] = _EMPTY) -> Cost:
    with closing(PostgresStore(url)) as store:
        cost = timed(lambda: _batch(store, users))
    _execute(url, *undo)
    return cost


def _batch(store: PostgresStore, users: Sequence[CheckedUser]) -> None:
    with store.write() as tx:
        batch = tx.batches.add(new_batch(tx, "key", "fail", "local:bench"))
    assert batch
    for number, first in enumerate(range(0, len(users), _CHUNK)):
        with store.write() as tx:
            locked = lock_batch(tx, batch.batch_id)
            reserved = reserve_chunk(tx, locked, number, first, users[first : first + _CHUNK])
        assert reserved.users == _CHUNK
    with store.write() as tx:
        locked = lock_batch(tx, batch.batch_id, exclusive=True)
        publish(tx, locked, len(users), "local:bench")


def _bare(url: str, users: Sequence[CheckedUser]) -> Cost:
    ids = user_ids(f"bat_{'f' * 24}", 0, len(users))
    rows = [(*row, 1) for row in new_users(ids, users)]
    with psycopg.connect(url) as connection:
        cost = timed(lambda: _copy(connection, rows))
    _execute(url, *_EMPTY)
    return cost


def _copy(connection: psycopg.Connection, rows: Sequence[tuple[object, ...]]) -> None:
    with connection.cursor().copy(_COPY) as copying:
        copying.set_types(_TYPES)
        for row in rows:
            copying.write_row(row)
    connection.commit()


def _execute(url: str, *statements: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)
