"""Records for the tests of a store, and steps that most of them take."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from anyscale.server.store.records.batches import BatchRecord, ChunkRecord, EmailHolder
from anyscale.server.store.records.login import LinkRecord, SessionRecord
from anyscale.server.store.records.search import Filters, Scan
from anyscale.server.store.records.tokens import TokenRecord
from anyscale.server.store.records.users import AccountRecord, NewUserRecord, NewUsers, UserRecord
from anyscale.server.store.transaction import Store, Transaction
from anyscale.server.store.words import searchable

NO_FILTERS = Filters()


def list_users(
    tx: Transaction, filters: Filters = NO_FILTERS, *, after: str = "", limit: int
) -> list[UserRecord]:
    """Return accounts after a `user_id`, in the order of their creation, block by block."""
    found: list[UserRecord] = []
    end: str | None = after
    while end is not None and len(found) < limit:
        block = tx.user_scan.read(
            UserRecord, Scan(filters), end, rows=limit, limit=limit - len(found)
        )
        found += block.users
        end = block.end
    return found


def batch_row(number: int, key: str | None = None, *, at: int = 1_000) -> BatchRecord:
    """Return an open batch to insert; the higher the number, the later it sorts."""
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
    """Return the id of a user of a batch."""
    return f"usr_{batch.batch_id[4:]}{position:08x}"


def user_row(batch: BatchRecord, position: int, email: str, **fields: Any) -> NewUserRecord:
    """Return a user to insert."""
    values: dict[str, Any] = {
        "user_id": user_id_of(batch, position),
        "email_key": email.lower(),
        "email_folded": None if email.isascii() else searchable(email),
        "name": "Jane",
        "email": email,
        "lastname": None,
        "title": None,
        "is_sso_user": False,
        "hash_due": False,
    }
    values |= fields
    lastname = values["lastname"]
    values["lastname_folded"] = (
        searchable(lastname) if lastname and not lastname.isascii() else None
    )
    return NewUserRecord(**values, name_folded=searchable(values["name"]))


def rows_of(users: Sequence[NewUserRecord]) -> NewUsers:
    """Return users to insert that are built already."""
    return NewUsers([user.email_key for user in users], users.__getitem__)


def chunk_row(number: int, **counts: int) -> ChunkRecord:
    """Return a chunk to save."""
    return ChunkRecord(
        number,
        b"digest",
        b"root",
        **(dict.fromkeys(ChunkRecord.__struct_fields__[3:], 0) | counts),
    )


def token_row(number: int, name: str | None = None, **fields: Any) -> TokenRecord:
    """Return a token to insert."""
    values: dict[str, Any] = {
        "token_id": f"tok_{number}",
        "name": name or f"name-{number}",
        "role": "owner",
        "hash": number.to_bytes(32),
        "created_by": "local:jane",
        "created_at": 1_000,
    }
    return TokenRecord(**(values | fields))


def session_row(number: int, user_id: str, **fields: Any) -> SessionRecord:
    """Return a session to insert; the higher the number, the later it was created."""
    values: dict[str, Any] = {
        "session_id": f"ses_{number}",
        "user_id": user_id,
        "hash": number.to_bytes(32),
        "auth_method": "password",
        "address": "192.0.2.1",
        "user_agent": "Firefox",
        "authenticated_at": None,
        "created_at": 1_000 + number,
        "used_at": 1_000 + number,
        "expires_at": 9_000,
    }
    return SessionRecord(**(values | fields))


def link_row(number: int, user_id: str, **fields: Any) -> LinkRecord:
    """Return a link to insert."""
    values: dict[str, Any] = {
        "user_id": user_id,
        "hash": number.to_bytes(32),
        "created_by": "local:jane",
        "created_at": 1_000,
        "expires_at": 9_000,
    }
    return LinkRecord(**(values | fields))


def delete_chunk(tx: Transaction, batch: int, number: int, first_id: str, end_id: str) -> None:
    """Delete a chunk and its users."""
    tx.chunks.lock(batch, number)
    tx.users.delete(first_id, end_id)
    tx.chunks.delete(batch, number)


class StoreSteps:
    """Steps on the fixture `store`, which a subclass gives."""

    @pytest.fixture
    def reserve(self, store: Store) -> Callable[..., Sequence[EmailHolder]]:
        """Insert users of a batch in a transaction of their own."""

        def insert(
            batch: BatchRecord, *emails: str, first: int = 0, **fields: Any
        ) -> Sequence[EmailHolder]:
            users = [user_row(batch, at, email, **fields) for at, email in enumerate(emails, first)]
            with store.write() as tx:
                return tx.users.insert(batch.id, rows_of(users))

        return insert

    def add(
        self, store: Store, number: int, key: str | None = None, *, at: int = 1_000
    ) -> BatchRecord:
        """Insert an open batch in a transaction of its own."""
        with store.write() as tx:
            batch = tx.batches.add(batch_row(number, key, at=at))
        assert batch
        return batch

    def batches(self, tx: Transaction, *, open_only: bool = False) -> list[BatchRecord]:
        """Return the batches that a transaction sees."""
        return list(tx.batches.list(open_only=open_only, before="", limit=100))

    def end(self, store: Store, batch: BatchRecord, state: str) -> None:
        """End a batch in a transaction of its own."""
        with store.write() as tx:
            if state == "published":
                tx.batches.publish(batch.id, "local:joe", 5_000)
            else:
                tx.batches.set_state(batch.id, state)

    def publish(self, store: Store, number: int, *emails: str, **fields: Any) -> BatchRecord:
        """Create accounts by a published batch."""
        batch = self.add(store, number)
        with store.write() as tx:
            users = [user_row(batch, at, email, **fields) for at, email in enumerate(emails)]
            assert tx.users.insert(batch.id, rows_of(users)) == []
        self.end(store, batch, "published")
        return batch

    def account(self, store: Store, user_id: str) -> AccountRecord:
        """Return an account that exists."""
        with store.read() as tx:
            found = tx.accounts.get(user_id)
        assert found
        return found

    def live(
        self, tx: Transaction, email: str = "", name: str = "", *, suspended: bool = False
    ) -> list[str]:
        """Return the emails of the accounts that a transaction sees."""
        filters = Filters(email=email, name=name, suspended=suspended)
        return [user.email for user in list_users(tx, filters, limit=100)]

    def chunk(self, tx: Transaction, batch: BatchRecord, number: int) -> ChunkRecord | None:
        """Return a chunk without locking it."""
        chunks = (chunk for chunk in tx.chunks.list(batch.id) if chunk.number == number)
        return next(chunks, None)
