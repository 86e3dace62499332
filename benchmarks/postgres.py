"""Writing 100,000 rows to PostgreSQL with their audit, alone and beside 5,000,000 others.

The server has the settings that PostgreSQL comes with: what is answered is on its disk. Beside
others it is measured again with a larger cache: of the 128 MiB that it comes with, all pages of the
index over the emails of millions fall out while the next ones are filled, whoever inserts there.
And again with all that docs/operations/postgresql.md asks for.
"""

import random
from collections.abc import Sequence
from pathlib import Path

import psycopg
from tests.support.postgres import PostgresServer, with_database

from anyscale.server.core.batches.publish import publish
from anyscale.server.core.batches.records import new_users, user_ids
from anyscale.server.core.batches.reserve import lock_batch, new_batch, reserve_chunk
from anyscale.server.store.postgres.store import PostgresStore
from anyscale.user.validation import CheckedUser, Policy
from benchmarks.filling import fill_postgres, filled_id
from benchmarks.measuring import Cost, pairs, show, timed

_COUNT = 100_000
_EXISTING = 5_000_000
_CACHE = "1GB"
#: What the guide asks for besides a cache.
_LOG = {"min_wal_size": "1GB", "wal_writer_delay": "10ms"}
_CHUNK = Policy().chunk_users

_BARE = "create table bare (like users including all)"
_COPY = """
    copy bare (user_id, email_key, name, email, lastname, title, is_sso_user, hash_due, batch)
    from stdin (format binary)
"""
_TYPES = ("text", "text", "text", "text", "text", "text", "bool", "bool", "int8")

# How what a run left is removed: where there is nothing else, and beside others.
_EMPTY = ("truncate users, pages, conflicts, batches, audit, bare", "checkpoint")
_REMOVE = (
    f"delete from users where user_id > '{filled_id(_EXISTING)}'",
    "delete from pages",
    "delete from batches where opened_by = 'local:bench'",
    # By itself it leaves an index alone if less than a fiftieth of the table's pages is concerned:
    # every other run would meet the same emails there once more. A run then finds the places free
    # that the one before it took.
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
        _beside_many(few, many, "its cache as it comes")
        server.execute(f"alter system set shared_buffers = '{_CACHE}'")
        server.stop("fast")
        server.start()
        _beside_many(few, many, f"a cache of {_CACHE}")
        for name, text in _LOG.items():
            server.execute(f"alter system set {name} = '{text}'")
        server.execute("select pg_reload_conf()")
        _beside_many(few, many, "as the guide asks")
    finally:
        server.remove()


def _beside_nobody(url: str) -> None:
    users = _users()
    found = pairs(lambda: _ours(url, users), lambda: _bare(url, users))
    show(
        "PostgreSQL: rows with audit and publish, of a bare binary COPY of the same",
        found.ratio(lambda cost: cost.wall),
        1.7,
        note=f" ({_row(found.ours)} and {_row(found.bound)} us a row)",
    )


def _beside_many(few: str, many: str, cache: str) -> None:
    users = _users()
    found = pairs(lambda: _ours(many, users, _REMOVE), lambda: _ours(few, users))
    show(
        f"PostgreSQL, {cache}: the same beside 5,000,000 users, of beside none",
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
    """Make users whose emails stand anywhere among the others, in random order."""
    numbers = random.Random(1).sample(range(16**8), _COUNT)
    return [
        CheckedUser(
            f"{i:08x}-{at}@example.com",
            f"name{at}",
            f"{i:08x}-{at}@example.com",
            None,
            False,
            f"lastname{at}",
            f"title{at}",
        )
        for at, i in enumerate(numbers)
    ]


def _ours(url: str, users: Sequence[CheckedUser], undo: Sequence[str] = _EMPTY) -> Cost:
    with PostgresStore(url) as store:
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
