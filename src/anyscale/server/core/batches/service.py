"""The batch protocol: claim, hash, publish; whole or nothing, at any size, through any crash.

docs/batch-protocol.md tells it from the outside. Every method is short and can be repeated.
"""

from collections.abc import Sequence

from anyscale.errors import (
    BatchGone,
    BatchRefused,
    BatchUnfinished,
    FeatureUnavailable,
    KeyReused,
    Overloaded,
    Problem,
)
from anyscale.server.core.audit import log as audit
from anyscale.server.core.authorization import Principal, require_owner
from anyscale.server.core.batches.cleanup import expired, remove_rows
from anyscale.server.core.batches.publish import (
    counted_batch,
    created_users,
    publish,
    require_same_count,
    shown_batch,
)
from anyscale.server.core.batches.records import (
    conflict_of,
    conflicts_of,
    conflicts_page,
    position_of,
    user_id,
)
from anyscale.server.core.batches.reserve import (
    claim_chunk,
    held_batch,
    known_batch,
    new_batch,
    open_batch,
    touch,
)
from anyscale.server.core.batches.single_request import create_small
from anyscale.server.core.hashing.pool import PasswordHashPool
from anyscale.server.store.interface import PendingHash, Store
from anyscale.user.models import AdminCreatedUser, Batch, Conflict, Created, ReservedChunk
from anyscale.user.validation import CheckedUser, Policy

__all__ = ["BatchService"]

_DAY = 24 * 60 * 60 * 1000


class BatchService:
    """What can be done with batches.

    Args:
        store: where the rows are.
        hashing: the pool that hashes.
        policy: what is asked of a batch.
        available: whether the operator lets batches be created.
        expiry_days: after which an open batch that nobody touched is dropped.
        sso: whether there is an identity provider, by which SSO users come in.
    """

    def __init__(
        self,
        store: Store,
        hashing: PasswordHashPool,
        policy: Policy,
        *,
        available: bool,
        expiry_days: int,
        sso: bool = False,
    ) -> None:
        self.policy = policy
        self._store = store
        self._hashing = hashing
        self._available = available
        self._expiry = expiry_days * _DAY
        self._sso = sso

    def create(
        self, key: str, users: Sequence[CheckedUser], if_exists: str, caller: Principal
    ) -> Created:
        """Create a small batch in one call: see `create_small`."""
        self._require_available()
        return create_small(self._store, self._hashing, key, users, if_exists, caller)

    def available_policy(self) -> Policy:
        """Say what is asked of a batch.

        Raises:
            FeatureUnavailable: the operator does not let batches be created.
        """
        self._require_available()
        return self.policy

    def look_up(self, users: Sequence[CheckedUser], first: int) -> list[Conflict]:
        """Say which emails are taken, and write nothing.

        Args:
            users: a chunk of them.
            first: the position of the first one.
        """
        with self._store.read() as rows:
            owners = {o.email_key: o for o in rows.owners([user.email_key for user in users])}
        return [
            conflict_of(position, user.email, owners[user.email_key], None)
            for position, user in enumerate(users, first)
            if user.email_key in owners
        ]

    def find(self, key: str) -> Batch | None:
        """Give the open or published batch with an idempotency key."""
        with self._store.read() as rows:
            row = rows.live_batch(key)
            return shown_batch(rows, row) if row else None

    def open(self, key: str, if_exists: str, caller: Principal) -> Batch:
        """Open a batch, or take up the one with this key where it stopped.

        Raises:
            KeyReused: the key's batch was opened with another `if_exists`.
        """
        self._require_available()
        with self._store.write() as rows:
            row = rows.live_batch(key) or rows.add_batch(
                new_batch(rows, key, if_exists, caller.actor)
            )
            if row is None:  # the same call is made twice at once, and the other one was first
                row = rows.live_batch(key)
            if row is None:
                raise BatchUnfinished("the batch ended while it was opened")
            if row.if_exists != if_exists:
                raise KeyReused(f"batch {row.batch_id} was opened with if_exists={row.if_exists}")
            if row.state == "open":
                touch(rows, row)
            return shown_batch(rows, row)

    def claim(self, batch_id: str, number: int, users: Sequence[CheckedUser]) -> ReservedChunk:
        """Claim the emails of a chunk of users; their passwords are not stored.

        Args:
            batch_id: an open batch; of a published one the chunk is compared and answered again.
            number: of the chunk, from 0. All but the last have `Policy.chunk_users` users.
            users: of the chunk.

        Raises:
            KeyReused: the chunk was claimed before with other content.
            BatchGone: the batch was dropped or expired.
        """
        self._require_available()
        if number < 0 or len(users) > self.policy.chunk_users:
            # The ids of its users would be those of another chunk's.
            raise ValueError(f"a chunk has at most {self.policy.chunk_users} users, from chunk 0")
        with self._store.write() as rows:
            batch = held_batch(rows, batch_id)
            if batch.state != "published":
                open_batch(batch)
            return claim_chunk(rows, batch, number, number * self.policy.chunk_users, users)

    def conflicts(self, batch_id: str) -> list[Conflict]:
        """List the entries whose emails somebody else has, by position."""
        with self._store.read() as rows:
            return conflicts_of(rows, known_batch(rows, batch_id))

    def conflicts_page(self, batch_id: str, after: int, limit: int) -> list[Conflict]:
        """List some of them, after a position."""
        with self._store.read() as rows:
            return conflicts_page(rows, known_batch(rows, batch_id), after, limit)

    def release(self, batch_id: str) -> None:
        """Give up the rows of an open batch, so that the batch that waits for them gets through."""
        with self._store.write() as rows:
            batch = open_batch(held_batch(rows, batch_id))
            touch(rows, batch)
        if not remove_rows(self._store, batch, self.policy.chunk_users):
            raise Overloaded("not all of it is given up yet: ask again")

    def hash(self, batch_id: str, passwords: Sequence[tuple[int, str]]) -> int:
        """Hash passwords and store the hashes; one that is stored is never computed again.

        Args:
            batch_id: an open batch.
            passwords: positions, and passwords in their normalized form.

        Returns:
            How many were stored.

        Raises:
            BatchRefused: the policy refuses passwords.
        """
        self._require_available()
        wanted = {user_id(batch_id, position): text for position, text in passwords}
        with self._store.read() as rows:
            due = rows.due(open_batch(known_batch(rows, batch_id)).id, list(wanted))
        self._check_passwords(due, wanted)
        ids = [row.user_id for row in due]
        hashes = self._hashing.hash_many([wanted[name] for name in ids])
        with self._store.write() as rows:
            batch = open_batch(held_batch(rows, batch_id))
            touch(rows, batch)
            return rows.save_hashes(batch.id, zip(ids, hashes, strict=True))

    def publish(self, batch_id: str, entries: int, caller: Principal) -> Batch:
        """Make every user of a batch an account at one moment.

        Args:
            batch_id: an open batch; of a published one the answer is given again.
            entries: how many entries the client has sent.
            caller: who publishes.

        Raises:
            BatchUnfinished: chunks or hashes are missing, or emails are taken.
            KeyReused: the batch is one of a longer list.
            BatchGone: the batch was dropped or expired.
            NotAuthenticated, NotPermitted: the caller has lost the right to it.
        """
        self._require_available()
        with self._store.write() as rows:
            batch = held_batch(rows, batch_id, alone=True)
            require_same_count(rows, batch, entries)
            if batch.state != "published":
                require_owner(rows, caller)
                publish(rows, open_batch(batch), entries, caller.actor)
            return shown_batch(rows, known_batch(rows, batch_id))

    def drop(self, batch_id: str, caller: Principal) -> Batch:
        """End an open batch: nobody is created, and its emails are free again.

        Raises:
            BatchGone: it is published.
        """
        with self._store.write() as rows:
            batch = held_batch(rows, batch_id, alone=True)
            if batch.state == "published":
                raise BatchGone(f"batch {batch_id} is published: its users are accounts")
            if batch.state == "open":
                rows.set_state(batch.id, "dropped")
                told = {"opened_by": batch.opened_by}
                audit.append(rows, caller.actor, "batch.dropped", batch_id, told)
        remove_rows(self._store, batch, self.policy.chunk_users)
        return self.show(batch_id)

    def expire(self) -> None:
        """Drop the batches that nobody touched for long, and finish drops that were cut short."""
        with self._store.read() as rows:
            idle = rows.idle_batches(rows.now() - self._expiry)
            ended = rows.ended_batches_with_rows()
        for batch in idle:
            if expired(self._store, batch):
                remove_rows(self._store, batch, self.policy.chunk_users)
        for batch in ended:
            remove_rows(self._store, batch, self.policy.chunk_users)

    def show(self, batch_id: str) -> Batch:
        """Give one batch, with how many of its accounts nobody can sign in to yet.

        Raises:
            NotFound: there is none with this id.
        """
        with self._store.read() as rows:
            return counted_batch(rows, known_batch(rows, batch_id), sso=self._sso)

    def page(self, *, open_only: bool, before: str, limit: int) -> list[Batch]:
        """List batches, or the open ones, the latest first, after the last one of a page."""
        with self._store.read() as rows:
            found = rows.batches(open_only=open_only, before=before, limit=limit)
            return [shown_batch(rows, row) for row in found]

    def created(self, batch_id: str, after: str, limit: int) -> list[AdminCreatedUser]:
        """Give users of a published batch in the order of the input, after a `user_id`."""
        with self._store.read() as rows:
            known_batch(rows, batch_id)
            return created_users(rows, batch_id, after, limit)

    def _require_available(self) -> None:
        if not self._available:
            raise FeatureUnavailable

    def _check_passwords(self, due: Sequence[PendingHash], wanted: dict[str, str]) -> None:
        found = self._hashing.faults(
            [wanted[row.user_id] for row in due],
            [(row.name, row.lastname, row.email) for row in due],
            self.policy.password_min_length,
        )
        problems = [
            Problem(index=position_of(row.user_id), field="password", code=code, detail=detail)
            for row, fault in zip(due, found, strict=True)
            if fault
            for code, detail in [fault]
        ]
        if problems:
            raise BatchRefused(problems)
