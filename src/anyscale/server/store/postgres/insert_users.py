"""Inserting users into PostgreSQL, beside other transactions that insert the same emails.

Nearly always every email is free, so a binary COPY first writes the rows straight into `users`. If
an email is taken, the COPY fails and leaves no row. Then the rows go into a temporary table, and
one statement inserts them from there into `users`, which costs twice as much as the COPY. A
statement sees what was committed before it. So the statement that looks for the holders of the
other emails may find that they have vanished; then the insert is tried again.
"""

import random
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar, get_type_hints

from psycopg.errors import DeadlockDetected, SerializationFailure, UniqueViolation

from anyscale.errors import StoreUnavailable
from anyscale.server.store.postgres.connection import PostgresConnection
from anyscale.server.store.records.batches import DROPPED_OR_EXPIRED, EmailHolder
from anyscale.server.store.records.users import (
    ImportedRecord,
    NewHash,
    NewUserRecord,
    NewUsers,
)
from anyscale.server.store.sql.connection import columns
from anyscale.server.store.sql.users import Users

Result = TypeVar("Result")

#: How often holders may vanish between two statements. Each time other transactions have committed.
_ROUNDS = 20

_ATTEMPTS = 8

#: seconds before the second attempt; at most twice as long before each later one
_PAUSE = 0.01

#: the errors of the transaction that PostgreSQL aborts to end a deadlock
_DEADLOCKS = (DeadlockDetected, SerializationFailure)

_TYPE_OF = {bool: "bool", int | None: "int8"}
# A text is one of `str` or of `str | None`.
_TYPES = {
    record: [_TYPE_OF.get(kind, "text") for kind in get_type_hints(record).values()]
    for record in (NewUserRecord, ImportedRecord)
}
_COLUMNS = ", ".join((*NewUserRecord._fields, *ImportedRecord._fields))

_COPY_FREE = "copy users ({}, batch) from stdin (format binary)"

# A connection creates it once; each transaction finds it empty.
_CREATE_NEW_USERS = f"""
    create temporary table if not exists new_users on commit delete rows
    as select {_COLUMNS} from users where false
"""
_COPY = "copy new_users ({}) from stdin (format binary)"

# The order is for the locks: of two transactions that insert the same emails, one waits for the
# other, and they cannot deadlock. Of two rows with one email the first one comes first.
_INSERT = f"""
    insert into users (batch, {_COLUMNS}) select %s, {_COLUMNS}
    from new_users order by email_key, user_id
    on conflict do nothing
"""

# `offset 0` keeps the planner, which knows nothing about a table that was just filled, from reading
# all users instead of looking up a few.
_HOLDER = f"""
    select {columns(EmailHolder)} from users join batches on batches.id = users.batch
    where users.{{0}} = new_users.{{0}} offset 0
"""
_HOLDERS = f"""
    select found.* from new_users left join lateral (
        ({_HOLDER.format("email_key")}) union ({_HOLDER.format("external_id")})
    ) as found on true
    where found.user_id is distinct from new_users.user_id
"""

_DELETE_OBSOLETE = """
    delete from users where user_id in
    (select user_id from users where user_id = any(%s) order by email_key for update)
"""

_DELETE_RANGE = """
    delete from users where user_id in
    (select user_id from users where user_id >= %s and user_id < %s order by email_key for update)
"""

_SAVE_HASHES = """
    update users set password_hash = new.hash, password_set_at = new.set_at,
    imported_ms = new.imported_ms, hash_due = false
    from unnest(%s::text[], %s::text[], %s::int8[], %s::int8[])
    as new (user_id, hash, set_at, imported_ms)
    where users.user_id = new.user_id and batch = %s and hash_due
"""


class PostgresUsers(Users):
    """The users in a PostgreSQL database."""

    def __init__(self, connection: PostgresConnection) -> None:
        super().__init__(connection)
        self._postgres = connection.driver_connection

    def insert(self, batch: int, users: NewUsers) -> Sequence[EmailHolder]:
        if self._copy_if_all_free(batch, users):
            return []
        self._copy_to_new_users(users)
        return self._retry_deadlock(lambda: self._insert(batch, len(users)))

    def save_hashes(self, batch: int, hashes: Iterable[NewHash]) -> int:
        first: dict[str, NewHash] = {}
        for one in hashes:
            first.setdefault(one.user_id, one)
        # Two transactions that hash the same users lock them in one order.
        rows = [first[user_id] for user_id in sorted(first)]
        columns = zip(*rows, strict=True) if rows else [()] * len(NewHash._fields)
        values = (*map(list, columns), batch)
        return self._retry_deadlock(lambda: self._postgres.execute(_SAVE_HASHES, values).rowcount)

    def delete(self, first_id: str, end_id: str) -> None:
        self._retry_deadlock(lambda: self._postgres.execute(_DELETE_RANGE, (first_id, end_id)))

    def _copy_if_all_free(self, batch: int, users: NewUsers) -> bool:
        """Insert the users if every email is free; return whether they were inserted."""
        try:
            with (
                self._postgres.transaction(),
                self._postgres.cursor() as cursor,
                cursor.copy(_COPY_FREE.format(", ".join(_columns(users)))) as copy,
            ):
                copy.set_types((*_types(users), "int8"))
                last = (batch,)
                # In the order of `_INSERT`, for the same reason.
                for row in users.by_email_key():
                    copy.write_row(row + last)
        except (UniqueViolation, *_DEADLOCKS):
            return False
        return True

    def _copy_to_new_users(self, users: NewUsers) -> None:
        self._postgres.execute(_CREATE_NEW_USERS)
        self._postgres.execute("delete from new_users")  # those of an earlier call
        with (
            self._postgres.cursor() as cursor,
            cursor.copy(_COPY.format(", ".join(_columns(users)))) as copy,
        ):
            copy.set_types(_types(users))
            for row in users:
                copy.write_row(row)

    def _insert(self, batch: int, count: int) -> Sequence[EmailHolder]:
        inserted = 0
        for _ in range(_ROUNDS):
            inserted += self._postgres.execute(_INSERT, (batch,)).rowcount
            holders = self._find_holders() if inserted < count else []
            obsolete = [
                user_id for _, user_id, _, state, *_ in holders if state in DROPPED_OR_EXPIRED
            ]
            if obsolete:
                self._postgres.execute(_DELETE_OBSOLETE, (obsolete,))
            elif all(user_id for _, user_id, *_ in holders):
                return [EmailHolder(*row) for row in holders]
        raise StoreUnavailable(
            "others keep taking and freeing the same emails", outcome_unknown=True
        )

    def _find_holders(self) -> list[tuple[Any, ...]]:
        """Return the fields of `EmailHolder` of each row that keeps one of ours out.

        All are None if that row has vanished.
        """
        return self._postgres.execute(_HOLDERS).fetchall()

    def _retry_deadlock(self, work: Callable[[], Result]) -> Result:
        """Run statements under a savepoint; repeat them if a deadlock undid them."""
        for attempt in range(1, _ATTEMPTS):
            try:
                with self._postgres.transaction():
                    return work()
            except _DEADLOCKS:
                # The pause is random, so that both transactions do not meet again.
                time.sleep(_PAUSE * 2**attempt * random.random())  # noqa: S311 - no secret
        with self._postgres.transaction():
            return work()


def _columns(users: NewUsers) -> Sequence[str]:
    return NewUserRecord._fields + (ImportedRecord._fields if users.are_imported else ())


def _types(users: NewUsers) -> Sequence[str]:
    return _TYPES[NewUserRecord] + (_TYPES[ImportedRecord] if users.are_imported else [])
