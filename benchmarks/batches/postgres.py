"""Write rows to PostgreSQL: the time, beside a bare COPY, and with many other users.

The server has PostgreSQL's default settings, so committed data is on disk. Beside other users it
has those of docs/operations/postgresql.md: the index on millions of emails does not fit the default
cache of 128 MiB, so its pages are evicted while others are filled.
"""

import random
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import get_type_hints

import psycopg

from anyscale.domain.validation import CheckedUser, Policy
from anyscale.server.core.batches.batch_state import lock_batch, new_batch
from anyscale.server.core.batches.chunks import NewChunk, reserve_chunk
from anyscale.server.core.batches.publish import publish
from anyscale.server.core.callers import system_caller
from anyscale.server.core.transactions import Transactions
from anyscale.server.store.postgres.store import PostgresStore
from anyscale.server.store.records.users import NewUserRecord, new_users
from anyscale.server.store.user_ids import user_ids
from benchmarks.support.databases import (
    GUIDE,
    PostgresDatabases,
    configure,
    postgres_server,
)
from benchmarks.support.filling import fill, filled_id
from benchmarks.support.measuring import Cost, Pairs, pairs, show, timed

_CHUNK = Policy().chunk_users

_BARE = "create table bare (like users including all)"
_COPY = f"copy bare ({', '.join(NewUserRecord._fields)}, batch) from stdin (format binary)"
_KINDS = get_type_hints(NewUserRecord).values()
_TYPES = (*("bool" if kind is bool else "text" for kind in _KINDS), "int8")

#: deletes the rows of a run in an otherwise empty database
_EMPTY = ("truncate users, chunks, conflicts, batches, audit, bare", "checkpoint")


def _remove(existing: int) -> Sequence[str]:
    """Return the statements that delete the rows of a run beside other users."""
    return (
        f"delete from users where user_id > '{filled_id(existing)}'",
        "delete from chunks",
        "delete from batches where opened_by = 'local:bench'",
        # By default, vacuum skips the indexes if less than 2 % of the table's pages have dead rows.
        # Then every other run would find its own emails still in the index.
        "vacuum (index_cleanup on) users",
        "checkpoint",
    )


def measure(_: Path, users: int) -> None:
    new, existing = _users(users // 10), 5 * users
    with postgres_server() as server:
        databases = PostgresDatabases(server)
        with databases.new() as few, databases.new() as many:
            few.open_store().close()
            _execute(few.url, _BARE)
            _beside_nobody(few.url, new)
            fill(many, existing)
            configure(server, GUIDE)
            ratio, note = _beside_many(few.url, many.url, new, existing)
            what = f"the same with {existing:,} other users / with none"
            show(f"PostgreSQL, settings of the guide: {what}", ratio, 1.6, note=note)


def _beside_nobody(url: str, users: Sequence[CheckedUser]) -> None:
    found = pairs(lambda: _ours(url, users), lambda: _bare(url, users))
    show(
        "PostgreSQL: rows with audit and publish / a bare binary COPY of the same rows",
        found.ratio(lambda cost: cost.wall),
        1.7,
        note=_note(found, len(users)),
    )


def _beside_many(
    few: str, many: str, users: Sequence[CheckedUser], existing: int
) -> tuple[float, str]:
    """Return the ratio of the times with other users and without them, and a note."""
    undo = _remove(existing)
    found = pairs(lambda: _ours(many, users, undo), lambda: _ours(few, users))
    return found.ratio(lambda cost: cost.wall), _note(found, len(users))


def _note(found: Pairs, count: int) -> str:
    ours, bound = (min(cost.wall for cost in costs) / count * 1e6 for costs in found)
    return f" ({ours:.1f} and {bound:.1f} us a row)"


def _users(count: int) -> list[CheckedUser]:
    """Create users whose emails sort anywhere among the others, in random order."""
    numbers = random.Random(1).sample(range(16**8), count)
    return [
        CheckedUser(
            email_key=f"{i:08x}-{at}@example.com",
            name=f"name{at}",
            email=f"{i:08x}-{at}@example.com",
            lastname=f"lastname{at}",
            title=f"title{at}",
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
        chunk = NewChunk(batch, number, first, users[first : first + _CHUNK])
        reserved = reserve_chunk(Transactions(store), chunk, system_caller())
        assert reserved.users == min(_CHUNK, len(users) - first)
    with store.write() as tx:
        locked = lock_batch(tx, batch.batch_id, exclusive=True)
        publish(tx, locked, len(users), "local:bench")


def _bare(url: str, users: Sequence[CheckedUser]) -> Cost:
    ids = user_ids(f"bat_{'f' * 24}", range(len(users)))
    rows = [(*row, 1) for row in new_users(ids, users, None)]
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
