"""How the SQLite store asks: one row, all rows, a number."""

import sqlite3
from collections.abc import Collection, Iterator, Sequence
from typing import Any, TypeVar

from msgspec import Struct

__all__ = ["SqliteStatements", "each", "marks", "slices"]

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

    def _insert_rows(self, into: str, rows: Sequence[Sequence[Any]], conflict: str = "") -> None:
        """Insert rows by one statement: each by one of its own would let Python's lock go more."""
        if rows:
            values = [value for row in rows for value in row]
            self._execute(f"{into} values {each(rows)} {conflict}", values)


def slices(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """Cut a list into parts: a statement takes so many values."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def each(rows: Collection[Collection[object]]) -> str:
    """Give a question mark for each value of each row."""
    return ",".join(f"({marks(row)})" for row in rows)


def marks(items: Collection[object]) -> str:
    """Give a question mark for each value."""
    return ",".join("?" * len(items))
