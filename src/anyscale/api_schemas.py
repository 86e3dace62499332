"""What goes over HTTP between a client and a control plane, besides the models themselves."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from anyscale.audit_log import AuditEntry
from anyscale.errors import Problem
from anyscale.user.models import AdminCreatedUser, Batch, Conflict, PasswordLink, User

__all__ = [
    "API",
    "IDENTITY",
    "AuditPage",
    "BatchCreate",
    "BatchCreated",
    "BatchOpen",
    "BatchPage",
    "BatchPublish",
    "BatchUsers",
    "ChunkUser",
    "Conflicts",
    "LookUp",
    "NewUser",
    "PasswordChunk",
    "PasswordLinks",
    "ProblemDocument",
    "RoleSet",
    "SetPasswordLinks",
    "Skipped",
    "Stored",
    "UserChunk",
    "UserPage",
]

#: The header by which a control plane is known, and the version of what it understands.
IDENTITY = "Musterroll-Api"
API = "1"

IfExists = Literal["fail", "skip"]
Role = Literal["owner", "collaborator"]


class NewUser(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """A user to be created in one call."""

    name: str
    email: str
    password: str | None = None
    is_sso_user: bool = False
    lastname: str | None = None
    title: str | None = None

    def __repr__(self) -> str:
        return f"NewUser({self.email!r})"


class ChunkUser(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """A user of a chunk to be claimed; the password itself comes later, to be hashed."""

    name: str
    email: str
    has_password: bool = False
    is_sso_user: bool = False
    lastname: str | None = None
    title: str | None = None


class BatchCreate(Struct, frozen=True, forbid_unknown_fields=True):
    """A small batch."""

    create_users: list[NewUser]
    if_exists: IfExists = "fail"
    dry_run: bool = False


class UserChunk(Struct, frozen=True, forbid_unknown_fields=True):
    """A chunk of users to be claimed."""

    create_users: list[ChunkUser]


class LookUp(Struct, frozen=True, forbid_unknown_fields=True):
    """Users whose emails are to be looked up, and the position of the first."""

    create_users: list[ChunkUser]
    first: int = 0


class PasswordChunk(Struct, frozen=True, forbid_unknown_fields=True):
    """Passwords to be hashed, each with the position of its user."""

    passwords: list[tuple[int, str]]

    def __repr__(self) -> str:
        return f"PasswordChunk({len(self.passwords)})"


class BatchOpen(Struct, frozen=True, forbid_unknown_fields=True):
    """How a batch is to be opened."""

    if_exists: IfExists = "fail"


class BatchPublish(Struct, frozen=True, forbid_unknown_fields=True):
    """How many entries the client has sent."""

    entries: int


class Skipped(Struct, frozen=True):
    """An entry that was passed over, since its email has an account."""

    index: int
    email: str


class BatchCreated(Struct, frozen=True):
    """What a small batch came to."""

    users: list[AdminCreatedUser]
    skipped: list[Skipped]
    #: None after a dry run, and after a batch of nobody.
    batch: Batch | None = None
    #: Whether an earlier call with the same key had created it.
    replayed: bool = False


class BatchUsers(Struct, frozen=True):
    """A page of the users that a batch created."""

    users: list[AdminCreatedUser]


class UserPage(Struct, frozen=True):
    """A page of accounts."""

    users: list[User]


class RoleSet(Struct, frozen=True, forbid_unknown_fields=True):
    """Whether an account is to be an owner's or a collaborator's."""

    role: Role


class SetPasswordLinks(Struct, frozen=True, forbid_unknown_fields=True):
    """The accounts for which links are to be made."""

    user_ids: list[Annotated[str, Meta(pattern="^usr_[0-9a-f]+$", max_length=64)]]


class PasswordLinks(Struct, frozen=True):
    """The links that were made."""

    links: list[PasswordLink]


class BatchPage(Struct, frozen=True):
    """A page of batches."""

    batches: list[Batch]


class Conflicts(Struct, frozen=True):
    """A page of the entries of a batch whose emails somebody else has."""

    conflicts: list[Conflict]


class Stored(Struct, frozen=True):
    """How many hashes were stored."""

    stored: int


class AuditPage(Struct, frozen=True):
    """A page of the trail."""

    entries: list[AuditEntry]


class ProblemDocument(Struct, frozen=True, omit_defaults=True):
    """An error as HTTP tells it (RFC 9457)."""

    title: str
    status: int
    detail: str
    #: what scripts go by
    code: str
    type: str = "about:blank"
    #: by which the server's log knows the request
    request_id: str = ""
    #: what is wrong with entries of a batch
    problems: list[Problem] = []
    #: the batch that is left open
    batch_id: str | None = None
