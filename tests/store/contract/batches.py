"""The rules of batches and their chunks: see `interface.Transaction`."""

from concurrent.futures import ThreadPoolExecutor
from time import sleep
from typing import Any

import pytest
from tests.store.contract.steps import (
    StoreSteps,
    batch_row,
    chunk_row,
    delete_chunk,
    rows_of,
    user_id_of,
    user_row,
)
from tests.support.databases.locks import wait_until_blocked
from tests.support.databases.stored_data import execute_sql

from anyscale.server.store.records.batches import ConflictRecord
from anyscale.server.store.transaction import Store


class BatchRules(StoreSteps):
    """A key has one live batch, a state is final, saving a chunk replaces it."""

    def test_an_idempotency_key_has_one_live_batch(self, store: Store) -> None:
        batch = self.add(store, 1, "key")
        with store.read() as tx:
            assert tx.batches.find("key") == batch
            assert tx.batches.find("other") is None
        with store.write() as tx:
            assert tx.batches.add(batch_row(2, "key")) is None
        self.end(store, batch, "published")
        with store.write() as tx:
            assert tx.batches.add(batch_row(2, "key")) is None
            assert tx.batches.find("key") == tx.batches.get(batch.batch_id)

    def test_of_transactions_that_add_a_batch_with_one_key_at_once_one_does(
        self, store: Store
    ) -> None:
        def add(number: int) -> bool:
            with store.write() as tx:
                batch = tx.batches.add(batch_row(number, "key"))
                sleep(0.01)
                return batch is not None

        with ThreadPoolExecutor(4) as pool:
            assert sum(pool.map(add, range(1, 5))) == 1

    @pytest.mark.parametrize("state", ["dropped", "expired"])
    def test_the_key_of_a_dropped_or_expired_batch_is_free(self, store: Store, state: str) -> None:
        self.end(store, self.add(store, 1, "key"), state)
        second = self.add(store, 2, "key")
        with store.read() as tx:
            assert tx.batches.find("key") == second

    @pytest.mark.parametrize("state", ["undoing", "undone"])
    def test_a_batch_that_is_undone_keeps_its_key_and_the_accounts_that_it_still_has(
        self, store: Store, state: str
    ) -> None:
        batch = self.publish(store, 1, "a@x.org")
        with store.write() as tx:
            execute_sql(tx, "update batches set state = ? where id = ?", (state, batch.id))
        with store.write() as tx:
            found = tx.batches.find("key-1")
            assert found
            assert (found.batch_id, found.state) == (batch.batch_id, state)
            assert tx.batches.add(batch_row(2, "key-1")) is None
            assert self.live(tx) == ["a@x.org"]
            assert tx.accounts.lock([user_id_of(batch, 0)])
            (holder,) = tx.users.find_holders(["a@x.org"])
            assert holder.state == state

    @pytest.mark.parametrize("state", ["published", "dropped", "expired"])
    def test_a_dropped_or_expired_batch_keeps_its_state(self, store: Store, state: str) -> None:
        batch = self.add(store, 1)
        self.end(store, batch, state)
        for later in ("published", "dropped", "expired"):
            self.end(store, batch, later)
        with store.read() as tx:
            found = tx.batches.get(batch.batch_id)
        assert found
        assert found.state == state
        assert found.published_by == ("local:joe" if state == "published" else None)

    def test_batches_are_listed_latest_first(self, store: Store) -> None:
        first, second, third = (self.add(store, number) for number in (1, 2, 3))
        self.end(store, second, "dropped")
        with store.read() as tx:
            ids = [batch.id for batch in self.batches(tx)]
            assert ids == [third.id, second.id, first.id]
            assert self.batches(tx, open_only=True) == [third, first]
            page = tx.batches.list(open_only=False, before="", limit=2)
            assert [batch.id for batch in page] == ids[:2]
            page = tx.batches.list(open_only=False, before=page[-1].batch_id, limit=2)
            assert [batch.id for batch in page] == ids[2:]
            page = tx.batches.list(open_only=True, before=third.batch_id, limit=2)
            assert list(page) == [first]

    def test_the_unfinished_batches_are_open_or_being_undone(self, store: Store) -> None:
        opened = self.add(store, 1)
        undoing, undone = self.publish(store, 2, "a@x.org"), self.publish(store, 3, "b@x.org")
        self.publish(store, 4, "c@x.org")
        self.end(store, self.add(store, 5), "dropped")
        with store.write() as tx:
            tx.batches.set_undone(undoing.id, "undoing")
            tx.batches.set_undone(undone.id, "undone")
            unfinished = [batch.id for batch in self.batches(tx, open_only=True)]
            assert unfinished == [undoing.id, opened.id]

    def test_idle_batches_are_open_ones_that_were_not_touched(self, store: Store) -> None:
        idle, touched, dropped = (self.add(store, number, at=100) for number in (1, 2, 3))
        with store.write() as tx:
            tx.batches.touch(touched.id, 500)
        self.end(store, dropped, "dropped")
        with store.read() as tx:
            assert list(tx.batches.list_idle(500)) == [idle]
            assert list(tx.batches.list_idle(100)) == []

    def test_dropped_and_expired_batches_are_listed_until_their_chunks_are_deleted(
        self, store: Store, reserve: Any
    ) -> None:
        dropped, live = self.add(store, 1), self.add(store, 2)
        reserve(dropped, "a@x.org")
        with store.write() as tx:
            tx.chunks.save(dropped.id, chunk_row(0, users=1), [])
            tx.chunks.save(live.id, chunk_row(0, users=1), [])
        self.end(store, dropped, "dropped")
        with store.read() as tx:
            assert [batch.id for batch in tx.batches.list_unfinished()] == [dropped.id]
        with store.write() as tx:
            delete_chunk(tx, dropped.id, 0, "usr_", "usr_g")
        with store.read() as tx:
            assert tx.batches.list_unfinished() == []

    def test_a_saved_chunk_replaces_the_previous_one_and_its_conflicts(self, store: Store) -> None:
        batch, other = self.add(store, 1), self.add(store, 2)
        reserved = ConflictRecord(1, "b@x.org", "b@x.org", "reserved", None, other.batch_id)
        twice = ConflictRecord(0, "a@x.org", "a@x.org", "duplicate", 7, None)
        later = ConflictRecord(9, "j@x.org", "j@x.org", "exists", None, None)
        with store.write() as tx:
            tx.chunks.save(batch.id, chunk_row(3, users=1, conflicts=1), [later])
            tx.chunks.save(batch.id, chunk_row(0, conflicts=2), [reserved, twice])
            tx.chunks.save(other.id, chunk_row(0, users=5), [])
        with store.read() as tx:
            assert list(tx.chunks.list_conflicts(batch.id, -1, 10)) == [twice, reserved, later]
            assert list(tx.chunks.list_conflicts(batch.id, 0, 1)) == [reserved]
            assert [page.number for page in tx.chunks.list(batch.id)] == [0, 3]
        with store.write() as tx:
            tx.chunks.save(batch.id, chunk_row(0, users=2), [])
        with store.read() as tx:
            assert list(tx.chunks.list_conflicts(batch.id, -1, 10)) == [later]
            assert self.chunk(tx, batch, 0) == chunk_row(0, users=2)
            assert self.chunk(tx, batch, 1) is None
            assert self.chunk(tx, other, 0) == chunk_row(0, users=5)

    def test_a_lock_on_a_chunk_shows_what_the_previous_transaction_saved(
        self, store: Store
    ) -> None:
        batch = self.add(store, 1)

        def reserve(users: int) -> int:
            with store.write() as tx:
                found = tx.chunks.lock(batch.id, 0)
                if found is None:
                    sleep(0.02)
                    tx.chunks.save(batch.id, chunk_row(0, users=users), [])
                return found.users if found else users

        with ThreadPoolExecutor(4) as pool:
            assert len(set(pool.map(reserve, range(1, 5)))) == 1

    def test_a_chunk_is_not_deleted_while_it_is_locked(self, store: Store, reserve: Any) -> None:
        batch = self.add(store, 1)
        reserve(batch, "a@x.org")
        happened = []

        def remove() -> None:
            with store.write() as tx:
                delete_chunk(tx, batch.id, 0, "usr_", "usr_g")
                happened.append("removed")

        with ThreadPoolExecutor(1) as pool:
            with store.write() as tx:
                tx.chunks.lock(batch.id, 0)
                removing = pool.submit(remove)
                wait_until_blocked(store, tx)
                tx.users.insert(batch.id, rows_of([user_row(batch, 0, "a@x.org")]))
                tx.chunks.save(batch.id, chunk_row(0, users=1), [])
                happened.append("reserved")
            removing.result()
        assert happened == ["reserved", "removed"]
        with store.read() as tx:
            assert self.chunk(tx, batch, 0) is None
            assert tx.users.find_holders(["a@x.org"]) == []

    def test_deleting_a_chunk_deletes_its_users_and_conflicts_and_no_others(
        self, store: Store, reserve: Any
    ) -> None:
        batch, other = self.add(store, 1), self.add(store, 2)
        reserve(batch, *(f"u{at}@x.org" for at in range(6)))
        reserve(other, "z@x.org")
        with store.write() as tx:
            for number in (0, 1):
                exists = ConflictRecord(number * 3, "a@x.org", "a@x.org", "exists", None, None)
                tx.chunks.save(batch.id, chunk_row(number, users=3), [exists])
        first, end = (user_row(batch, at, "").user_id for at in (0, 3))
        for _ in range(2):
            with store.write() as tx:
                delete_chunk(tx, batch.id, 0, first, end)
        with store.read() as tx:
            assert [page.number for page in tx.chunks.list(batch.id)] == [1]
            assert [row.position for row in tx.chunks.list_conflicts(batch.id, -1, 10)] == [3]
            left = tx.users.find_holders([*(f"u{at}@x.org" for at in range(6)), "z@x.org"])
        assert sorted(o.email_key[:2] for o in left) == ["u3", "u4", "u5", "z@"]

    def test_the_clock_counts_milliseconds(self, store: Store) -> None:
        with store.read() as tx:
            before = tx.now()
        sleep(0.05)
        with store.read() as tx:
            passed = tx.now() - before
        assert 45 <= passed < 10_000
        assert 1_700_000_000_000 < before < 5_000_000_000_000
