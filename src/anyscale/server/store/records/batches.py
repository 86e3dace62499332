"""The records of batches."""

from typing import Literal

from anyscale.server.store.records.record import Record

#: The states of batches that have no accounts and reserve no email. Their rows are being deleted.
DROPPED_OR_EXPIRED = ("dropped", "expired")

#: Whether an account was created by itself, or in a batch.
Origin = Literal["batch", "account"]


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
    #: `batch`, or `account` if it has one account that was created by itself
    origin: Origin = "batch"
    #: how people recognize it: by default the name of its file
    label: str | None = None
    published_by: str | None = None
    published_at: int | None = None
    #: The place in the order of publishing, from 1; None until it is published.
    publication: int | None = None
    #: The position of the last user that an undo has looked at, and all before it; -1 without one.
    undone_position: int = -1

    @property
    def is_dropped_or_expired(self) -> bool:
        return self.state in DROPPED_OR_EXPIRED


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
    #: of its users, those with a password that is not hashed yet
    hashes_due: int
    #: of its users, those that were reserved with a password
    passwords: int
    #: of the others, those that were reserved as suspended, and the SSO users that were not
    suspended: int
    sso_users: int


class ConflictRecord(Record, frozen=True, gc=False):
    """An entry of a batch whose email or external id is taken."""

    position: int
    #: of the entry; empty after the account that has its email or its external id was deleted, as
    #: is its key
    email: str
    email_key: str
    #: `exists`, `duplicate` or `reserved`
    kind: str
    #: the position of the entry of the same batch that has it; for `duplicate`
    other: int | None
    #: the id of the open batch that has it; for `reserved`
    holder: str | None
    #: what is taken; None if it is the email
    external_id: str | None = None


class EmailHolder(Record, frozen=True, gc=False):
    """The row that has an email or an external id, and its batch."""

    email_key: str
    user_id: str
    batch_id: str
    #: of the batch
    state: str
    opened_by: str
    opened_at: int
    #: when the account was suspended
    suspended_at: int | None
    external_id: str | None = None


class PendingHash(Record, frozen=True, gc=False):
    """A row whose password is not hashed yet, with the texts that the policy compares it with."""

    user_id: str
    name: str
    lastname: str | None
    email: str
