"""Look at a database without creating, migrating or changing anything."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from anyscale.server.store.database_facts import DatabaseFacts
from anyscale.server.store.transaction import Transaction

Value = TypeVar("Value")


def inspect_database(
    database: Path | str, read: Callable[[Transaction], Value]
) -> tuple[DatabaseFacts, Value | None]:
    """Return the facts of a database, and what a function reads in a read-only transaction.

    The function is not called, and its value is None, unless the schema is the one of this program.

    Raises:
        StoreUnavailable: the database cannot be opened, or it is not a control plane's.
    """
    if isinstance(database, str):
        from anyscale.server.store.postgres import inspection as postgres

        opened = postgres.open_read_only(database)
    else:
        from anyscale.server.store.sqlite import inspection as sqlite

        opened = sqlite.open_read_only(database)
    with opened as (facts, tx):
        return facts, read(tx) if facts.schema == facts.newest else None
