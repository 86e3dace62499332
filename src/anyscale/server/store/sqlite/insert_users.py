"""Inserting users into SQLite, deleting them, and saving their hashes."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

from anyscale.server.store.records.batches import DROPPED_OR_EXPIRED, EmailHolder
from anyscale.server.store.records.users import (
    ImportedRecord,
    NewHash,
    NewUserRecord,
    NewUsers,
)
from anyscale.server.store.sql.users import HOLDERS, HOLDERS_OF_EXTERNAL_IDS, Users
from anyscale.server.store.sqlite.connection import SqliteConnection

# A statement inserts many rows, because Python's lock is free while it runs: another thread can
# read the next chunk.
_ROWS_A_STATEMENT = 1_000

# `or fail` and not `or abort`: to undo half of a statement SQLite would first copy each page that
# it changes, which costs as much as the insert. A failure undoes the whole transaction anyway.
_INSERT = f"insert or fail into users (batch, {', '.join(NewUserRecord._fields)}"
_IMPORTED = f", {', '.join(ImportedRecord._fields)}"

_EMAIL_KEY = NewUserRecord._fields.index("email_key")
_EXTERNAL_ID = NewUserRecord._fields.index("external_id")

# Python's `sqlite3` looks for an adapter for each of these: it takes as long as to bind ten texts.
_LITERALS: Mapping[object, str] = {None: "null", False: "0", True: "1"}


class SqliteUsers(Users):
    """The users in a SQLite database."""

    def __init__(self, connection: SqliteConnection) -> None:
        super().__init__(connection)
        self._sqlite = connection.driver_connection

    def insert(self, batch: int, users: NewUsers) -> Sequence[EmailHolder]:
        rows = list(users)
        into = f"{_INSERT}{_IMPORTED if users.are_imported else ''}) values "
        if self._insert(batch, into, rows) == len(rows):
            return []
        taken, obsolete = self._find_taken(rows)
        if obsolete:
            keys = self._connection.texts(holder.email_key for holder in obsolete)
            self._connection.execute("delete from users where email_key {any}", keys)
            self._insert(batch, into, rows)
            taken, _ = self._find_taken(rows)
        return taken

    def save_hashes(self, batch: int, hashes: Iterable[NewHash]) -> int:
        return self._sqlite.executemany(
            "update users set password_hash = ?2, password_set_at = ?3, imported_ms = ?4,"
            " hash_due = 0 where user_id = ?1 and batch = ?5 and hash_due = 1",
            ((*one, batch) for one in hashes),
        ).rowcount

    def delete(self, first_id: str, end_id: str) -> None:
        sql = "delete from users where user_id >= ? and user_id < ?"
        self._connection.execute(sql, first_id, end_id)

    def _insert(self, batch: int, into: str, rows: Sequence[tuple[Any, ...]]) -> int:
        before = self._sqlite.total_changes
        for start in range(0, len(rows), _ROWS_A_STATEMENT):
            columns = list(zip(*rows[start : start + _ROWS_A_STATEMENT], strict=True))
            marks = [_mark(column) for column in columns]
            # The batch is the first parameter, for all rows.
            row = f"(?1,{','.join(marks)})"
            sql = f"{into}{','.join([row] * len(columns[0]))} on conflict do nothing"
            bound = (column for column, mark in zip(columns, marks, strict=True) if mark == "?")
            self._sqlite.execute(sql, (batch, *chain.from_iterable(zip(*bound, strict=True))))
        return self._sqlite.total_changes - before

    def _find_taken(
        self, rows: Sequence[tuple[Any, ...]]
    ) -> tuple[list[EmailHolder], list[EmailHolder]]:
        """Return the holders that kept rows out, and those of discarded batches."""
        keys = {row[_EMAIL_KEY] for row in rows}
        external_ids = [row[_EXTERNAL_ID] for row in rows if row[_EXTERNAL_ID] is not None]
        holders = self._holders(HOLDERS, keys)
        if external_ids:
            holders += self._holders(HOLDERS_OF_EXTERNAL_IDS, external_ids)
        are_unique = len(keys) == len(rows) and len(set(external_ids)) == len(external_ids)
        own = {row[0] for row in rows} if are_unique else set()
        # A holder with one of our ids was inserted by us, unless two of our rows have one email or
        # one external id.
        others = [holder for holder in holders if holder.user_id not in own]
        taken = [holder for holder in others if holder.state not in DROPPED_OR_EXPIRED]
        return taken, [holder for holder in others if holder.state in DROPPED_OR_EXPIRED]


def _mark(column: Sequence[str | bool | int | None]) -> str:
    """Return the literal that stands for all values of a column, or the mark of a parameter."""
    first = column[0]
    is_constant = first in _LITERALS and column.count(first) == len(column)
    return _LITERALS[first] if is_constant else "?"
