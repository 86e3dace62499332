"""Batches as callers see them."""

from datetime import datetime
from typing import Any

from msgspec import Struct, structs, to_builtins

from anyscale.domain.models.base import CheckedModel
from anyscale.domain.models.users import AdminCreatedUser


class Batch(Struct, frozen=True, kw_only=True):
    """A batch as the control plane stores it. Times are in UTC.

    Attributes:
        batch_id (str): `bat_...`, unique.
        state (str): `open`, `published`, `undoing`, `undone`, `dropped` or `expired`.
        if_exists (str): `fail` or `skip`.
        label (str or None): How people recognize it: by default the name of its file. Default:
            None.
        opened_by (str): The actor: `local:jane` for a system user of the control plane's own
            machine.
        opened_at (datetime): When it was opened.
        touched_at (datetime): When a client last worked on it.
        published_by (str or None): The actor that published it. Default: None.
        published_at (datetime or None): When it was published. Default: None.
        users (int): Users of the batch: reserved if it is open, created if it was published.
        skipped (int): Entries that were skipped because their emails had accounts.
        hashes_due (int): Users with a password whose hash is not stored yet.
        without_credentials (int or None): Accounts of a published batch without a usable sign-in
            method. It is counted only when a single batch is shown or published; else None.
        removed (int or None): Users of a published batch whose accounts were deleted, by an undo or
            by `user delete`. Counted as `without_credentials`; else None.
        remaining (int or None): Users of a published batch that still have accounts. Counted as
            `without_credentials`; else None.
        skipped_suspended (int or None): Entries that were skipped and whose accounts are suspended
            now: their users cannot sign in. Counted as `without_credentials`, as long as the
            skipped entries are kept; else None.
        opened_by_caller (bool or None): Whether the caller's actor is `opened_by`. The names are
            compared: a caller whose token was replaced by one with another name counts as another.
            Only when a single batch is shown or dropped; else None.
    """

    batch_id: str
    state: str
    if_exists: str
    opened_by: str
    opened_at: datetime
    touched_at: datetime
    label: str | None = None
    published_by: str | None = None
    published_at: datetime | None = None
    users: int = 0
    skipped: int = 0
    hashes_due: int = 0
    without_credentials: int | None = None
    removed: int | None = None
    remaining: int | None = None
    skipped_suspended: int | None = None
    opened_by_caller: bool | None = None

    def to_dict(self) -> dict[str, Any]:
        return structs.asdict(self)


class KeptUser(CheckedModel, frozen=True, gc=False):
    """An account that remains when its batch is undone.

    Attributes:
        user_id (str): `usr_...`
        email (str): As it was entered.
        reason (str): `used`: the account was used since, and the undo was not forced.
            `last_owner`: no other owner could sign in. `caller`: it is the caller's own account.
    """

    user_id: str
    email: str
    reason: str


class UndoneBatch(Struct, frozen=True):
    """The result of undoing a batch, or of a dry run."""

    batch_id: str
    #: The accounts that this call deleted; of a dry run, those that it would delete.
    removed: int
    #: The accounts that remain, in the order of the input.
    kept: list[KeptUser]
    #: How many of the removed accounts were suspended. It is a lower bound if any call was
    #: repeated.
    suspended: int = 0
    #: The accounts that other calls deleted since this one began, such as another undo at the same
    #: time, before this one looked at them. If any call was repeated, they are in `removed`, and
    #: this is 0.
    removed_by_others: int = 0
    #: The unused links that users of the removed accounts created as owners for others: they stop
    #: working. It is a lower bound if any call was repeated, and an upper one in a dry run.
    links_ended: int = 0

    def to_dict(self) -> dict[str, object]:
        """Return the model as JSON has it."""
        fields: dict[str, object] = to_builtins(self)
        return fields


class Conflict(Struct, frozen=True, kw_only=True):
    """An entry whose email, external id or `sub` is taken."""

    #: The entry, counted from 0.
    position: int
    #: Its email, as it was entered.
    email: str
    #: `exists` (an account), `duplicate` (another entry), `reserved` (another open batch), `freed`
    #: (another account had it a short time ago) or `sub` (its `sub` is another user's)
    kind: str
    #: The other entry, if it is a duplicate.
    other: int | None = None
    #: What is taken; None if it is the email.
    external_id: str | None = None
    #: The open batch that has reserved it, the actor that opened it, and when.
    holder: str | None = None
    reserved_by: str | None = None
    reserved_since: datetime | None = None
    #: when the other account got another email, if the email is `freed`
    freed_at: datetime | None = None
    #: The account that has it, or had it, and whether the one that has it is suspended, if it was
    #: just looked up; neither is stored.
    user_id: str | None = None
    suspended: bool | None = None


class ReservedChunk(Struct, frozen=True):
    """The result of reserving a chunk of users."""

    users: int
    #: users that were skipped because their emails have accounts
    skipped: int
    #: emails that are taken
    conflicts: int
    #: the open batches that have reserved some of these emails
    holders: list[str]


class Created(Struct, frozen=True):
    """The result of creating a small batch."""

    batch: Batch
    users: list[AdminCreatedUser]
    skipped: list[Conflict]
    #: Whether an earlier call with the same key has created the batch.
    replayed: bool
