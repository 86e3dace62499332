"""The statements of the SQLite store about batches and users."""

import time
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

from msgspec import structs

from anyscale.server.store.interface import (
    BatchRecord,
    ChunkRecord,
    ConflictRecord,
    EmailHolder,
    PendingHash,
    UserRecord,
    UserRecords,
)
from anyscale.server.store.sqlite.accounts import SqlitePeople
from anyscale.server.store.sqlite.statements import marks, slices

__all__ = ["SqliteTransaction"]

# One statement with the values of many rows, rather than one statement a row: Python's lock is free
# while it runs, so that the next page is read meanwhile on the other core.
_ROWS_A_STATEMENT = 1_000

_KEYS_A_STATEMENT = 500

# Fail, not abort: to undo half a statement SQLite would first copy each page that it touches, which
# costs as much as the insert. Whoever fails here undoes the whole transaction.
_INSERT_USERS = (
    "insert or fail into users (batch, user_id, email_key, name, email, lastname, title,"
    " is_sso_user, hash_due) values "
)
# The batch is the first parameter, for all rows.
_USER_VALUES = "(?1,?,?,?,?,?,?,?,?)"

_BATCH = ", ".join(BatchRecord.__struct_fields__)
_PAGE = ", ".join(ChunkRecord.__struct_fields__)
_USER = "email, name, created_at, permission_level, user_id, suspended_at"

_OWNERS = """
    select email_key, user_id, batch_id, state, opened_by, opened_at
    from users join batches on batches.id = users.batch where email_key in ({})
"""

_ENDED = ("dropped", "expired")


class SqliteTransaction(SqlitePeople):
    """See `base.Transaction`."""

    def now(self) -> int:
        # The clock of SQLite is this machine's, and to ask it takes a statement.
        return time.time_ns() // 1_000_000

    def add_batch(self, row: BatchRecord) -> BatchRecord | None:
        values = structs.asdict(row) | {"id": None}
        named = ", ".join(f":{field}" for field in values)
        sql = f"insert into batches ({_BATCH}) values ({named}) on conflict do nothing"
        cursor = self._execute(sql, values)
        return structs.replace(row, id=cursor.lastrowid) if cursor.rowcount else None

    def batch(self, batch_id: str) -> BatchRecord | None:
        return self._one(BatchRecord, f"select {_BATCH} from batches where batch_id = ?", batch_id)

    def hold_batch(self, batch_id: str, *, alone: bool) -> BatchRecord | None:  # noqa: ARG002 - see below
        return self.batch(batch_id)  # whoever writes is the only one, and holds everything

    def live_batch(self, idempotency_key: str) -> BatchRecord | None:
        sql = (
            f"select {_BATCH} from batches"
            " where idempotency_key = ? and state in ('open', 'published')"
        )
        return self._one(BatchRecord, sql, idempotency_key)

    def batches(self, *, open_only: bool, before: str, limit: int) -> Sequence[BatchRecord]:
        sql = (
            f"select {_BATCH} from batches where (state = 'open' or not ?)"
            " and (batch_id < ? or ? = '') order by batch_id desc limit ?"
        )
        return self._all(BatchRecord, sql, open_only, before, before, limit)

    def idle_batches(self, before: int) -> Sequence[BatchRecord]:
        sql = f"select {_BATCH} from batches where state = 'open' and touched_at < ?"
        return self._all(BatchRecord, sql, before)

    def ended_batches_with_rows(self) -> Sequence[BatchRecord]:
        sql = (
            f"select {_BATCH} from batches where state in ('dropped', 'expired')"
            " and exists (select 1 from pages where pages.batch = batches.id)"
        )
        return self._all(BatchRecord, sql)

    def touch(self, batch: int, at: int) -> None:
        self._execute("update batches set touched_at = ? where id = ?", (at, batch))

    def set_state(self, batch: int, state: str) -> None:
        self._execute(
            "update batches set state = ? where id = ? and state = 'open'", (state, batch)
        )

    def publish(self, batch: int, by: str, at: int) -> None:
        self._execute(
            "update batches set state = 'published', published_by = ?, published_at = ?,"
            " touched_at = ? where id = ? and state = 'open'",
            (by, at, at, batch),
        )

    def page(self, batch: int, number: int) -> ChunkRecord | None:
        sql = f"select {_PAGE} from pages where batch = ? and number = ?"
        return self._one(ChunkRecord, sql, batch, number)

    def pages(self, batch: int) -> Sequence[ChunkRecord]:
        return self._all(
            ChunkRecord, f"select {_PAGE} from pages where batch = ? order by number", batch
        )

    def save_page(self, batch: int, page: ChunkRecord, conflicts: Iterable[ConflictRecord]) -> None:
        self._execute(
            f"replace into pages (batch, {_PAGE}) values (?,?,?,?,?,?,?)",
            (batch, *structs.astuple(page)),
        )
        self._execute("delete from conflicts where batch = ? and page = ?", (batch, page.number))
        self._connection.executemany(
            "insert into conflicts (batch, page, position, email, kind, other, holder)"
            " values (?,?,?,?,?,?,?)",
            ((batch, page.number, *structs.astuple(row)) for row in conflicts),
        )

    def conflicts(self, batch: int, after: int, limit: int) -> Sequence[ConflictRecord]:
        sql = (
            "select position, email, kind, other, holder from conflicts"
            " where batch = ? and position > ? order by position limit ?"
        )
        return self._all(ConflictRecord, sql, batch, after, limit)

    def remove_page(self, batch: int, number: int, first_id: str, end_id: str) -> None:
        self._execute("delete from users where user_id >= ? and user_id < ?", (first_id, end_id))
        self._execute("delete from conflicts where batch = ? and page = ?", (batch, number))
        self._execute("delete from pages where batch = ? and number = ?", (batch, number))

    def insert_users(self, batch: int, rows: UserRecords) -> Sequence[EmailHolder]:
        made = list(rows)
        if self._insert(batch, made) == len(made):
            return []
        taken, ended = self._taken(made)
        if ended:
            for keys in slices([owner.email_key for owner in ended], _KEYS_A_STATEMENT):
                self._execute(f"delete from users where email_key in ({marks(keys)})", keys)
            self._insert(batch, made)
            taken, _ = self._taken(made)
        return taken

    def owners(self, email_keys: Sequence[str]) -> Sequence[EmailHolder]:
        found: list[EmailHolder] = []
        for keys in slices(email_keys, _KEYS_A_STATEMENT):
            found += self._all(EmailHolder, _OWNERS.format(marks(keys)), *keys)
        return [owner for owner in found if owner.state not in _ENDED]

    def due(self, batch: int, user_ids: Sequence[str]) -> Sequence[PendingHash]:
        found: list[PendingHash] = []
        for ids in slices(user_ids, _KEYS_A_STATEMENT):
            sql = (
                "select user_id, name, lastname, email from users"
                f" where batch = ? and hash_due = 1 and user_id in ({marks(ids)})"
            )
            found += self._all(PendingHash, sql, batch, *ids)
        return found

    def count_due(self, batch: int) -> int:
        return self._number("select count(*) from users where batch = ? and hash_due = 1", batch)

    def save_hashes(self, batch: int, hashes: Iterable[tuple[str, str]]) -> int:
        return self._connection.executemany(
            "update users set password_hash = ?, hash_due = 0"
            " where user_id = ? and batch = ? and hash_due = 1",
            ((password_hash, user_id, batch) for user_id, password_hash in hashes),
        ).rowcount

    def created_users(self, batch_id: str, after: str, limit: int) -> Sequence[tuple[Any, ...]]:
        prefix = "usr_" + batch_id.removeprefix("bat_")
        return self._execute(
            "select user_id, name, email, created_at, is_sso_user, lastname, title from live_users"
            " where user_id > ? and user_id < ? order by user_id limit ?",
            (max(after, prefix), prefix + "g", limit),
        ).fetchall()

    def live_users(
        self,
        *,
        email_contains: str,
        name_contains: str,
        suspended: bool = False,
        after: str,
        limit: int,
    ) -> Sequence[tuple[Any, ...]]:
        return self._execute(
            f"select {_USER} from live_users where user_id > :after"
            " and (:email = '' or instr(email_key, :email) or instr(folded(email), :email))"
            " and (:name = '' or instr(folded(name), :name))"
            " and (not :suspended or suspended_at is not null)"
            " order by user_id limit :limit",
            {
                "after": after,
                "email": email_contains,
                "name": name_contains,
                "suspended": suspended,
                "limit": limit,
            },
        ).fetchall()

    def users_like(
        self, *, email_key: str | None = None, name: str | None = None, limit: int
    ) -> Sequence[tuple[Any, ...]]:
        column, value = ("name", name) if email_key is None else ("email_key", email_key)
        return self._execute(
            f"select {_USER} from live_users where {column} = ? order by user_id limit ?",
            (value, limit),
        ).fetchall()

    def _insert(self, batch: int, rows: Sequence[UserRecord]) -> int:
        before = self._connection.total_changes
        for part in slices(rows, _ROWS_A_STATEMENT):
            values = ",".join([_USER_VALUES] * len(part))
            sql = f"{_INSERT_USERS}{values} on conflict do nothing"
            self._execute(sql, (batch, *chain.from_iterable(part)))
        return self._connection.total_changes - before

    def _taken(self, rows: Sequence[UserRecord]) -> tuple[list[EmailHolder], list[EmailHolder]]:
        own = {row.email_key: row.user_id for row in rows}
        ids = {row.user_id for row in rows}
        taken, ended = [], []
        for keys in slices(list(own), _KEYS_A_STATEMENT):
            for owner in self._all(EmailHolder, _OWNERS.format(marks(keys)), *keys):
                if owner.state in _ENDED:
                    ended.append(owner)
                elif owner.user_id not in ids or len(own) < len(rows):
                    taken.append(owner)
        return taken, ended
