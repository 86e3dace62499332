"""How the SQLite store asks: one row, all rows, a number."""

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from msgspec import Struct

__all__ = ["SqliteStatements", "marks", "slices"]

Record = TypeVar("Record", bound=Struct)
Item = TypeVar("Item")


class SqliteStatements:
    """Statements on one connection.

    Args:
        connection: in a transaction.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._execute = connection.execute

    def _number(self, sql: str, *values: Any) -> int:
        return int(self._execute(sql, values).fetchone()[0] or 0)

    def _one(self, record: type[Record], sql: str, *values: Any) -> Record | None:
        row = self._execute(sql, values).fetchone()
        return record(*row) if row else None

    def _all(self, record: type[Record], sql: str, *values: Any) -> list[Record]:
        return [record(*row) for row in self._execute(sql, values)]


def slices(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """Cut a list into parts: a statement takes so many values."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def marks(items: Sequence[object]) -> str:
    """Give a question mark for each value."""
    return ",".join("?" * len(items))
