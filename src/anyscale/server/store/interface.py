"""What can be asked of the rows of a control plane, as a protocol that every store obeys."""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from anyscale.server.store.interface_people import PeopleTransaction
from anyscale.server.store.records import (
    AccountRecord,
    AuditRecord,
    BatchRecord,
    ChunkRecord,
    ConflictRecord,
    EmailHolder,
    LinkRecord,
    PendingHash,
    SessionRecord,
    TokenRecord,
    UserRecord,
    UserRecords,
)

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
    "Store",
    "TokenRecord",
    "Transaction",
    "UserRecord",
    "UserRecords",
]


class Transaction(PeopleTransaction, Protocol):
    """What can be asked of the rows, inside one transaction.

    The rules that every store obeys, which `testing.StoreContract` checks:

    1. What a transaction wrote is there for all after it ended well, and for nobody otherwise. One
       that reads sees one state, whatever is written meanwhile, and does not wait for a writer.
    2. A transaction that holds a batch alone happens before or after every other one that holds it.
       Those that hold it beside others go on at the same time.
    3. `insert_users` inserts every row whose email is free, removes rows of ended batches that are
       in its way, and gives an owner for each of the others; a row that is there already, with
       the same `user_id`, counts as inserted. Of two rows with one email the first gets it.
    4. At most one open or published batch has a given idempotency key. Only an open batch changes
       its state.
    5. `save_hashes` keeps the first hash of a row and passes over every later one, and over rows
       that have no password or are another batch's.
    6. `live_users` are those of published batches, and no others: all of a batch, or nobody.
    7. A page replaces all that it left before, and removing it removes all that it left.
    8. An entry of the trail is never replaced, and of transactions that append to it one is over
       before the next one sees the last entry.
    9. The clock is the database's.
    10. No two tokens of one person, or of nobody, that are not revoked have one name; a token that
        is revoked stays so.
    11. An account has one link at a time, and taking it is done once, whoever else tries.
    12. An issuer's subject belongs to one account, and an account to one subject of an issuer.
    13. Of transactions that hold the owners one is over before the next one sees them.
    14. Removing an account removes all that is kept of the person.
    15. Rows of batches that are not published are no accounts: nothing of them is given or changed
        by what is asked about people.
    16. What is asked for with a text that a database cannot hold is found nowhere.

    Whoever holds several things in one transaction takes them in this order, or two may wait for
    each other until one of them fails: the owners, accounts by `user_id`, what is kept of them, the
    last entry of the trail.

    A `user_id` is `usr_`, what follows `bat_` in the id of its batch, and its position in eight
    hexadecimal digits: ids sort as the batches were opened, and as their entries stand.
    """

    def now(self) -> int:
        """Give the time, in milliseconds since 1970."""

    def add_batch(self, row: BatchRecord) -> BatchRecord | None:
        """Insert a batch and give it with its `id`, or None if a live one has its key."""

    def batch(self, batch_id: str) -> BatchRecord | None:
        """Give a batch."""

    def hold_batch(self, batch_id: str, *, alone: bool) -> BatchRecord | None:
        """Give a batch, and hold it until the transaction ends: alone, or beside others."""

    def live_batch(self, idempotency_key: str) -> BatchRecord | None:
        """Give the open or published batch with a key."""

    def batches(self, *, open_only: bool, before: str, limit: int) -> Sequence[BatchRecord]:
        """Give batches, or the open ones, the latest first.

        Args:
            open_only: which ones.
            before: the `batch_id` that the last page ended with, or an empty text.
            limit: how many.
        """

    def idle_batches(self, before: int) -> Sequence[BatchRecord]:
        """Give the open batches that nobody has touched since a time."""

    def ended_batches_with_rows(self) -> Sequence[BatchRecord]:
        """Give the dropped and expired batches whose rows are not all removed."""

    def touch(self, batch: int, at: int) -> None:
        """Note that somebody works on a batch."""

    def set_state(self, batch: int, state: str) -> None:
        """Change the state of a batch that is open."""

    def publish(self, batch: int, by: str, at: int) -> None:
        """Make a batch published, and with it its users visible."""

    def page(self, batch: int, number: int) -> ChunkRecord | None:
        """Give what a page of claims left; in a transaction that writes, hold the page."""

    def pages(self, batch: int) -> Sequence[ChunkRecord]:
        """Give all pages of a batch, in order."""

    def save_page(self, batch: int, page: ChunkRecord, conflicts: Iterable[ConflictRecord]) -> None:
        """Put a page and its conflicts in place of what it left before."""

    def conflicts(self, batch: int, after: int, limit: int) -> Sequence[ConflictRecord]:
        """Give the conflicts of a batch by position."""

    def remove_page(self, batch: int, number: int, first_id: str, end_id: str) -> None:
        """Hold a page, and remove it, its conflicts and its users, from `first_id` to `end_id`."""

    def insert_users(self, batch: int, rows: UserRecords) -> Sequence[EmailHolder]:
        """Insert users; give the owners of the emails that are taken."""

    def owners(self, email_keys: Sequence[str]) -> Sequence[EmailHolder]:
        """Give who has the emails that are taken, by rows of any batch."""

    def due(self, batch: int, user_ids: Sequence[str]) -> Sequence[PendingHash]:
        """Give those of the rows whose hash is still to come."""

    def count_due(self, batch: int) -> int:
        """Count the rows of a batch whose hash is still to come."""

    def save_hashes(self, batch: int, hashes: Iterable[tuple[str, str]]) -> int:
        """Store (user_id, hash) where a hash is still to come; give how many were stored."""

    def created_users(self, batch_id: str, after: str, limit: int) -> Sequence[tuple[Any, ...]]:
        """Give the users of a published batch, by `user_id`, after one.

        Each is (user_id, name, email, created_at, is_sso_user, lastname, title).
        """

    def live_users(
        self,
        *,
        email_contains: str,
        name_contains: str,
        suspended: bool = False,
        after: str,
        limit: int,
    ) -> Sequence[tuple[Any, ...]]:
        """Give accounts, by `user_id`.

        Each is (email, name, created_at, permission_level, user_id, suspended_at).

        Args:
            email_contains: casefolded part of an email, as given or as its key has it.
            name_contains: part of a name, without regard to case.
            suspended: only those that are suspended.
            after: the `user_id` that the last page ended with, or an empty text.
            limit: how many.
        """

    def users_like(
        self, *, email_key: str | None = None, name: str | None = None, limit: int
    ) -> Sequence[tuple[Any, ...]]:
        """Give the same of the accounts with exactly this email key or this name."""

    def last_audit(self) -> AuditRecord | None:
        """Give the newest entry of the trail; in a transaction that writes, hold the trail."""

    def add_audit(self, rows: Sequence[AuditRecord]) -> None:
        """Append entries to the trail, after `last_audit` has held it."""

    def audit(self, after: int, limit: int) -> Sequence[AuditRecord]:
        """Give entries of the trail, by number."""

    def forget_audit(self, before: int) -> int:
        """Remove the entries from before a time, but for the last of them, to which others chain.

        Give the number of the entry that is now the first, or 0 if nothing was removed.
        """

    def forget_reports(self, before: int) -> None:
        """Remove what is known of entries that were passed over, and the batches that ended.

        Args:
            before: the time since which they were published, or touched.
        """

    def add_token(self, row: TokenRecord) -> bool:
        """Insert a token; say whether its name was free."""

    def token(self, token_hash: bytes) -> TokenRecord | None:
        """Give the token with a hash."""

    def tokens(self) -> Sequence[TokenRecord]:
        """Give all tokens, by `token_id`."""

    def use_token(self, token_id: str, at: int) -> None:
        """Note when a token was used."""

    def revoke_token(self, token_id: str, by: str, at: int) -> None:
        """End a token that is not revoked."""


class Store(Protocol):
    """Where the rows are.

    Both kinds of transaction raise `errors.StoreUnavailable` when the database does not do its
    part, and nothing of the transaction is left.
    """

    @property
    def is_blank(self) -> bool:
        """Whether nothing was ever set up in the database, as after a first use that was killed."""

    @property
    def is_near(self) -> bool:
        """Whether reading a row or two waits for the disk at most: for a file of this machine."""

    def write(self) -> AbstractContextManager[Transaction]:
        """Begin a transaction that may write; it ends with the block, well or not at all."""

    def read(self) -> AbstractContextManager[Transaction]:
        """Begin a transaction that sees one state of the database."""

    def ready(self) -> None:
        """Check that the database can be reached, and that its schema is of this version.

        Raises:
            StoreUnavailable: saying why not.
        """

    def close(self) -> None:
        """Let go of the database: what has begun is finished, and what begins later is refused."""
