"""The bodies of requests and responses of the owners' API, besides the models themselves."""

from datetime import datetime
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from anyscale.audit_chain import AuditEntry
from anyscale.errors import Problem
from anyscale.user.models import AdminCreatedUser, Batch, Conflict, KeptUser, PasswordLink, User

#: The header that identifies a control plane; its value is the version of the API.
IDENTITY = "Musterroll-Api"
API = "1"

#: The path at which a server describes a request to `anyscale server check`, and the header with
#: the proof that the request is from this command.
RECEIVED_REQUEST_PATH = "/received-request"
PROOF = "Musterroll-Proof"

IfExists = Literal["fail", "skip"]
Role = Literal["owner", "collaborator"]


class NewUser(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """A user of a small batch."""

    name: str
    email: str
    password: str | None = None
    is_sso_user: bool = False
    lastname: str | None = None
    title: str | None = None

    def __repr__(self) -> str:
        return f"NewUser({self.email!r})"


class ChunkUser(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """A user of a chunk to be claimed; the password itself is sent later, to be hashed."""

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


#: The pattern of an idempotency key, which travels in a header.
IDEMPOTENCY_KEY = "[!-~]{1,200}"

#: the position of a user in a batch
Position = Annotated[int, Meta(ge=0, lt=2**32)]


class LookUp(Struct, frozen=True, forbid_unknown_fields=True):
    """Users whose emails are to be looked up, and the position of the first one."""

    create_users: list[ChunkUser]
    first: Position = 0


class FindUsers(Struct, frozen=True, forbid_unknown_fields=True):
    """The emails of accounts to find."""

    emails: list[str]


class FoundUser(Struct, frozen=True, gc=False):
    """An account with the fields of `User`, without the Python code that checks their types there.

    A million of them may be compared with a file, and that code takes a microsecond for each.
    """

    email: str
    name: str
    created_at: datetime
    permission_level: str
    user_id: str
    suspended_at: datetime | None = None
    lastname: str | None = None
    title: str | None = None
    is_sso_user: bool = False


class FoundUsers(Struct, frozen=True):
    """The accounts, in the order of the emails; null where there is none."""

    users: list[FoundUser | None]


class PasswordChunk(Struct, frozen=True, forbid_unknown_fields=True):
    """Passwords to be hashed, each with the position of its user."""

    passwords: list[tuple[int, str]]

    def __repr__(self) -> str:
        return f"PasswordChunk({len(self.passwords)})"


class BatchOpen(Struct, frozen=True, forbid_unknown_fields=True):
    """The options of a new batch."""

    if_exists: IfExists = "fail"


class BatchPublish(Struct, frozen=True, forbid_unknown_fields=True):
    """The number of entries that the client has sent."""

    entries: int


class BatchUndo(Struct, frozen=True, forbid_unknown_fields=True):
    """How to undo a batch, and after which account the call goes on."""

    #: Delete also the accounts that were used since.
    force: bool = False
    #: Only look what would be deleted and kept.
    dry_run: bool = False
    after: Annotated[str, Meta(max_length=64)] = ""


class UndoPart(Struct, frozen=True):
    """The accounts that one call deleted or kept."""

    batch_id: str
    removed: int
    kept: list[KeptUser]
    #: Where the next call goes on; None if all accounts of the batch were looked at.
    after: str | None
    #: How many of the removed accounts were suspended.
    suspended: int = 0


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


class UserQuery(Struct, frozen=True):
    """Which accounts to list, and in which order."""

    #: Words and parts of the email, the name and the last name. The accounts that match best come
    #: first.
    search: str = ""
    #: a part of the email, without regard to case
    email: str = ""
    #: a part of the name, without regard to case
    name: str = ""
    suspended: bool = False
    role: Role | None = None
    #: only SSO users
    sso: bool = False
    #: only accounts to which no user can sign in
    without_credentials: bool = False
    newest_first: bool = False

    @property
    def is_plain(self) -> bool:
        """Whether versions without a cursor know all that it asks for."""
        return self == UserQuery(email=self.email, name=self.name, suspended=self.suspended)


class UserPage(Struct, frozen=True):
    """A page of accounts."""

    users: list[User]
    #: Where the next page begins; null if there is none. An empty page may have one: the search
    #: for its users took too long. Absent if the call asked for pages by `after`.
    cursor: str | UnsetType | None = UNSET
    #: How many accounts a search does not find by their words, but last, since they had none when
    #: its first page was read. Absent in lists.
    unindexed: int | UnsetType = UNSET


class RoleSet(Struct, frozen=True, forbid_unknown_fields=True):
    """The new role of an account."""

    role: Role


class SetPasswordLinks(Struct, frozen=True, forbid_unknown_fields=True):
    """The accounts for which links are to be created."""

    user_ids: list[Annotated[str, Meta(pattern="^usr_[0-9a-f]+$", max_length=64)]]


class PasswordLinks(Struct, frozen=True):
    """The links that were created."""

    links: list[PasswordLink]


class BatchPage(Struct, frozen=True):
    """A page of batches."""

    batches: list[Batch]


class Conflicts(Struct, frozen=True):
    """A page of the entries of a batch whose emails are taken."""

    conflicts: list[Conflict]


class Stored(Struct, frozen=True):
    """The number of hashes that were stored."""

    stored: int


class AuditPage(Struct, frozen=True):
    """A page of the audit log."""

    entries: list[AuditEntry]


class ProblemDocument(Struct, frozen=True, omit_defaults=True):
    """A problem document (RFC 9457)."""

    title: str
    status: int
    detail: str
    #: the code that scripts may rely on
    code: str
    type: str = "about:blank"
    #: identifies the request in the server's log
    request_id: str = ""
    #: the problems of a refused batch
    problems: list[Problem] = []
    #: the batch that is left open
    batch_id: str | None = None


class ReceivedRequest(Struct, frozen=True, kw_only=True):
    """A request as the server received it, through the proxy in front of it."""

    #: that the server has the same database as the command
    proof: str
    #: of the program that the server runs
    version: str
    #: the names of all headers, in lower case
    names: list[str]
    #: values of headers; None without the header
    host: str | None
    forwarded_for: str | None
    forwarded_proto: str | None
    #: the scheme and the client's address that the server derives from them
    scheme: str
    client: str | None
    #: the address of the proxy
    peer: str | None
