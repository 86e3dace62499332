"""The calls of a control plane that a run makes: of a client's transport, or of a server's own."""

from collections.abc import Callable, Sequence
from typing import Protocol

from anyscale.domain.models.batches import Batch, Conflict, Created, ReservedChunk
from anyscale.domain.models.users import AdminCreatedUser
from anyscale.domain.validation import CheckedUser, Policy

#: Receives the phase, how much of it is done, how much it is in all, and how many users or
#: passwords the done part has.
Progress = Callable[[str, int, int, int], None]


class BatchCalls(Protocol):
    """The calls of a batch: creating users by one call, or chunk by chunk."""

    def create(
        self,
        key: str,
        users: Sequence[CheckedUser],
        if_exists: str,
        passwords: Sequence[tuple[int, str]] = (),
        *,
        mail_links: bool = False,
        label: str | None = None,
    ) -> Created:
        """Create a small batch in one call.

        `key` is the idempotency key. Each password has the position of its user. With `mail_links`
        the users that cannot sign in yet get a link by mail. People recognize it by its `label`.
        """

    def look_up(self, users: Sequence[CheckedUser], first: int) -> list[Conflict]:
        """Return the users whose emails are taken; `first` is the position of the first user."""

    def find(self, key: str) -> Batch | None:
        """Return the open or published batch with an idempotency key."""

    def open(self, key: str, if_exists: str, label: str | None = None) -> Batch:
        """Open a batch, or return the one that was opened with this key before, with its label."""

    def reserve(self, batch_id: str, number: int, users: Sequence[CheckedUser]) -> ReservedChunk:
        """Reserve the emails of a chunk of users; with a published batch only compare the chunk.

        Chunks are numbered from 0. All but the last have `Policy.chunk_users` users.
        """

    def conflicts(self, batch_id: str) -> list[Conflict]:
        """Return the entries of a batch whose emails are taken, by position."""

    def release(self, batch_id: str) -> None:
        """Release the emails that an open batch has reserved; it stays open."""

    def hash(self, batch_id: str, passwords: Sequence[tuple[int, str]]) -> int:
        """Hash passwords, each with the position of its user; return how many were stored."""

    def publish(self, batch_id: str, entries: int, *, mail_links: bool = False) -> Batch:
        """Make all users of a batch accounts at one moment; return a published one again.

        The control plane compares `entries`, the number of users that were sent. `mail_links` is
        that of `create`.
        """

    def drop(self, batch_id: str) -> Batch:
        """Drop an open batch: no user is created."""

    def show(self, batch_id: str) -> Batch:
        """Return one batch."""

    def created(self, batch_id: str, after: str, limit: int) -> list[AdminCreatedUser]:
        """Return users of a published batch in the order of the input, after a `user_id`."""


class RunCalls(Protocol):
    """The control plane of a run."""

    #: Chunks of users that are sent at a time, to be reserved.
    reservations_at_once: int
    #: Chunks of passwords that are sent at a time, to be hashed.
    hashes_at_once: int
    #: Receives messages for the user while a call takes long.
    on_notice: Callable[[str], None]

    @property
    def batches(self) -> BatchCalls:
        """The calls of batches."""

    def policy(self) -> Policy:
        """Return the rules for users and the limits of requests."""

    def cancel_retries(self) -> None:
        """Make the calls fail that wait for their next attempt: nobody needs their results."""
