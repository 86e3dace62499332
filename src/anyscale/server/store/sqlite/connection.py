"""Runs the statements of `store.sql` on SQLite."""

import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache, partial
from itertools import islice
from typing import Any

import msgspec

from anyscale.server.store.sql.connection import Connection, StoredTable

#: By `executemany` each row is a statement, which takes 1.5 times as long.
_ROWS_A_STATEMENT = 500

# While a transaction writes, the whole database is locked.
_WORDS = {
    "any": "in (select value from json_each(?))",
    # Not `email_key in`, which first sorts the keys: that takes a sixth of the time.
    "live_users_with_emails": (
        "json_each(?) as keys cross join live_users on email_key = keys.value"
    ),
    "strpos": "instr",
    "true": "1",
    "false": "0",
    "now": "now_in_milliseconds()",
    "digits_of_position": "printf('%08x', position)",
    "for_update": "",
    "for_update_of_users": "",
    "for_key_share": "",
    "skip_locked": "",
}

_TABLE_NAMES = (
    "select name from sqlite_master"
    " where type = 'table' and name not like 'sqlite%' and name <> 'schema_version' order by rowid"
)

#: the number is the place in the primary key, from 1; 0 outside of it
_COLUMNS = "select name, type, pk from pragma_table_info(?) order by cid"


class SqliteConnection(Connection):
    """A connection to SQLite, for a single thread at a time."""

    def __init__(self, connection: sqlite3.Connection, *, has_provider: bool = False) -> None:
        super().__init__(has_provider=has_provider)
        self._translated = partial(_translated, has_provider)
        #: for statements that only SQLite has
        self.driver_connection = connection
        # SQLite has this function from 3.43 on.
        connection.create_function("octet_length", 1, _octet_length, deterministic=True)
        connection.create_function("now_in_milliseconds", 0, _now)

    def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        return self.driver_connection.execute(self._translated(sql), values).fetchall()

    def execute(self, sql: str, *values: Any) -> int:
        return self.driver_connection.execute(self._translated(sql), values).rowcount

    def insert_many(
        self, table: str, types: Mapping[str, str], rows: Iterable[Sequence[Any]]
    ) -> None:
        self._insert(table, types, rows)

    def insert_missing(
        self, table: str, types: Mapping[str, str], rows: Sequence[Sequence[Any]]
    ) -> None:
        self._insert(table, types, rows, "on conflict do nothing")

    def lock(self, *key: int, shared: bool = False) -> None:
        pass

    def tables(self) -> list[StoredTable]:
        names = self.driver_connection.execute(_TABLE_NAMES).fetchall()
        return [self._table(name) for (name,) in names]

    def stream(self, table: str, names: Iterable[str], order: Iterable[str]) -> Iterator[Any]:
        sql = f"select {', '.join(names)} from {table} order by {', '.join(order)}"
        yield from self.driver_connection.execute(sql)

    def hold_tables(self) -> None:
        pass  # while a transaction writes, no other one does

    def texts(self, values: Iterable[str]) -> str:
        return msgspec.json.encode(list(values)).decode()

    def can_store(self, *texts: str) -> bool:  # noqa: ARG002 - it stores every text
        return True

    def now(self) -> int:
        # SQLite has the clock of this machine too, but would take a statement.
        return _now()

    def _table(self, name: str) -> StoredTable:
        found = self.driver_connection.execute(_COLUMNS, (name,)).fetchall()
        key = sorted((place, column) for column, _, place in found if place)
        types = {column: kind for column, kind, _ in found}
        return StoredTable(name, types, [column for _, column in key])

    def _insert(
        self, table: str, types: Mapping[str, str], rows: Iterable[Sequence[Any]], last: str = ""
    ) -> None:
        marks = f"({', '.join('?' * len(types))})"
        for part in _parts(rows):
            all_marks = ", ".join([marks] * len(part))
            sql = f"insert into {table} ({', '.join(types)}) values {all_marks} {last}"
            # Python's `sqlite3` looks for an adapter for each bool, which takes as long as a row.
            values = [int(v) if v is True or v is False else v for row in part for v in row]
            self.driver_connection.execute(sql, values)


def _parts(rows: Iterable[Sequence[Any]]) -> Iterator[list[Sequence[Any]]]:
    iterator = iter(rows)
    while part := list(islice(iterator, _ROWS_A_STATEMENT)):
        yield part


def _now() -> int:
    return time.time_ns() // 1_000_000


def _octet_length(text: str) -> int:
    return len(text.encode())


@cache
def _translated(has_provider: bool, sql: str) -> str:
    constant = _WORDS["true" if has_provider else "false"]
    return sql.format_map(_WORDS | {"has_provider": constant})
