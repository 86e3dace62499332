"""Reserve the emails of a chunk in one transaction.

While a transaction inserts users into SQLite, no other one can write. So `NewChunk` computes the
digest and the ids before the transaction starts. The transaction is a slice (see `Store.write`):
shorter ones that wait go first.
"""

import hashlib
from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import structs

from anyscale.domain.conflicts import is_skipped
from anyscale.domain.emails import email_key
from anyscale.domain.models.batches import Conflict, ReservedChunk
from anyscale.domain.validation import CheckedUser
from anyscale.errors import KeyReused
from anyscale.server.core.audit.entries import root_of
from anyscale.server.core.batches.batch_state import lock_batch, require_open, touch
from anyscale.server.core.batches.conflicts import chunk_conflicts, freed_since, merged_conflicts
from anyscale.server.core.batches.subjects import (
    clear_obsolete_subjects,
    find_subjects,
    subject_conflicts,
    without_subjects,
)
from anyscale.server.core.callers import Caller
from anyscale.server.core.permissions import Permission
from anyscale.server.core.transactions import Transactions
from anyscale.server.store.records.batches import (
    BatchRecord,
    ChunkRecord,
    ConflictRecord,
    EmailHolder,
)
from anyscale.server.store.records.users import FreedEmailRecord, new_users
from anyscale.server.store.transaction import Transaction
from anyscale.server.store.user_ids import user_ids


class NewChunk:
    """A chunk of users whose emails are to be reserved in a batch.

    Args:
        batch: as it was read before; it may have another state by now.
        number: of the chunk, from 0.
        first: the position of the first user in the batch.
        users: the chunk.
    """

    def __init__(
        self, batch: BatchRecord, number: int, first: int, users: Sequence[CheckedUser]
    ) -> None:
        self.batch_id: Final = batch.batch_id
        self.if_exists: Final = batch.if_exists
        self.number = number
        self.first = first
        self.users = users
        self.digest: Final = chunk_digest(users, batch.if_exists)
        self.ids: Final = user_ids(batch.batch_id, range(first, first + len(users)))
        # Few chunks have users of other systems, so the others are searched for them only once.
        self._are_imported = any(user.password_hash or user.suspended or user.sub for user in users)

    def reserve(self, tx: Transaction, batch: BatchRecord, *, again: bool = False) -> ReservedChunk:
        """Insert the users, and save and return the outcome; `again` if there is one already."""
        by_subject, holders = self._insert(tx, batch)
        freed = self._take_freed(tx, batch)
        taken = chunk_conflicts(self.batch_id, self.first, self.users, [*holders, *freed])
        conflicts = merged_conflicts(taken, by_subject)
        record = self._record(conflicts)
        if again and record.passwords:  # some of them may have hashes since the first time
            due = tx.users.count_pending(batch.id, self.ids[0], self.ids[-1])
            record = structs.replace(record, hashes_due=due)
        tx.chunks.save(
            batch.id,
            record,
            [_conflict_record(conflict) for conflict in conflicts],
        )
        open_batches = sorted({conflict.holder for conflict in conflicts if conflict.holder})
        return ReservedChunk(record.users, record.skipped, record.conflicts, open_batches)

    def _insert(
        self, tx: Transaction, batch: BatchRecord
    ) -> tuple[dict[int, Conflict], Sequence[EmailHolder]]:
        """Insert the users whose `sub` is free; return the others, and the holders of emails."""
        users, ids, refused = self.users, self.ids, dict[int, Conflict]()
        if self._are_imported:
            found = find_subjects(tx, users, ids)
            clear_obsolete_subjects(tx, found)
            refused = subject_conflicts(self.batch_id, users, found, self.first)
            users = without_subjects(users, found)
        if refused:
            free = [at for at in range(len(users)) if self.first + at not in refused]
            users, ids = [users[at] for at in free], [ids[at] for at in free]
        imported_at = tx.now() if self._are_imported else None
        return refused, tx.users.insert(batch.id, new_users(ids, users, imported_at))

    def _take_freed(self, tx: Transaction, batch: BatchRecord) -> Sequence[FreedEmailRecord]:
        if not self.ids:
            return []
        return tx.emails.take_freed(batch.id, self.ids[0], self.ids[-1], freed_since(tx))

    def _record(self, conflicts: Sequence[Conflict]) -> ChunkRecord:
        skipped = sum(is_skipped(conflict, self.if_exists) for conflict in conflicts)
        users, ids = self.users, self.ids
        if conflicts:
            taken = {conflict.position - self.first for conflict in conflicts}
            created = [at for at in range(len(users)) if at not in taken]
            users, ids = [users[at] for at in created], [ids[at] for at in created]
        passwords = [user.has_password for user in users].count(True)
        imported = users if self._are_imported else []
        hashes = [user.password_hash is not None for user in imported].count(True)
        suspended = [user.has_password for user in imported if user.suspended]
        by_sso = [user.has_password or user.suspended for user in users if user.is_sso_user]
        return ChunkRecord(
            number=self.number,
            digest=self.digest,
            user_root=root_of(ids),
            users=len(users),
            skipped=skipped,
            conflicts=len(conflicts) - skipped,
            hashes_due=passwords - hashes,
            passwords=passwords,
            suspended=suspended.count(False),
            sso_users=by_sso.count(False),
        )


def reserve_chunk(transactions: Transactions, chunk: NewChunk, caller: Caller) -> ReservedChunk:
    """Reserve the emails of a chunk, or return the stored outcome of an equal chunk.

    Nothing is added to a published batch.

    Raises:
        KeyReused: a chunk with this number and other content was reserved before.
        BatchGone: the batch was dropped or expired.
        NotAuthenticated, NotPermitted: the caller has lost its permission.
    """
    with transactions.write_shared(
        lambda tx: lock_batch(tx, chunk.batch_id), caller, Permission.CREATE_ACCOUNTS, is_slice=True
    ) as (tx, batch):
        stored = _lock(tx, batch, chunk)
        return _outcome(batch, stored) or chunk.reserve(tx, batch, again=stored is not None)


def _lock(tx: Transaction, batch: BatchRecord, chunk: NewChunk) -> ChunkRecord | None:
    """Lock a chunk of a locked batch, and return it. Raises as `reserve_chunk` does."""
    is_published = batch.state == "published"
    if not is_published:
        require_open(batch)
    stored = tx.chunks.lock(batch.id, chunk.number)
    if (stored and stored.digest != chunk.digest) or (not stored and is_published):
        raise KeyReused(f"batch {batch.batch_id} has other users in chunk {chunk.number}")
    if not is_published:
        touch(tx, batch)
    return stored


def _outcome(batch: BatchRecord, stored: ChunkRecord | None) -> ReservedChunk | None:
    """Return the outcome of a chunk, unless its emails are still to be reserved."""
    if stored and (batch.state == "published" or not stored.conflicts):
        return ReservedChunk(stored.users, stored.skipped, stored.conflicts, [])
    return None


def chunk_digest(users: Sequence[CheckedUser], if_exists: str) -> bytes:
    """Return the SHA-256 of a chunk's content, which shows that a chunk is repeated.

    It never covers a password or its hash: a reader of the database could test guesses against it.
    """
    users = [
        structs.replace(one, password_hash=None) if one.password_hash else one for one in users
    ]
    return hashlib.sha256(msgspec.msgpack.encode((if_exists, users))).digest()


def _conflict_record(conflict: Conflict) -> ConflictRecord:
    return ConflictRecord(
        position=conflict.position,
        email=conflict.email,
        email_key=email_key(conflict.email),
        kind=conflict.kind,
        other=conflict.other,
        holder=conflict.holder,
        external_id=conflict.external_id,
    )
