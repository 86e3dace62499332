"""What the client asks of a control plane, wherever it is."""

from collections.abc import Callable, Sequence
from typing import Protocol

from anyscale.audit_log import AuditEntry
from anyscale.user.models import (
    AdminCreatedUser,
    Batch,
    Conflict,
    Created,
    PasswordLink,
    ReservedChunk,
    User,
)
from anyscale.user.validation import CheckedUser, Policy

__all__ = ["Transport"]


class Transport(Protocol):
    """The calls of the control plane. Each is short and can be repeated.

    They raise the errors of `anyscale.errors`, the same ones wherever the control plane is.
    """

    #: Where it is, in words for people.
    where: str
    #: Pages that it takes at a time, of users to claim and of passwords to hash.
    claims_at_once: int
    hashes_at_once: int
    #: Is told what a person should know while a call takes long.
    notice: Callable[[str], None]

    def policy(self) -> Policy:
        """Give what the control plane asks of a batch."""

    def create(
        self,
        key: str,
        users: Sequence[CheckedUser],
        if_exists: str,
        passwords: Sequence[tuple[int, str]] = (),
    ) -> Created:
        """Create a small batch in one call.

        Args:
            key: the idempotency key.
            users: all users of the batch.
            if_exists: `fail` or `skip`.
            passwords: of all users that have one, each with the position of its user.
        """

    def look_up(self, users: Sequence[CheckedUser], first: int) -> list[Conflict]:
        """Say which emails are taken, and write nothing."""

    def find(self, key: str) -> Batch | None:
        """Give the open or published batch with an idempotency key."""

    def open(self, key: str, if_exists: str) -> Batch:
        """Open a batch, or take up the one with this key."""

    def claim(self, batch_id: str, number: int, users: Sequence[CheckedUser]) -> ReservedChunk:
        """Claim the emails of a chunk of users, without their passwords."""

    def conflicts(self, batch_id: str) -> list[Conflict]:
        """List the entries whose emails somebody else has."""

    def release(self, batch_id: str) -> None:
        """Give up what was claimed, and stay open."""

    def hash(self, batch_id: str, passwords: Sequence[tuple[int, str]]) -> int:
        """Hash and store passwords by position; give how many were stored."""

    def publish(self, batch_id: str, entries: int) -> Batch:
        """Make every user of the batch an account at one moment."""

    def drop(self, batch_id: str) -> Batch:
        """End an open batch; nobody is created."""

    def show(self, batch_id: str) -> Batch:
        """Give one batch."""

    def batches(self, *, open_only: bool, before: str, limit: int) -> list[Batch]:
        """List batches, or the open ones, the latest first, after the one a page ended with."""

    def created(self, batch_id: str, after: str, limit: int) -> list[AdminCreatedUser]:
        """Give users of a published batch in order, after a `user_id`."""

    def users(
        self, *, email: str, name: str, suspended: bool = False, after: str, limit: int
    ) -> list[User]:
        """Give accounts, or the suspended ones, by parts of email and name, after a `user_id`."""

    def users_with_email(self, email: str) -> list[User]:
        """Give the account with an email, if there is one."""

    def users_with_name(self, name: str) -> list[User]:
        """Give the accounts with exactly this name."""

    def suspend(self, user_id: str) -> None:
        """Keep a person out."""

    def restore(self, user_id: str) -> None:
        """Let a person in again."""

    def delete(self, user_id: str) -> None:
        """Erase a person and the account."""

    def set_role(self, user_id: str, role: str) -> None:
        """Make an account an owner's or a collaborator's."""

    def set_password_links(self, user_ids: Sequence[str]) -> list[PasswordLink]:
        """Make a one-time link for each of up to a thousand accounts; of none, say if one could."""

    def without_credentials(self, batch_id: str, after: str, limit: int) -> list[User]:
        """Give accounts of a published batch that nobody can sign in to, after a `user_id`."""

    def audit(self, after: int, limit: int) -> list[AuditEntry]:
        """Give entries of the trail in order, after a number."""

    def hurry(self) -> None:
        """Let calls fail that wait to be repeated: nobody waits for them any more."""

    def close(self) -> None:
        """Let go of what the calls used."""
