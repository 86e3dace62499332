"""What the tests of a store start from: rows, and the steps that most of them take."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from anyscale.server.store.interface import (
    AccountRecord,
    BatchRecord,
    ChunkRecord,
    EmailHolder,
    LinkRecord,
    SessionRecord,
    Store,
    TokenRecord,
    Transaction,
    UserRecord,
    UserRecords,
)

__all__ = [
    "StoreSteps",
    "batch_row",
    "link_row",
    "page_row",
    "rows_of",
    "session_row",
    "token_row",
    "user_id_of",
    "user_row",
]


def batch_row(number: int, key: str | None = None, *, at: int = 1_000) -> BatchRecord:
    """Make an open batch to insert; the higher the number, the later it sorts."""
    return BatchRecord(
        id=0,
        batch_id=f"bat_{number:024x}",
        idempotency_key=key or f"key-{number}",
        state="open",
        if_exists="fail",
        opened_by="local:jane",
        opened_at=at,
        touched_at=at,
    )


def user_id_of(batch: BatchRecord, position: int) -> str:
    """Give the id of a user of a batch."""
    return f"usr_{batch.batch_id[4:]}{position:08x}"


def user_row(batch: BatchRecord, position: int, email: str, **fields: Any) -> UserRecord:
    """Make a user to insert."""
    values = {
        "user_id": user_id_of(batch, position),
        "email_key": email.lower(),
        "name": "Jane",
        "email": email,
        "lastname": None,
        "title": None,
        "is_sso_user": False,
        "hash_due": False,
    }
    return UserRecord(**(values | fields))


def rows_of(users: Sequence[UserRecord]) -> UserRecords:
    """Take users that are made already to insert."""
    return UserRecords([user.email_key for user in users], users.__getitem__)


def page_row(number: int, **counts: int) -> ChunkRecord:
    """Make what a page of claims leaves."""
    return ChunkRecord(
        number, b"digest", b"root", **({"users": 0, "skipped": 0, "conflicts": 0} | counts)
    )


def token_row(number: int, name: str | None = None, **fields: Any) -> TokenRecord:
    """Make a token to insert."""
    values: dict[str, Any] = {
        "token_id": f"tok_{number}",
        "name": name or f"name-{number}",
        "role": "owner",
        "hash": bytes([number]) * 32,
        "created_by": "local:jane",
        "created_at": 1_000,
    }
    return TokenRecord(**(values | fields))


def session_row(number: int, user_id: str, **fields: Any) -> SessionRecord:
    """Make a session to insert; the higher the number, the later it began."""
    values: dict[str, Any] = {
        "session_id": f"ses_{number}",
        "user_id": user_id,
        "hash": bytes([number]) * 32,
        "way": "password",
        "address": "192.0.2.1",
        "agent": "Firefox",
        "created_at": 1_000 + number,
        "used_at": 1_000 + number,
        "expires_at": 9_000,
    }
    return SessionRecord(**(values | fields))


def link_row(number: int, user_id: str, **fields: Any) -> LinkRecord:
    """Make a link to put."""
    values: dict[str, Any] = {
        "user_id": user_id,
        "hash": bytes([number]) * 32,
        "created_by": "local:jane",
        "created_at": 1_000,
        "expires_at": 9_000,
    }
    return LinkRecord(**(values | fields))


class StoreSteps:
    """Steps on the fixture `store`, which a subclass gives."""

    @pytest.fixture
    def claim(self, store: Store) -> Callable[..., Sequence[EmailHolder]]:
        """Insert users of a batch in a transaction of their own."""

        def insert(
            batch: BatchRecord, *emails: str, first: int = 0, **fields: Any
        ) -> Sequence[EmailHolder]:
            rows = [user_row(batch, at, email, **fields) for at, email in enumerate(emails, first)]
            with store.write() as transaction:
                return transaction.insert_users(batch.id, rows_of(rows))

        return insert

    def add(
        self, store: Store, number: int, key: str | None = None, *, at: int = 1_000
    ) -> BatchRecord:
        """Insert an open batch in a transaction of its own."""
        with store.write() as rows:
            batch = rows.add_batch(batch_row(number, key, at=at))
        assert batch
        return batch

    def batches(self, rows: Transaction, *, open_only: bool = False) -> list[BatchRecord]:
        """List the batches that a transaction sees."""
        return list(rows.batches(open_only=open_only, before="", limit=100))

    def end(self, store: Store, batch: BatchRecord, state: str) -> None:
        """End a batch in a transaction of its own."""
        with store.write() as rows:
            if state == "published":
                rows.publish(batch.id, "local:joe", 5_000)
            else:
                rows.set_state(batch.id, state)

    def publish(self, store: Store, number: int, *emails: str, **fields: Any) -> BatchRecord:
        """Make accounts: a published batch of its own."""
        batch = self.add(store, number)
        with store.write() as rows:
            users = [user_row(batch, at, email, **fields) for at, email in enumerate(emails)]
            assert rows.insert_users(batch.id, rows_of(users)) == []
        self.end(store, batch, "published")
        return batch

    def account(self, store: Store, user_id: str) -> AccountRecord:
        """Give an account that there is."""
        with store.read() as rows:
            found = rows.account(user_id=user_id)
        assert found
        return found

    def live(
        self, rows: Transaction, email: str = "", name: str = "", *, suspended: bool = False
    ) -> list[str]:
        """List the emails of the accounts that a transaction sees."""
        found = rows.live_users(
            email_contains=email, name_contains=name, suspended=suspended, after="", limit=100
        )
        return [user[0] for user in found]
