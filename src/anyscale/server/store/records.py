"""The records that a store keeps. All times are whole milliseconds since 1970, UTC."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from msgspec import Struct

__all__ = [
    "ENDED_STATES",
    "AccountCounts",
    "AccountRecord",
    "AuditRecord",
    "BatchRecord",
    "ChunkRecord",
    "ConflictRecord",
    "CreatedUserRecord",
    "EmailHolder",
    "LinkRecord",
    "NewUserRecord",
    "NewUsers",
    "PendingHash",
    "Record",
    "SessionRecord",
    "TokenRecord",
    "UserRecord",
]


#: The states of batches that ended without accounts. Their rows are being deleted, and reserve no
#: email.
ENDED_STATES = ("dropped", "expired")


class Record(Struct, frozen=True, array_like=True):
    """A row. `array_like` lets msgspec build a list of records from a list of tuples."""


class BatchRecord(Record, frozen=True):
    """A batch."""

    #: The store's own number of the batch; 0 before it is inserted.
    id: int
    batch_id: str
    idempotency_key: str
    state: str
    if_exists: str
    opened_by: str
    opened_at: int
    touched_at: int
    published_by: str | None = None
    published_at: int | None = None
    #: The place in the order of publishing, from 1; None until it is published.
    publication: int | None = None

    @property
    def is_ended(self) -> bool:
        """Whether it was dropped or expired."""
        return self.state in ENDED_STATES


class AccountCounts(Record, frozen=True):
    """How many accounts a published batch has."""

    all: int
    #: those whose user cannot sign in
    without_credentials: int


class ChunkRecord(Record, frozen=True):
    """The outcome of a chunk: enough to answer it again, and to publish without counting users."""

    number: int
    #: SHA-256 over the entries, never over a password
    digest: bytes
    #: SHA-256 over the ids of its users, in order
    user_root: bytes
    users: int
    skipped: int
    conflicts: int


class ConflictRecord(Record, frozen=True, gc=False):
    """An entry of a batch whose email is taken."""

    position: int
    email: str
    #: `exists`, `duplicate` or `held`
    kind: str
    #: the position of the entry of the same batch that has the email; for `duplicate`
    other: int | None
    #: the id of the open batch that has the email; for `held`
    holder: str | None


class NewUserRecord(NamedTuple):
    """A user to insert. A tuple, since one statement takes the values of a thousand of them."""

    user_id: str
    email_key: str
    #: The email casefolded; None for an ASCII email, where `email_key` is the same text.
    email_folded: str | None
    name: str
    #: the name casefolded
    name_folded: str
    email: str
    lastname: str | None
    #: The last name casefolded; None without one, and for an ASCII one, which SQL folds.
    lastname_folded: str | None
    title: str | None
    is_sso_user: bool
    #: Whether a password will follow, whose hash is stored later.
    hash_due: bool


class NewUsers:
    """Users to insert. Each record is built when it is read, while the database inserts others.

    Args:
        email_keys: of the users, in order.
        build: returns the record of the user at an index; the same one each time.
    """

    def __init__(self, email_keys: Sequence[str], build: Callable[[int], NewUserRecord]) -> None:
        self._email_keys = email_keys
        self._build = build

    def __len__(self) -> int:
        return len(self._email_keys)

    def __iter__(self) -> Iterator[NewUserRecord]:
        return map(self._build, range(len(self)))

    def by_email_key(self) -> Iterator[NewUserRecord]:
        """Iterate in the order of `email_key`; users with equal keys keep their order."""
        return map(self._build, sorted(range(len(self)), key=self._email_keys.__getitem__))


class EmailHolder(Record, frozen=True, gc=False):
    """The row that has an email, and its batch."""

    email_key: str
    user_id: str
    batch_id: str
    #: of the batch
    state: str
    opened_by: str
    opened_at: int


class PendingHash(Record, frozen=True, gc=False):
    """A row whose password is not hashed yet, with the texts that the policy compares it with."""

    user_id: str
    name: str
    lastname: str | None
    email: str


class CreatedUserRecord(Record, frozen=True, gc=False):
    """A user of a published batch, as the result of the batch lists it."""

    user_id: str
    name: str
    email: str
    created_at: int
    is_sso_user: bool
    lastname: str | None
    title: str | None


class UserRecord(Record, frozen=True, gc=False):
    """An account as listings show it, without secrets."""

    user_id: str
    email: str
    name: str
    created_at: int
    #: `collaborator` or `owner`
    permission_level: str
    suspended_at: int | None
    lastname: str | None
    title: str | None
    is_sso_user: bool


class AccountRecord(Record, frozen=True):
    """An account, with the hash of its password."""

    user_id: str
    batch_id: str
    email: str
    name: str
    lastname: str | None
    title: str | None
    is_sso_user: bool
    #: `collaborator` or `owner`
    permission_level: str
    password_hash: str | None
    #: When the user chose the password; None while it is the one that an administrator set.
    password_set_at: int | None
    suspended_at: int | None
    #: when its batch was published
    created_at: int
    #: When it was first used: by a sign-in, a change of its password or role, or a new token.
    used_at: int | None

    def __repr__(self) -> str:
        return f"AccountRecord({self.user_id!r})"


class SessionRecord(Record, frozen=True):
    """A signed-in browser. Of its cookie only the hash is stored."""

    session_id: str
    user_id: str
    #: SHA-256 of the cookie
    hash: bytes
    #: `password`, `link` or `sso`
    auth_method: str
    #: the network address of the client
    address: str
    #: the `User-Agent` header, shortened
    user_agent: str
    created_at: int
    used_at: int
    #: when the session expires, however much it is used
    expires_at: int


class LinkRecord(Record, frozen=True):
    """A one-time link to set a password. Of its secret only the hash is stored."""

    user_id: str
    #: SHA-256 of the secret
    hash: bytes
    created_by: str
    created_at: int
    expires_at: int


class TokenRecord(Record, frozen=True):
    """An API token. Only its hash is stored."""

    token_id: str
    name: str
    #: `owner` or `collaborator`
    role: str
    #: SHA-256 of the token
    hash: bytes
    created_by: str
    created_at: int
    expires_at: int | None = None
    used_at: int | None = None
    revoked_by: str | None = None
    revoked_at: int | None = None
    #: The owner of a personal token, whose role it has at each call; None for any other token.
    user_id: str | None = None


class AuditRecord(Record, frozen=True):
    """An entry of the audit log."""

    number: int
    at: int
    actor: str
    event: str
    subject: str
    #: JSON
    data: str
    #: SHA-256 over the previous entry's hash and the fields of this one
    hash: bytes
