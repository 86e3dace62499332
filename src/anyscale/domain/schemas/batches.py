"""The bodies of the requests and responses of batches."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from anyscale.domain.models.batches import Batch, Conflict, KeptUser
from anyscale.domain.models.users import AdminCreatedUser, AdminImportUser
from anyscale.domain.validation import ChunkUser

IfExists = Literal["fail", "skip"]


class NewUser(AdminImportUser, frozen=True, gc=False, forbid_unknown_fields=True):
    """A user of a small batch."""


class BatchCreate(Struct, frozen=True, forbid_unknown_fields=True):
    """A small batch."""

    create_users: list[NewUser]
    if_exists: IfExists = "fail"
    dry_run: bool = False
    #: Mail a link to set the password to each created user that cannot sign in otherwise.
    mail_links: bool = False
    #: Wrap weak hashes in Argon2id, which takes as long as to hash passwords.
    accept_weak_hashes: bool = False
    #: How people recognize the batch, such as the name of its file.
    label: str | None = None


class UserChunk(Struct, frozen=True, forbid_unknown_fields=True):
    """A chunk of users to be reserved."""

    create_users: list[ChunkUser]


#: The pattern of an idempotency key, which travels in a header.
IDEMPOTENCY_KEY = "[!-~]{1,200}"


#: the position of a user in a batch
Position = Annotated[int, Meta(ge=0, lt=2**32)]


class LookUp(Struct, frozen=True, forbid_unknown_fields=True):
    """Users whose emails are to be looked up, and the position of the first one."""

    create_users: list[ChunkUser]
    first: Position = 0


class PasswordChunk(Struct, frozen=True, forbid_unknown_fields=True):
    """Passwords to be hashed, and weak hashes to be wrapped, with the positions of their users."""

    passwords: list[tuple[Position, str]] = []
    weak_hashes: list[tuple[Position, str]] = []

    def __repr__(self) -> str:
        return f"PasswordChunk({len(self.passwords)}, {len(self.weak_hashes)})"


class BatchOpen(Struct, frozen=True, forbid_unknown_fields=True):
    """The options of a new batch."""

    if_exists: IfExists = "fail"
    #: How people recognize the batch, such as the name of its file.
    label: str | None = None


class BatchPublish(Struct, frozen=True, forbid_unknown_fields=True):
    """The number of entries that the client has sent."""

    entries: Position
    #: Mail a link to set the password to each created user that cannot sign in otherwise.
    mail_links: bool = False


class BatchUndo(Struct, frozen=True, forbid_unknown_fields=True):
    """How to undo a batch, and the account after which the call continues."""

    #: Delete also the accounts that were used since.
    force: bool = False
    #: Only return what would be deleted and kept.
    dry_run: bool = False
    after: Annotated[str, Meta(max_length=64)] = ""


class UndoPart(Struct, frozen=True):
    """The accounts that one call deleted or kept."""

    batch_id: str
    removed: int
    kept: list[KeptUser]
    #: Where the next call continues; None after the last account of the batch.
    after: str | None
    #: How many of the removed accounts were suspended.
    suspended: int = 0
    #: Unused links that users of the removed accounts created for others.
    links_ended: int = 0


class Skipped(Struct, frozen=True):
    """An entry that was skipped, since its email has an account."""

    index: int
    email: str


class BatchCreated(Struct, frozen=True):
    """The result of a small batch."""

    users: list[AdminCreatedUser]
    skipped: list[Skipped]
    #: None after a dry run, and for a batch without users.
    batch: Batch | None = None
    #: Whether an earlier call with the same key has created the batch.
    replayed: bool = False


class BatchUsers(Struct, frozen=True):
    """A page of the users that a batch has created."""

    users: list[AdminCreatedUser]


class BatchPage(Struct, frozen=True):
    """A page of batches."""

    batches: list[Batch]


class Conflicts(Struct, frozen=True):
    """A page of the entries of a batch whose emails are taken."""

    conflicts: list[Conflict]


class Stored(Struct, frozen=True):
    """The number of hashes that were stored."""

    stored: int
