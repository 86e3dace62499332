"""How the PostgreSQL store asks: one row, all rows, a number, and again after a deadlock."""

import random
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import psycopg
from msgspec import Struct

__all__ = ["TAKE_TURNS", "PostgresStatements", "is_text", "marks"]

Record = TypeVar("Record", bound=Struct)
Result = TypeVar("Result")

_ATTEMPTS = 8

#: seconds before the second attempt; at most twice as long before each later one
_PAUSE = 0.01

#: by which PostgreSQL undoes one of two transactions that wait for each other
TAKE_TURNS = (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure)


class PostgresStatements:
    """Statements on one connection.

    Args:
        connection: in a transaction.
        is_writing: whether that may write.
    """

    def __init__(self, connection: psycopg.Connection[Any], *, is_writing: bool) -> None:
        self._connection = connection
        self._execute = connection.execute
        self._is_writing = is_writing

    def _number(self, sql: str, *values: Any) -> int:
        row = self._execute(sql, values).fetchone()
        return int(row[0] or 0) if row else 0

    def _one(self, record: type[Record], sql: str, *values: Any) -> Record | None:
        row = self._execute(sql, values).fetchone()
        return record(*row) if row else None

    def _all(self, record: type[Record], sql: str, *values: Any) -> list[Record]:
        return [record(*row) for row in self._execute(sql, values)]

    def _insert_rows(self, into: str, rows: Sequence[Sequence[Any]], conflict: str = "") -> None:
        """Insert rows by one statement, which asks the server once."""
        if rows:
            marked = ",".join(f"({marks(row)})" for row in rows)
            values = [value for row in rows for value in row]
            self._execute(f"{into} values {marked} {conflict}", values)

    def _taking_turns(self, work: Callable[[], Result]) -> Result:
        """Do something under a savepoint, and again if PostgreSQL undid it to end a deadlock."""
        for attempt in range(1, _ATTEMPTS):
            try:
                with self._connection.transaction():
                    return work()
            except TAKE_TURNS:
                # Each at another moment, or they would meet again.
                time.sleep(_PAUSE * 2**attempt * random.random())  # noqa: S311 - no secret
        with self._connection.transaction():
            return work()


def is_text(*values: str) -> bool:
    """Whether PostgreSQL can hold some texts: what is asked with others is found nowhere."""
    return "\0" not in "".join(values)


def marks(values: Sequence[object]) -> str:
    """Give a placeholder for each value."""
    return ",".join(["%s"] * len(values))
