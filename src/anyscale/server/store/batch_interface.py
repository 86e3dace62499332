"""Batches, their chunks and their users: a part of `interface.Transaction`."""

from collections.abc import Iterable, Sequence
from typing import Protocol

from anyscale.server.store.records import (
    BatchRecord,
    ChunkRecord,
    ConflictRecord,
    CreatedUserRecord,
    EmailHolder,
    NewUsers,
    PendingHash,
    UserRecord,
)

__all__ = ["Batches", "Chunks", "Users"]


class Batches(Protocol):
    """The batches. A `batch` argument is the number `BatchRecord.id`."""

    def add(self, batch: BatchRecord) -> BatchRecord | None:
        """Insert a batch. Return it with its `id`, or None if its idempotency key is in use."""

    def get(self, batch_id: str) -> BatchRecord | None:
        """Return a batch."""

    def lock(self, batch_id: str, *, exclusive: bool) -> BatchRecord | None:
        """Return a batch and lock it until the transaction ends."""

    def find(self, idempotency_key: str) -> BatchRecord | None:
        """Return the batch with an idempotency key that is neither dropped nor expired."""

    def list(self, *, open_only: bool, before: str, limit: int) -> Sequence[BatchRecord]:
        """Return batches, the latest first.

        Args:
            open_only: only open ones.
            before: the last `batch_id` of the previous page, or an empty text.
            limit: the size of a page.
        """

    def list_idle(self, before: int) -> Sequence[BatchRecord]:
        """Return the open batches that were last touched before a time."""

    def list_unfinished(self) -> Sequence[BatchRecord]:
        """Return the dropped and expired batches that still have chunks."""

    def touch(self, batch: int, at: int) -> None:
        """Set the time at which a client last worked on a batch."""

    def set_state(self, batch: int, state: str) -> None:
        """Change the state of an open batch."""

    def publish(self, batch: int, by: str, at: int) -> None:
        """Publish an open batch: all of its users become accounts."""

    def purge(self, before: int) -> None:
        """Delete the dropped and expired batches last touched before a time, without chunks."""


class Chunks(Protocol):
    """The chunks of a batch, and the conflicts that were found in them."""

    def lock(self, batch: int, number: int) -> ChunkRecord | None:
        """Lock a chunk until the transaction ends, whether it exists or not, and return it."""

    def list(self, batch: int) -> Sequence[ChunkRecord]:
        """Return all chunks of a batch, by number."""

    def save(self, batch: int, chunk: ChunkRecord, conflicts: Iterable[ConflictRecord]) -> None:
        """Insert a chunk and its conflicts, or replace both."""

    def delete(self, batch: int, number: int) -> None:
        """Delete a chunk and its conflicts. Its users are deleted by `users.delete`."""

    def list_conflicts(self, batch: int, after: int, limit: int) -> Sequence[ConflictRecord]:
        """Return conflicts of a batch after a position, by position."""

    def purge_conflicts(self, before: int) -> None:
        """Delete the conflicts of the batches that were published before a time."""


class Users(Protocol):
    """The rows of batches, published or not, and the listings of accounts."""

    def insert(self, batch: int, users: NewUsers) -> Sequence[EmailHolder]:
        """Insert the users whose email is free; return the holders of the other emails."""

    def find_holders(self, email_keys: Sequence[str]) -> Sequence[EmailHolder]:
        """Return the rows of open and published batches that have one of some emails."""

    def list_pending(self, batch: int, user_ids: Sequence[str]) -> Sequence[PendingHash]:
        """Return those of some rows whose password is not hashed yet."""

    def count_pending(self, batch: int) -> int:
        """Count the rows of a batch whose password is not hashed yet."""

    def save_hashes(self, batch: int, hashes: Iterable[tuple[str, str]]) -> int:
        """Store pairs of `user_id` and hash in rows without one; return how many were stored."""

    def delete(self, first_id: str, end_id: str) -> None:
        """Delete the rows from one `user_id` up to another one, which stays."""

    def list_created(self, batch_id: str, after: str, limit: int) -> Sequence[CreatedUserRecord]:
        """Return users of a published batch, by `user_id`, after one."""

    def list(
        self, *, email: str, name: str, suspended: bool = False, after: str, limit: int
    ) -> Sequence[UserRecord]:
        """Return accounts by `user_id`, which is the order of their creation.

        Args:
            email: a casefolded part of the email, as it is shown or as its key is; empty for any.
            name: a casefolded part of the name; empty for any.
            suspended: only suspended accounts.
            after: the last `user_id` of the previous page, or an empty text.
            limit: the size of a page.
        """

    def list_named(self, name: str, limit: int) -> Sequence[UserRecord]:
        """Return the accounts that have exactly this name, by `user_id`."""

    def list_without_credentials(
        self, batch_id: str, *, sso: bool, after: str, limit: int
    ) -> Sequence[UserRecord]:
        """Return the accounts of a published batch to which no user can sign in, by `user_id`.

        Args:
            batch_id: of the batch.
            sso: whether there is an identity provider, with which SSO users sign in.
            after: the last `user_id` of the previous page, or an empty text.
            limit: the size of a page.
        """

    def count_without_credentials(self, batch_id: str, *, sso: bool) -> int:
        """Count these accounts."""
