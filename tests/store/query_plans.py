"""The plans by which a database runs the statements of a transaction."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class _ExplainedConnection:
    """Asks for the plan of each statement before it runs it."""

    def __init__(self, connection: Any, explain: str) -> None:
        self._connection = connection
        self._explain = explain
        self.plans: list[str] = []

    def execute(self, sql: str, values: Any = ()) -> Any:
        plan = self._connection.execute(f"{self._explain} {sql}", values)
        self.plans += [str(row[-1]) for row in plan]
        return self._connection.execute(sql, values)

    def executemany(self, sql: str, rows: Any) -> Any:
        rows = list(rows)
        if rows:
            plan = self._connection.execute(f"{self._explain} {sql}", rows[0])
            self.plans += [str(row[-1]) for row in plan]
        return self._connection.executemany(sql, rows)


@contextmanager
def explained(tx: Any, explain: str) -> Iterator[list[str]]:
    """Collect the plans of the statements in the block.

    Args:
        tx: the transaction.
        explain: `explain query plan` or `explain`.
    """
    ours = tx.connection
    name = "cursor" if hasattr(ours, "cursor") else "driver_connection"  # of PostgreSQL, of SQLite
    runs = getattr(ours, name)
    explaining = _ExplainedConnection(runs, explain)
    setattr(ours, name, explaining)
    try:
        yield explaining.plans
    finally:
        setattr(ours, name, runs)
