"""Runs the statements of `store.sql` on PostgreSQL."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache, partial
from typing import Any

import psycopg

from anyscale.errors import StoreUnavailable
from anyscale.server.store.sql.connection import Connection, StoredTable

_WORDS = {
    "any": "= any(?)",
    "live_users_with_emails": "live_users where email_key = any(?)",
    "strpos": "strpos",
    "true": "true",
    "false": "false",
    "now": "floor(extract(epoch from clock_timestamp()) * 1000)::int8",
    "digits_of_position": "lpad(to_hex(position), 8, '0')",
    "for_update": "for update",
    "for_update_of_users": "for update of users",
    "for_key_share": "for key share",
    # Not `for update`: that would pass over rows that are locked by `for key share` too.
    "skip_locked": "for no key update skip locked",
}

# In the order of their creation, which is also that of foreign keys.
_TABLES = """
    select relname, attributes.types, keys.names
    from pg_class join lateral (
        select json_object_agg(attname, format_type(atttypid, atttypmod) order by attnum) as types
        from pg_attribute where attrelid = pg_class.oid and attnum > 0 and not attisdropped
    ) as attributes on true join lateral (
        select json_agg(attname order by place) as names
        from pg_index cross join unnest(indkey) with ordinality as key (number, place)
        join pg_attribute on attrelid = pg_class.oid and attnum = number
        where indrelid = pg_class.oid and indisprimary
    ) as keys on true
    where relnamespace = current_schema()::regnamespace and relkind = 'r'
        and relname <> 'schema_version'
    order by pg_class.oid
"""

#: for a transaction that takes longer than a request
NO_LIMITS = "set local statement_timeout = 0; set local idle_in_transaction_session_timeout = 0"
_HOLD = "lock table {} in share row exclusive mode"

#: The programs with our name, or that of the URL. Every user may see these of each connection.
_OTHERS = """
    select count(*) from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid()
        and application_name in ('musterroll', current_setting('application_name'))
"""


class PostgresConnection(Connection):
    """A connection to PostgreSQL, for a single thread at a time."""

    def __init__(self, cursor: psycopg.Cursor[Any], *, has_provider: bool = False) -> None:
        super().__init__(has_provider=has_provider)
        self._translated = partial(_translated, has_provider)
        #: for statements that only PostgreSQL has
        self.driver_connection = cursor.connection
        self.cursor = cursor

    def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        if not self.can_store(*values):
            return []
        return self.cursor.execute(self._translated(sql), values).fetchall()

    def execute(self, sql: str, *values: Any) -> int:
        return self.cursor.execute(self._translated(sql), values).rowcount

    def insert_many(
        self, table: str, types: Mapping[str, str], rows: Iterable[Sequence[Any]]
    ) -> None:
        copy_sql = f"copy {table} ({', '.join(types)}) from stdin (format binary)"
        if rows:
            with self.driver_connection.cursor() as cursor, cursor.copy(copy_sql) as copy:
                copy.set_types(list(types.values()))
                for row in rows:
                    copy.write_row(row)

    def insert_missing(
        self, table: str, types: Mapping[str, str], rows: Sequence[Sequence[Any]]
    ) -> None:
        arrays = ", ".join(f"%s::{name}[]" for name in types.values())
        sql = f"insert into {table} ({', '.join(types)}) select * from unnest({arrays})"
        if rows:
            columns = list(map(list, zip(*rows, strict=True)))
            self.cursor.execute(f"{sql} on conflict do nothing", columns)

    def lock(self, *key: int, shared: bool = False) -> None:
        function = "pg_advisory_xact_lock" + "_shared" * shared
        marks = ", ".join(["%s"] * len(key))
        self.cursor.execute(f"select {function}({marks})", key)

    def tables(self) -> list[StoredTable]:
        found = self.driver_connection.execute(_TABLES).fetchall()
        return [StoredTable(*row) for row in found]

    def stream(self, table: str, names: Iterable[str], order: Iterable[str]) -> Iterator[Any]:
        (types,) = (one.types for one in self.tables() if one.name == table)
        chosen = list(names)
        select = f"select {', '.join(chosen)} from {table} order by {', '.join(order)}"
        copy_sql = f"copy ({select}) to stdout (format binary)"
        with self.driver_connection.cursor() as cursor, cursor.copy(copy_sql) as copy:
            copy.set_types([types[name] for name in chosen])
            yield from copy.rows()

    def hold_tables(self) -> None:
        if others := self.number(_OTHERS):
            raise StoreUnavailable(
                f"musterroll has {others} other connections to the database: stop all servers of "
                "it, and wait for the end of other commands"
            )
        self.driver_connection.execute(NO_LIMITS)
        names = ", ".join(table.name for table in self.tables())
        self.driver_connection.execute(_HOLD.format(names))

    def texts(self, values: Iterable[str]) -> list[str]:
        return [text for text in values if "\0" not in text]

    def can_store(self, *texts: Any) -> bool:
        return not any(isinstance(text, str) and "\0" in text for text in texts)

    def now(self) -> int:
        return self.number("select {now}")


@cache
def _translated(has_provider: bool, sql: str) -> str:
    constant = _WORDS["true" if has_provider else "false"]
    return sql.format_map(_WORDS | {"has_provider": constant}).replace("?", "%s")
