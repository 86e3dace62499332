"""Add and count batches; spoil a file."""

import sqlite3
import stat
from pathlib import Path

from tests.store.contract.steps import batch_row

from anyscale.server.store.transaction import Store


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def add_batch(store: Store, number: int) -> None:
    with store.write() as tx:
        tx.batches.add(batch_row(number))


def count_batches(store: Store) -> int:
    with store.read() as tx:
        return len(tx.batches.list(open_only=False, before="", limit=100))


def foreign(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("create table users (id integer)")
    connection.close()
