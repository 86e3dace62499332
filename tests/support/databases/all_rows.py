"""Every row of every table of a database, and rows for every table: both by its own catalogue."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg

#: each database has a step and a checksum of its own
_OWN = "schema_version"

#: table -> its rows, by the names of the columns
Rows = dict[str, list[dict[str, Any]]]


def all_rows(database: Path | str) -> Rows:
    """Give the rows of each table by the names of the columns, in the order of their values."""
    if isinstance(database, str):
        return _rows_of_postgres(database)
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        names = connection.execute(
            "select name from sqlite_master where type = 'table' and name not like 'sqlite_%'"
        )
        return {
            name: _sorted([dict(row) for row in connection.execute(f"select * from {name}")])
            for (name,) in names.fetchall()
            if name != _OWN
        }


def _rows_of_postgres(url: str) -> Rows:
    with psycopg.connect(url, row_factory=psycopg.rows.dict_row) as connection:
        names = connection.execute(
            "select tablename as name from pg_tables where schemaname = 'public'"
        )
        return {
            row["name"]: _sorted(connection.execute(f"select * from {row['name']}").fetchall())
            for row in names.fetchall()
            if row["name"] != _OWN
        }


def _sorted(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    plain = [
        # SQLite has no booleans.
        {name: int(v) if isinstance(v, bool) else v for name, v in sorted(row.items())}
        for row in rows
    ]
    return sorted(plain, key=repr)


def fill_every_table(url: str) -> None:
    """Write three rows into each table of a PostgreSQL database, and none but these.

    The last one has null wherever it may. A table that has one row gets other values.
    """
    with psycopg.connect(url) as connection:
        tables = connection.execute(
            "select table_name, json_agg((column_name, data_type, is_nullable))"
            " from information_schema.columns join pg_tables on tablename = table_name"
            " where table_schema = 'public' and table_name <> %s group by 1"
            " order by min(table_name::regclass::oid)",
            (_OWN,),
        )
        for table, found in tables.fetchall():
            columns: list[tuple[str, str, str]] = [tuple(column.values()) for column in found]
            has_one_row = connection.execute(f"delete from {table}").rowcount
            for number in range(1, 2 if has_one_row else 4):
                row = [_value(*column, number) for column in columns]
                marks = ", ".join(["%s"] * len(row))
                names = ", ".join(name for name, *_ in columns)
                connection.execute(
                    f"insert into {table} ({names}) overriding system value values ({marks})", row
                )


def _value(name: str, kind: str, nullable: str, number: int) -> object:
    if nullable == "YES" and number == 3:
        return None
    if kind == "boolean":
        return number == 1
    if kind == "bytea":
        return bytes([0, number, 255])
    if kind == "text":
        return f'{name}\t\\N "Ü" \U0001f600\n{number}'
    return number
