"""The tables `batches`, `chunks` and `conflicts`."""

from collections.abc import Iterable, Sequence

from msgspec import structs

from anyscale.server.store.records.batches import (
    DROPPED_OR_EXPIRED,
    AccountCounts,
    BatchRecord,
    ChunkRecord,
    ConflictRecord,
)
from anyscale.server.store.records.search import SkippedRecord
from anyscale.server.store.sql.connection import Table, columns, marks
from anyscale.server.store.sql.sign_in_methods import (
    NEW_WITHOUT_CREDENTIALS,
    WITHOUT_CREDENTIALS,
    sign_in,
)

#: The number that stands for the order of publishing in locks. Any number, but the same in all
#: versions.
_PUBLISHING_LOCK = 0x6D757374_7075626C

#: after all ids of batches
_BATCH_IDS_END = "bat_g"

#: `DROPPED_OR_EXPIRED` as a list in SQL.
DROPPED_OR_EXPIRED_SQL = "(" + ", ".join(f"'{state}'" for state in DROPPED_OR_EXPIRED) + ")"

_BATCH = f"select {columns(BatchRecord)} from batches"
_CHUNK = f"select {columns(ChunkRecord)} from chunks"

_ADD_BATCH = (
    f"insert into batches ({columns(BatchRecord).removeprefix('id, ')})"
    f" values ({marks(BatchRecord).removeprefix('?, ')}) on conflict do nothing returning id"
)
_ADD_CHUNK = f"insert into chunks (batch, {columns(ChunkRecord)}) values (?, {marks(ChunkRecord)})"

#: the entries of a batch after a position that were skipped, each with the account that it has now
_SKIPPED = (
    "(select position, case when external_id is null"
    " then (select user_id from users where users.email_key = conflicts.email_key)"
    " else (select user_id from users where users.external_id = conflicts.external_id)"
    " end as user_id from conflicts"
    " where batch = ? and position > ? and kind = 'exists') as skipped"
)

_CONFLICT_COLUMNS = {
    "batch": "int8",
    "chunk": "int8",
    "position": "int8",
    "email": "text",
    "email_key": "text",
    "kind": "text",
    "other": "int8",
    "holder": "text",
    "external_id": "text",
}


class Batches(Table):
    """The batches. A `batch` argument is the number `BatchRecord.id`."""

    def add(self, batch: BatchRecord) -> BatchRecord | None:
        """Insert a batch. Return it with its `id`, or None if its idempotency key is in use."""
        _, *values = structs.astuple(batch)
        number = self._connection.number(_ADD_BATCH, *values)
        return structs.replace(batch, id=number) if number else None

    def get(self, batch_id: str) -> BatchRecord | None:
        return self._connection.one(BatchRecord, f"{_BATCH} where batch_id = ?", batch_id)

    def list_with_ids(self, batch_ids: Sequence[str]) -> Sequence[BatchRecord]:
        """Return the batches that have one of some ids, in any order."""
        if not batch_ids:
            return []
        sql = f"{_BATCH} where batch_id {{any}}"
        return self._connection.all(BatchRecord, sql, self._connection.texts(batch_ids))

    def lock(self, batch_id: str, *, exclusive: bool) -> BatchRecord | None:
        """Return a batch and lock it until the transaction ends."""
        lock = "{for_update}" if exclusive else "{for_key_share}"
        return self._connection.one(BatchRecord, f"{_BATCH} where batch_id = ? {lock}", batch_id)

    def find(self, idempotency_key: str) -> BatchRecord | None:
        """Return the batch with an idempotency key that is neither dropped nor expired."""
        sql = f"{_BATCH} where idempotency_key = ? and state not in {DROPPED_OR_EXPIRED_SQL}"
        return self._connection.one(BatchRecord, sql, idempotency_key)

    def list(self, *, open_only: bool, before: str, limit: int) -> Sequence[BatchRecord]:
        """Return batches, the latest first; if `before` is a `batch_id`, only earlier ones.

        Accounts that were created by themselves are left out.

        `open_only` is for those that a client has to finish: they are open, or are being undone.
        """
        chosen = "state in ('open', 'undoing') and" if open_only else ""  # as in its index
        sql = (
            f"{_BATCH} where {chosen} origin = 'batch' and batch_id < ?"
            " order by batch_id desc limit ?"
        )
        return self._connection.all(BatchRecord, sql, before or _BATCH_IDS_END, limit)

    def list_idle(self, before: int) -> Sequence[BatchRecord]:
        """Return the open batches that were last touched before a time, by that time."""
        sql = f"{_BATCH} where state = 'open' and touched_at < ? order by touched_at, id"
        return self._connection.all(BatchRecord, sql, before)

    def list_unfinished(self) -> Sequence[BatchRecord]:
        """Return the dropped and expired batches that still have chunks."""
        sql = (
            f"{_BATCH} where state in {DROPPED_OR_EXPIRED_SQL}"
            " and exists (select 1 from chunks where chunks.batch = batches.id) order by id"
        )
        return self._connection.all(BatchRecord, sql)

    def touch(self, batch: int, at: int) -> None:
        """Set the time when a client last worked on a batch."""
        # If the row is locked, another transaction sets the time. If this one waited for it, the
        # chunks of a batch would be reserved one after the other.
        sql = (
            "update batches set touched_at = ? where id in"
            " (select id from batches where id = ? {skip_locked})"
        )
        self._connection.execute(sql, at, batch)

    def set_state(self, batch: int, state: str) -> None:
        """Change the state of an open batch."""
        sql = "update batches set state = ? where id = ? and state = 'open'"
        self._connection.execute(sql, state, batch)

    def publish(self, batch: int, by: str, at: int) -> None:
        """Publish an open batch: all of its users become accounts.

        Its `publication` is the next number. Transactions that publish run one after the other, so
        a transaction that sees a publication sees all earlier ones.
        """
        # A statement of its own takes the lock, so that the next one sees what the previous owner
        # of the lock has committed.
        self._connection.lock(_PUBLISHING_LOCK)
        sql = (
            "update batches set state = 'published', published_by = ?, published_at = ?,"
            " touched_at = ?, publication = (select coalesce(max(publication), 0) + 1 from batches)"
            " where id = ? and state = 'open'"
        )
        self._connection.execute(sql, by, at, at, batch)

    def set_undone(self, batch: int, state: str) -> None:
        """Set `undoing` or `undone` for a batch that was published."""
        sql = "update batches set state = ? where id = ? and published_at is not null"
        self._connection.execute(sql, state, batch)

    def advance_undo(self, batch: int, position: int) -> None:
        """Store that an undo has looked at all users up to a position; it never falls."""
        sql = "update batches set undone_position = ? where id = ? and undone_position < ?"
        self._connection.execute(sql, position, batch, position)

    def purge(self, before: int) -> None:
        """Delete the dropped and expired batches last touched before a time, without chunks."""
        sql = (
            f"delete from batches where state in {DROPPED_OR_EXPIRED_SQL} and touched_at < ?"
            " and not exists (select 1 from chunks where chunks.batch = batches.id)"
        )
        self._connection.execute(sql, before)


class Chunks(Table):
    """The chunks of a batch, and the conflicts that were found in them."""

    def lock(self, batch: int, number: int) -> ChunkRecord | None:
        """Lock a chunk until the transaction ends, whether it exists or not, and return it."""
        # This locks two numbers, because the row may not exist yet. Without the lock, a chunk that
        # is deleted while it is saved could lose users that its record counts.
        self._connection.lock(batch, number)
        sql = f"{_CHUNK} where batch = ? and number = ?"
        return self._connection.one(ChunkRecord, sql, batch, number)

    def list(self, batch: int) -> Sequence[ChunkRecord]:
        """Return all chunks of a batch, by number."""
        sql = f"{_CHUNK} where batch = ? order by number"
        return self._connection.all(ChunkRecord, sql, batch)

    def save(self, batch: int, chunk: ChunkRecord, conflicts: Iterable[ConflictRecord]) -> None:
        """Insert a chunk and its conflicts, or replace both."""
        values = (batch, *structs.astuple(chunk))
        # Nearly always the chunk is new: then there is nothing to delete.
        if not self._connection.execute(f"{_ADD_CHUNK} on conflict do nothing", *values):
            self.delete(batch, chunk.number)
            self._connection.execute(_ADD_CHUNK, *values)
        self._connection.insert_many(
            "conflicts",
            _CONFLICT_COLUMNS,
            [(batch, chunk.number, *structs.astuple(conflict)) for conflict in conflicts],
        )

    def count_hashes(self, batch: int, number: int, stored: int) -> None:
        """Count hashes of a chunk's users that were stored."""
        sql = "update chunks set hashes_due = hashes_due - ? where batch = ? and number = ?"
        self._connection.execute(sql, stored, batch, number)

    def delete(self, batch: int, number: int) -> None:
        """Delete a chunk and its conflicts. Its users are deleted by `users.delete`."""
        sql = "delete from conflicts where batch = ? and chunk = ?"
        self._connection.execute(sql, batch, number)
        self._connection.execute("delete from chunks where batch = ? and number = ?", batch, number)

    def list_conflicts(self, batch: int, after: int, limit: int) -> Sequence[ConflictRecord]:
        """Return conflicts of a batch after a position, by position."""
        sql = (
            f"select {columns(ConflictRecord)} from conflicts"
            " where batch = ? and position > ? order by position limit ?"
        )
        return self._connection.all(ConflictRecord, sql, batch, after, limit)

    def list_skipped(
        self, batch: int, after: int, limit: int, *, without_credentials: bool
    ) -> Sequence[SkippedRecord]:
        """Return accounts for which a batch has skipped an entry after a position, by position.

        `without_credentials` leaves those to which no user can sign in.
        """
        found = columns(SkippedRecord, sign_in=sign_in("live_users"))
        sql = f"select {found} from {_SKIPPED} join live_users using (user_id)"
        if without_credentials:
            sql += f" where {WITHOUT_CREDENTIALS}"
        sql += " order by position limit ?"
        return self._connection.all(SkippedRecord, sql, batch, after, limit)

    def count_accounts(self, batch: int) -> AccountCounts:
        """Add up what accounts a batch had when it was published, without reading them."""
        # PostgreSQL's sums are decimal numbers.
        sql = (
            "select cast(coalesce(sum(users), 0) as bigint),"
            f" cast(coalesce(sum({NEW_WITHOUT_CREDENTIALS}), 0) as bigint)"
            " from chunks where batch = ?"
        )
        return self._connection.one(AccountCounts, sql, batch) or AccountCounts(0, 0)

    def count_suspended(self, batch: int) -> int | None:
        """Count the conflicts of a batch whose accounts are suspended; None without a conflict."""
        sql = (
            "select count(by_email.suspended_at) + count(by_external_id.suspended_at)"
            " from conflicts left join users as by_email"
            " on by_email.email_key = conflicts.email_key and conflicts.external_id is null"
            " left join users as by_external_id"
            " on by_external_id.external_id = conflicts.external_id"
            " where conflicts.batch = ? having count(*) > 0"
        )
        found = self._connection.column(sql, batch)
        return int(found[0]) if found else None

    def purge_conflicts(self, before: int) -> None:
        """Delete the conflicts of the batches that were published before a time."""
        sql = "delete from conflicts where batch in (select id from batches where published_at < ?)"
        self._connection.execute(sql, before)
