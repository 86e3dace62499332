"""The calls of the batch protocol. The rules of each step are in the module of its name.

docs/batch-protocol.md describes the protocol. Each call is short, and can be repeated.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal

from msgspec import structs

from anyscale.domain.models.batches import Batch, Conflict, Created, ReservedChunk
from anyscale.domain.models.users import AdminCreatedUser
from anyscale.domain.schemas.batches import UndoPart
from anyscale.domain.validation import CheckedUser, Policy
from anyscale.errors import FeatureUnavailable, Overloaded
from anyscale.server.core.audit.entries import append_entries, append_entry
from anyscale.server.core.batches.batch_details import (
    BatchName,
    InitialSignIns,
    batch_details,
    batch_name,
    created_users,
    initial_sign_ins,
    published_batch,
    shown_batch,
)
from anyscale.server.core.batches.batch_state import (
    lock_batch,
    open_batch,
    refuse_published,
    refuse_undone,
    require_batch,
    require_open,
    touch,
)
from anyscale.server.core.batches.chunks import NewChunk, reserve_chunk
from anyscale.server.core.batches.cleanup import delete_rows, expire_batch
from anyscale.server.core.batches.comparison import FieldDifference, compare_chunk
from anyscale.server.core.batches.conflicts import (
    chunk_conflicts,
    find_taken,
    list_conflicts,
    merged_conflicts,
    refuse_conflicts,
)
from anyscale.server.core.batches.hash_passwords import hash_passwords
from anyscale.server.core.batches.publish import add_mailing, publish, require_same_count
from anyscale.server.core.batches.small_batch import create_small, find_replay
from anyscale.server.core.batches.subjects import find_subjects, subject_conflicts
from anyscale.server.core.callers import Caller, check_permission
from anyscale.server.core.hashing.pool import PasswordHashPool
from anyscale.server.core.mail.outbox import Outbox
from anyscale.server.core.permissions import Permission
from anyscale.server.core.time_units import DAY_MS
from anyscale.server.core.transactions import Transactions
from anyscale.server.store.records.batches import Origin
from anyscale.server.store.records.search import SkippedRecord
from anyscale.server.store.user_ids import MAX_POSITION

__all__ = ["MAX_POSITION", "BatchService", "Change"]

#: what a call has changed
Change = Literal["published", "dropped", "hashed", "undone"]


class BatchService:
    """Creates, publishes, drops and shows batches.

    Calls about a batch raise `NotFound` if there is none with its id, and those that add to one
    raise `FeatureUnavailable` if the operator has switched batches off. Calls that write raise
    `NotAuthenticated` or `NotPermitted` if the caller has lost its permission. An open batch that
    no client touched for `expiry_days` expires.
    """

    def __init__(
        self,
        transactions: Transactions,
        hashing: PasswordHashPool,
        policy: Policy,
        outbox: Outbox,
        *,
        available: bool,
        expiry_days: int,
    ) -> None:
        self.policy = policy
        self._outbox = outbox
        self._transactions = transactions
        self._hashing = hashing
        self._available = available
        self._expiry = expiry_days * DAY_MS
        #: Receives each change after its transaction, and of how many users. A call that is
        #: repeated changes nothing, so metrics that count here count nothing twice.
        self.on_change: Callable[[Change, int], None] = lambda *_: None

    def create(
        self,
        caller: Caller,
        key: str,
        users: Sequence[CheckedUser],
        if_exists: str,
        passwords: Sequence[tuple[int, str]] = (),
        origin: Origin = "batch",
        *,
        mail_links: bool = False,
        label: str | None = None,
    ) -> Created:
        """Create a small batch in one call: see `create_small`, and `publish` for `mail_links`."""
        self._require_available()
        created = create_small(
            self._transactions,
            self._hashing,
            key,
            users,
            passwords,
            if_exists,
            caller,
            origin,
            self._outbox_for(mail_links=mail_links),
            label,
        )
        if created.replayed:
            self._add_missing_mailing(created.batch.batch_id, caller, mail_links=mail_links)
        else:
            skipped = {conflict.position for conflict in created.skipped}
            self.on_change("hashed", sum(position not in skipped for position, _ in passwords))
            self.on_change("published", created.batch.users)
        return created

    def find_replay(self, key: str, users: Sequence[CheckedUser], if_exists: str) -> Created | None:
        """Return the result of an equal small batch, if there was one: see `create_small`."""
        return find_replay(self._transactions, key, users, if_exists)

    def dry_run(self, users: Sequence[CheckedUser], if_exists: str) -> list[Conflict]:
        """Return the conflicts of the users that `create` would skip. It writes nothing.

        Raises:
            BatchRefused: other emails are taken.
        """
        conflicts = self.look_up(users, 0)
        refuse_conflicts(conflicts, if_exists)
        return conflicts

    def available_policy(self) -> Policy:
        """Return the policy, or raise `FeatureUnavailable`."""
        self._require_available()
        from anyscale.server.core.hashing.schemes.verified import verified_schemes

        return structs.replace(self.policy, hash_schemes=verified_schemes())

    def look_up(self, users: Sequence[CheckedUser], first: int) -> list[Conflict]:
        """Return the conflicts that a chunk of users would have, from a position on."""
        with self._transactions.read() as tx:
            taken = find_taken(tx, users)
            subjects = find_subjects(tx, users)
        by_subject = subject_conflicts("", users, subjects, first)
        return list(merged_conflicts(chunk_conflicts("", first, users, taken), by_subject))

    def find(self, key: str) -> Batch | None:
        """Return the open or published batch with an idempotency key.

        Raises:
            BatchUndone: it was undone.
        """
        with self._transactions.read() as tx:
            if batch := tx.batches.find(key):
                refuse_undone(batch)
            return batch_details(tx, batch) if batch else None

    def open(self, caller: Caller, key: str, if_exists: str, label: str | None = None) -> Batch:
        """Open a batch, or return the one with the key: see `open_batch`."""
        self._require_available()
        with self._transactions.write_for(caller, Permission.CREATE_ACCOUNTS) as (tx, _):
            return batch_details(tx, open_batch(tx, key, if_exists, caller.actor, label))

    def reserve(
        self, caller: Caller, batch_id: str, number: int, users: Sequence[CheckedUser]
    ) -> ReservedChunk:
        """Reserve the emails of a chunk of users. Their passwords are not stored.

        Args:
            caller: an owner.
            batch_id: an open batch; with a published one the chunk is only compared.
            number: of the chunk, from 0. All but the last have `Policy.chunk_users` users.
            users: the chunk.

        Raises:
            KeyReused: a chunk with this number and other content was reserved before.
            BatchGone: the batch was dropped or expired.
        """
        self._require_available()
        if number < 0 or len(users) > self.policy.chunk_users:
            # The users would get ids of another chunk.
            raise ValueError(f"a chunk has at most {self.policy.chunk_users} users, from chunk 0")
        with self._transactions.read() as tx:
            batch = require_batch(tx, batch_id)
        chunk = NewChunk(batch, number, number * self.policy.chunk_users, users)
        return reserve_chunk(self._transactions, chunk, caller)

    def reserved_chunks(self, batch_id: str) -> int:
        """Return how many chunks of a batch are reserved."""
        with self._transactions.read() as tx:
            return len(tx.chunks.list(require_batch(tx, batch_id).id))

    def difference(
        self,
        batch_id: str,
        number: int,
        users: Sequence[CheckedUser],
        passwords: Sequence[tuple[int, str]] = (),
    ) -> FieldDifference | None:
        """Compare a chunk with the reserved one of its number; None if there is no difference.

        Of the passwords, one that has a hash already is compared.
        """
        first = number * self.policy.chunk_users
        return compare_chunk(
            self._transactions, self._hashing, batch_id, number, first, users, passwords
        )

    def key_of(self, caller: Caller, batch_id: str) -> str:
        """Return the idempotency key of a batch, which is needed to continue it."""
        with self._transactions.read() as tx:
            check_permission(tx, caller, Permission.CREATE_ACCOUNTS)
            return require_batch(tx, batch_id).idempotency_key

    def conflicts(
        self, batch_id: str, after: int = -1, limit: int = MAX_POSITION
    ) -> list[Conflict]:
        """Return conflicts of a batch after a position, by position."""
        with self._transactions.read() as tx:
            return list_conflicts(tx, require_batch(tx, batch_id), after, limit)

    def skipped(
        self,
        batch_id: str,
        after: int = -1,
        limit: int = MAX_POSITION,
        *,
        without_credentials: bool = False,
    ) -> Sequence[SkippedRecord]:
        """Return the accounts of skipped entries after a position: see `chunks.list_skipped`.

        There are none once the skipped entries are deleted.
        """
        with self._transactions.read() as tx:
            batch = require_batch(tx, batch_id)
            return tx.chunks.list_skipped(
                batch.id, after, limit, without_credentials=without_credentials
            )

    def release(self, caller: Caller, batch_id: str) -> None:
        """Delete the rows of an open batch, so that a batch that waits for its emails continues."""
        with self._transactions.write_shared(
            lambda tx: lock_batch(tx, batch_id), caller, Permission.CREATE_ACCOUNTS
        ) as locked:
            tx, batch = locked
            touch(tx, require_open(batch))
        if not delete_rows(self._transactions, batch, self.policy.chunk_users, caller):
            raise Overloaded("some emails are still reserved: repeat the call")

    def hash(self, caller: Caller, batch_id: str, passwords: Sequence[tuple[int, str]]) -> int:
        """Hash passwords of users of an open batch: see `hash_passwords`."""
        stored = hash_passwords(
            self._transactions, self._hashing, self.available_policy(), batch_id, passwords, caller
        )
        self.on_change("hashed", stored)
        return stored

    def publish(
        self, caller: Caller, batch_id: str, entries: int, *, mail_links: bool = False
    ) -> Batch:
        """Make all users of an open batch accounts at one moment; return a published one again.

        It is returned with the counts of its accounts: see `published_batch`. With `mail_links`
        those that nobody can sign in to get links by mail.

        Raises:
            LinkRefused, MailUnavailable: no links can be mailed.
            BatchUnfinished: chunks or hashes are missing, or emails are taken.
            KeyReused: the batch is one of a longer list than the `entries` of the client.
            BatchGone: the batch was dropped or expired.
        """
        self._require_available()
        outbox = self._outbox_for(mail_links=mail_links)
        with self._transactions.write_after(
            lambda tx: lock_batch(tx, batch_id, exclusive=True), caller, Permission.CREATE_ACCOUNTS
        ) as (tx, batch, _):
            require_same_count(tx, batch, entries)
            if batch.state != "published":
                publish(tx, require_open(batch), entries, caller.actor, outbox)
            users = batch_details(tx, batch).users
        is_new = batch.state != "published"
        if is_new:
            self.on_change("published", users)
        else:
            self._add_missing_mailing(batch_id, caller, mail_links=mail_links)
        # In a transaction that locks nothing: it may read many accounts.
        with self._transactions.read() as tx:
            return published_batch(tx, require_batch(tx, batch_id), is_new=is_new)

    def drop(self, caller: Caller, batch_id: str) -> Batch:
        """Drop an open batch: its emails are free again. Raises `BatchGone` if it is published."""
        with self._transactions.write_after(
            lambda tx: lock_batch(tx, batch_id, exclusive=True), caller, Permission.CREATE_ACCOUNTS
        ) as (tx, batch, _):
            refuse_published(batch)
            if batch.state == "open":
                tx.batches.set_state(batch.id, "dropped")
                data = {"opened_by": batch.opened_by}
                append_entry(tx, caller.actor, "batch.dropped", batch_id, data)
        if batch.state == "open":
            self.on_change("dropped", 0)
        delete_rows(self._transactions, batch, self.policy.chunk_users, None)
        return self.show(caller, batch_id)

    def undo(
        self, caller: Caller, batch_id: str, after: str, *, force: bool, dry_run: bool
    ) -> UndoPart:
        """Delete accounts of a published batch, after a `user_id`: see `undo_part`."""
        from anyscale.server.core.batches.undo import undo_part

        part = undo_part(self._transactions, batch_id, after, caller, force=force, dry_run=dry_run)
        if not dry_run:
            self.on_change("undone", part.removed)
        return part

    def expire(self) -> None:
        """Expire the batches that no client touched, and finish drops that were interrupted."""
        with self._transactions.read() as tx:
            idle = tx.batches.list_idle(tx.now() - self._expiry)
            unfinished = tx.batches.list_unfinished()
        expired = [batch for batch in idle if expire_batch(self._transactions, batch)]
        for batch in (*expired, *unfinished):
            delete_rows(self._transactions, batch, self.policy.chunk_users, None)

    def show(self, caller: Caller, batch_id: str) -> Batch:
        """Return one batch, with the numbers of its accounts: see `shown_batch`."""
        with self._transactions.read() as tx:
            batch = require_batch(tx, batch_id)
            return shown_batch(tx, batch, caller)

    def counts(self, batch_id: str) -> Batch:
        """Return one batch as lists have it, without the numbers of its accounts."""
        with self._transactions.read() as tx:
            return batch_details(tx, require_batch(tx, batch_id))

    def names(self, batch_ids: Iterable[str]) -> dict[str, BatchName]:
        """Return what names some batches, by their ids; unknown ids are left out."""
        with self._transactions.read() as tx:
            found = tx.batches.list_with_ids(list(batch_ids))
        return {batch.batch_id: batch_name(batch) for batch in found}

    def sign_ins(self, batch_id: str) -> Mapping[str, int]:
        """Count the accounts of a published batch by how their users can sign in."""
        with self._transactions.read() as tx:
            return tx.users.count(require_batch(tx, batch_id).batch_id)

    def initial_sign_ins(self, batch_id: str) -> InitialSignIns:
        """Return how the users of a batch could sign in when it was created."""
        with self._transactions.read() as tx:
            return initial_sign_ins(tx, require_batch(tx, batch_id))

    def page(self, *, open_only: bool, before: str, limit: int) -> list[Batch]:
        """Return batches, or the unfinished ones, the latest first, after the last id of a page.

        `open_only` is for the unfinished ones: they are open, or are being undone.
        """
        with self._transactions.read() as tx:
            batches = tx.batches.list(open_only=open_only, before=before, limit=limit)
            return [batch_details(tx, batch) for batch in batches]

    def created(self, batch_id: str, after: str, limit: int) -> list[AdminCreatedUser]:
        """Return users of a published batch in the order of the input, after a `user_id`."""
        with self._transactions.read() as tx:
            require_batch(tx, batch_id)
            return created_users(tx, batch_id, after, limit)

    def _add_missing_mailing(self, batch_id: str, caller: Caller, *, mail_links: bool) -> None:
        """Add the mailing of a batch that an earlier call has published without one."""
        if mail_links:
            with self._transactions.write_after(
                lambda tx: lock_batch(tx, batch_id, exclusive=True),
                caller,
                Permission.CREATE_ACCOUNTS,
            ) as (tx, batch, _):
                if batch.state == "published" and not tx.mailings.list("", 1, batch_id):
                    append_entries(tx, [add_mailing(tx, batch, caller.actor, self._outbox)])

    def _outbox_for(self, *, mail_links: bool) -> Outbox | None:
        if not mail_links:
            return None
        self._outbox.require_links()  # before any work
        return self._outbox

    def _require_available(self) -> None:
        if not self._available:
            raise FeatureUnavailable
