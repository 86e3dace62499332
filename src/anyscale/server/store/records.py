"""The rows that a control plane keeps."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from msgspec import Struct

__all__ = [
    "AccountRecord",
    "AuditRecord",
    "BatchRecord",
    "ChunkRecord",
    "ConflictRecord",
    "EmailHolder",
    "LinkRecord",
    "PendingHash",
    "SessionRecord",
    "TokenRecord",
    "UserRecord",
    "UserRecords",
]


class BatchRecord(Struct, frozen=True):
    """A batch. Times are whole milliseconds since 1970, UTC."""

    #: Given by the store: 0 before it is inserted.
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


class ChunkRecord(Struct, frozen=True):
    """What a page of claims left."""

    number: int
    #: SHA-256 over the entries, never over a password
    digest: bytes
    #: SHA-256 over the ids of its users, in order
    user_root: bytes
    users: int
    skipped: int
    conflicts: int


class UserRecord(NamedTuple):
    """A user to insert. A tuple, since a statement takes the values of a thousand in a row."""

    user_id: str
    email_key: str
    name: str
    email: str
    lastname: str | None
    title: str | None
    is_sso_user: bool
    #: Whether a password was announced, whose hash is still to come.
    hash_due: bool


class UserRecords:
    """Users to insert, each row made when it is asked for: a database works on the first meanwhile.

    Args:
        email_keys: of the users.
        make: gives the row of a user by its place in `email_keys`, and the same each time.
    """

    def __init__(self, email_keys: Sequence[str], make: Callable[[int], UserRecord]) -> None:
        self._email_keys = email_keys
        self._make = make

    def __len__(self) -> int:
        return len(self._email_keys)

    def __iter__(self) -> Iterator[UserRecord]:
        return map(self._make, range(len(self)))

    def by_email(self) -> Iterator[UserRecord]:
        """Give the rows by `email_key`, and those with one key in their own order."""
        return map(self._make, sorted(range(len(self)), key=self._email_keys.__getitem__))


class EmailHolder(Struct, frozen=True, gc=False):
    """Who has an email: a row, and the batch that it belongs to."""

    email_key: str
    user_id: str
    batch_id: str
    state: str
    opened_by: str
    opened_at: int


class PendingHash(Struct, frozen=True, gc=False):
    """A row whose password is to be hashed, and what the policy compares it with."""

    user_id: str
    name: str
    lastname: str | None
    email: str


class ConflictRecord(Struct, frozen=True, gc=False):
    """An entry whose email somebody else has."""

    position: int
    email: str
    kind: str
    other: int | None
    holder: str | None


class AuditRecord(Struct, frozen=True):
    """An entry of the trail."""

    number: int
    at: int
    actor: str
    event: str
    subject: str
    #: JSON
    data: str
    hash: bytes


class TokenRecord(Struct, frozen=True):
    """A key to the control plane, of which only the hash is kept."""

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
    #: Whose own it is: it then has that person's role, whatever stands in `role`.
    user_id: str | None = None


class AccountRecord(Struct, frozen=True):
    """An account, with what its owner signs in by."""

    user_id: str
    batch_id: str
    email: str
    name: str
    lastname: str | None
    is_sso_user: bool
    #: `collaborator` or `owner`
    permission_level: str
    password_hash: str | None
    #: When the member chose the password; None while it is the one that an administrator gave.
    password_set_at: int | None
    suspended_at: int | None
    created_at: int

    def __repr__(self) -> str:
        return f"AccountRow({self.user_id!r})"


class SessionRecord(Struct, frozen=True):
    """A signed-in browser, of whose cookie only the hash is kept."""

    session_id: str
    user_id: str
    #: SHA-256 of the cookie
    hash: bytes
    #: by which it came about: `password`, `link` or `sso`
    way: str
    address: str
    #: what the browser says that it is
    agent: str
    created_at: int
    used_at: int
    #: after which it ends whatever happens
    expires_at: int


class LinkRecord(Struct, frozen=True):
    """A one-time link by which a password is set, of which only the hash is kept."""

    user_id: str
    #: SHA-256 of what the link carries
    hash: bytes
    created_by: str
    created_at: int
    expires_at: int
