"""The statements of the PostgreSQL store about batches and users."""

from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import structs

from anyscale.server.store.interface import (
    BatchRecord,
    ChunkRecord,
    ConflictRecord,
    EmailHolder,
    PendingHash,
)
from anyscale.server.store.postgres.insert_users import ENDED, PostgresClaims
from anyscale.server.store.postgres.statements import is_text, marks

__all__ = ["PostgresTransaction"]

_BATCH = ", ".join(BatchRecord.__struct_fields__)
_NEW_BATCH = ", ".join(BatchRecord.__struct_fields__[1:])
_PAGE = ", ".join(ChunkRecord.__struct_fields__)
_USER = "email, name, created_at, permission_level, user_id, suspended_at"

# It waits for another transaction that saves the same page. `xmax` is 0 in a row that is new.
_SAVE_PAGE = (
    f"insert into pages (batch, {_PAGE}) values (%s,%s,%s,%s,%s,%s,%s)"
    " on conflict (batch, number) do update set "
    + ", ".join(f"{field} = excluded.{field}" for field in ChunkRecord.__struct_fields__)
    + " returning (xmax <> 0)::integer"
)

_SAVE_HASHES = """
    update users set password_hash = given.hash, hash_due = false
    from unnest(%s::text[], %s::text[]) as given (user_id, hash)
    where users.user_id = given.user_id and batch = %s and hash_due
"""


class PostgresTransaction(PostgresClaims):
    """See `base.Transaction`."""

    def now(self) -> int:
        return self._number("select floor(extract(epoch from clock_timestamp()) * 1000)")

    def add_batch(self, row: BatchRecord) -> BatchRecord | None:
        _, *values = structs.astuple(row)
        sql = f"insert into batches ({_NEW_BATCH}) values ({marks(values)})"
        given = self._number(f"{sql} on conflict do nothing returning id", *values)
        return structs.replace(row, id=given) if given else None

    def batch(self, batch_id: str) -> BatchRecord | None:
        return self._one(BatchRecord, f"select {_BATCH} from batches where batch_id = %s", batch_id)

    def hold_batch(self, batch_id: str, *, alone: bool) -> BatchRecord | None:
        lock = "update" if alone else "key share"
        sql = f"select {_BATCH} from batches where batch_id = %s for {lock}"
        return self._one(BatchRecord, sql, batch_id)

    def live_batch(self, idempotency_key: str) -> BatchRecord | None:
        sql = (
            f"select {_BATCH} from batches"
            " where idempotency_key = %s and state in ('open', 'published')"
        )
        return self._one(BatchRecord, sql, idempotency_key)

    def batches(self, *, open_only: bool, before: str, limit: int) -> Sequence[BatchRecord]:
        sql = (
            f"select {_BATCH} from batches where (state = 'open' or not %s)"
            " and (batch_id < %s or %s = '') order by batch_id desc limit %s"
        )
        return self._all(BatchRecord, sql, open_only, before, before, limit)

    def idle_batches(self, before: int) -> Sequence[BatchRecord]:
        sql = f"select {_BATCH} from batches where state = 'open' and touched_at < %s order by id"
        return self._all(BatchRecord, sql, before)

    def ended_batches_with_rows(self) -> Sequence[BatchRecord]:
        sql = (
            f"select {_BATCH} from batches where state in ('dropped', 'expired')"
            " and exists (select 1 from pages where pages.batch = batches.id) order by id"
        )
        return self._all(BatchRecord, sql)

    def touch(self, batch: int, at: int) -> None:
        # Whoever else touches it just now notes the same. To wait for the end of that transaction
        # would let one page in at a time.
        self._execute(
            "update batches set touched_at = %s where id in"
            " (select id from batches where id = %s for no key update skip locked)",
            (at, batch),
        )

    def set_state(self, batch: int, state: str) -> None:
        self._execute(
            "update batches set state = %s where id = %s and state = 'open'", (state, batch)
        )

    def publish(self, batch: int, by: str, at: int) -> None:
        self._execute(
            "update batches set state = 'published', published_by = %s, published_at = %s,"
            " touched_at = %s where id = %s and state = 'open'",
            (by, at, at, batch),
        )

    def page(self, batch: int, number: int) -> ChunkRecord | None:
        if self._is_writing:
            self._hold_page(batch, number)
        sql = f"select {_PAGE} from pages where batch = %s and number = %s"
        return self._one(ChunkRecord, sql, batch, number)

    def pages(self, batch: int) -> Sequence[ChunkRecord]:
        return self._all(
            ChunkRecord, f"select {_PAGE} from pages where batch = %s order by number", batch
        )

    def save_page(self, batch: int, page: ChunkRecord, conflicts: Iterable[ConflictRecord]) -> None:
        if self._number(_SAVE_PAGE, batch, *structs.astuple(page)):
            self._execute(
                "delete from conflicts where batch = %s and page = %s", (batch, page.number)
            )
        sql = "copy conflicts (batch, page, position, email, kind, other, holder) from stdin"
        with self._connection.cursor() as cursor, cursor.copy(sql) as copy:
            for row in conflicts:
                copy.write_row((batch, page.number, *structs.astuple(row)))

    def conflicts(self, batch: int, after: int, limit: int) -> Sequence[ConflictRecord]:
        sql = (
            "select position, email, kind, other, holder from conflicts"
            " where batch = %s and position > %s order by position limit %s"
        )
        return self._all(ConflictRecord, sql, batch, after, limit)

    def owners(self, email_keys: Sequence[str]) -> Sequence[EmailHolder]:
        sql = (
            "select email_key, user_id, batch_id, state, opened_by, opened_at"
            " from users join batches on batches.id = users.batch where email_key = any(%s)"
        )
        found = self._all(EmailHolder, sql, list(email_keys))
        return [owner for owner in found if owner.state not in ENDED]

    def due(self, batch: int, user_ids: Sequence[str]) -> Sequence[PendingHash]:
        sql = (
            "select user_id, name, lastname, email from users"
            " where batch = %s and hash_due and user_id = any(%s)"
        )
        return self._all(PendingHash, sql, batch, list(user_ids))

    def count_due(self, batch: int) -> int:
        return self._number("select count(*) from users where batch = %s and hash_due", batch)

    def save_hashes(self, batch: int, hashes: Iterable[tuple[str, str]]) -> int:
        first: dict[str, str] = {}
        for user_id, password_hash in hashes:
            first.setdefault(user_id, password_hash)
        ids = sorted(first)  # two that hash the same users then take turns
        values = (ids, [first[user_id] for user_id in ids], batch)
        return self._taking_turns(lambda: self._execute(_SAVE_HASHES, values).rowcount)

    def created_users(self, batch_id: str, after: str, limit: int) -> Sequence[tuple[Any, ...]]:
        prefix = "usr_" + batch_id.removeprefix("bat_")
        return self._execute(
            "select user_id, name, email, created_at, is_sso_user, lastname, title from live_users"
            " where user_id > %s and user_id < %s order by user_id limit %s",
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
        if not is_text(email_contains, name_contains):
            return []
        sql = f"select {_USER} from live_users where user_id > %(after)s"
        if email_contains:
            sql += " and (strpos(email_key, %(email)s) > 0 or strpos(folded(email), %(email)s) > 0)"
        if name_contains:
            sql += " and strpos(folded(name), %(name)s) > 0"
        if suspended:
            sql += " and suspended_at is not null"
        return self._execute(
            f"{sql} order by user_id limit %(limit)s",
            {"after": after, "email": email_contains, "name": name_contains, "limit": limit},
        ).fetchall()

    def users_like(
        self, *, email_key: str | None = None, name: str | None = None, limit: int
    ) -> Sequence[tuple[Any, ...]]:
        column, value = ("name", name) if email_key is None else ("email_key", email_key)
        if not is_text(value or ""):
            return []
        return self._execute(
            f"select {_USER} from live_users where {column} = %s order by user_id limit %s",
            (value, limit),
        ).fetchall()
