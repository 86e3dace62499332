"""The rules of batches and their pages, as tests: see `testing.StoreContract`."""

from concurrent.futures import ThreadPoolExecutor
from time import sleep
from typing import Any

import pytest
from tests.store.contract.steps import StoreSteps, batch_row, page_row, rows_of, user_row

from anyscale.server.store.interface import ConflictRecord, Store

__all__ = ["BatchRules"]


class BatchRules(StoreSteps):
    """A key has one live batch, a state is final, a page replaces what it left before."""

    def test_a_key_has_one_live_batch(self, store: Store) -> None:
        batch = self.add(store, 1, "key")
        with store.read() as rows:
            assert rows.live_batch("key") == batch
            assert rows.live_batch("other") is None
        with store.write() as rows:
            assert rows.add_batch(batch_row(2, "key")) is None
        self.end(store, batch, "published")
        with store.write() as rows:
            assert rows.add_batch(batch_row(2, "key")) is None
            assert rows.live_batch("key") == rows.batch(batch.batch_id)

    def test_of_two_that_open_a_batch_with_one_key_at_once_one_does(self, store: Store) -> None:
        def add(number: int) -> bool:
            with store.write() as rows:
                batch = rows.add_batch(batch_row(number, "key"))
                sleep(0.01)
                return batch is not None

        with ThreadPoolExecutor(4) as pool:
            assert sum(pool.map(add, range(1, 5))) == 1

    @pytest.mark.parametrize("state", ["dropped", "expired"])
    def test_the_key_of_an_ended_batch_is_free(self, store: Store, state: str) -> None:
        self.end(store, self.add(store, 1, "key"), state)
        second = self.add(store, 2, "key")
        with store.read() as rows:
            assert rows.live_batch("key") == second

    @pytest.mark.parametrize("state", ["published", "dropped", "expired"])
    def test_an_ended_batch_keeps_its_state(self, store: Store, state: str) -> None:
        batch = self.add(store, 1)
        self.end(store, batch, state)
        for later in ("published", "dropped", "expired"):
            self.end(store, batch, later)
        with store.read() as rows:
            found = rows.batch(batch.batch_id)
        assert found
        assert found.state == state
        assert found.published_by == ("local:joe" if state == "published" else None)

    def test_batches_are_listed_latest_first(self, store: Store) -> None:
        first, second, third = (self.add(store, number) for number in (1, 2, 3))
        self.end(store, second, "dropped")
        with store.read() as rows:
            ids = [batch.id for batch in self.batches(rows)]
            assert ids == [third.id, second.id, first.id]
            assert self.batches(rows, open_only=True) == [third, first]
            page = rows.batches(open_only=False, before="", limit=2)
            assert [batch.id for batch in page] == ids[:2]
            page = rows.batches(open_only=False, before=page[-1].batch_id, limit=2)
            assert [batch.id for batch in page] == ids[2:]
            page = rows.batches(open_only=True, before=third.batch_id, limit=2)
            assert list(page) == [first]

    def test_idle_batches_are_the_open_ones_that_nobody_touched(self, store: Store) -> None:
        idle, touched, ended = (self.add(store, number, at=100) for number in (1, 2, 3))
        with store.write() as rows:
            rows.touch(touched.id, 500)
        self.end(store, ended, "dropped")
        with store.read() as rows:
            assert list(rows.idle_batches(500)) == [idle]
            assert list(rows.idle_batches(100)) == []

    def test_ended_batches_are_listed_until_their_pages_are_removed(
        self, store: Store, claim: Any
    ) -> None:
        dropped, live = self.add(store, 1), self.add(store, 2)
        claim(dropped, "a@x.org")
        with store.write() as rows:
            rows.save_page(dropped.id, page_row(0, users=1), [])
            rows.save_page(live.id, page_row(0, users=1), [])
        self.end(store, dropped, "dropped")
        with store.read() as rows:
            assert [batch.id for batch in rows.ended_batches_with_rows()] == [dropped.id]
        with store.write() as rows:
            rows.remove_page(dropped.id, 0, "usr_", "usr_g")
        with store.read() as rows:
            assert rows.ended_batches_with_rows() == []

    def test_a_page_replaces_what_it_left_before(self, store: Store) -> None:
        batch, other = self.add(store, 1), self.add(store, 2)
        held = ConflictRecord(1, "b@x.org", "held", None, other.batch_id)
        twice = ConflictRecord(0, "a@x.org", "duplicate", 7, None)
        later = ConflictRecord(9, "j@x.org", "exists", None, None)
        with store.write() as rows:
            rows.save_page(batch.id, page_row(3, users=1, conflicts=1), [later])
            rows.save_page(batch.id, page_row(0, conflicts=2), [held, twice])
            rows.save_page(other.id, page_row(0, users=5), [])
        with store.read() as rows:
            assert list(rows.conflicts(batch.id, -1, 10)) == [twice, held, later]
            assert list(rows.conflicts(batch.id, 0, 1)) == [held]
            assert [page.number for page in rows.pages(batch.id)] == [0, 3]
        with store.write() as rows:
            rows.save_page(batch.id, page_row(0, users=2), [])
        with store.read() as rows:
            assert list(rows.conflicts(batch.id, -1, 10)) == [later]
            assert rows.page(batch.id, 0) == page_row(0, users=2)
            assert rows.page(batch.id, 1) is None
            assert rows.page(other.id, 0) == page_row(0, users=5)

    def test_of_two_that_claim_one_page_the_second_sees_what_the_first_left(
        self, store: Store
    ) -> None:
        batch = self.add(store, 1)

        def claim(users: int) -> int:
            with store.write() as rows:
                found = rows.page(batch.id, 0)
                if found is None:
                    sleep(0.02)
                    rows.save_page(batch.id, page_row(0, users=users), [])
                return found.users if found else users

        with ThreadPoolExecutor(4) as pool:
            assert len(set(pool.map(claim, range(1, 5)))) == 1

    def test_a_page_is_not_removed_while_it_is_claimed(self, store: Store, claim: Any) -> None:
        batch = self.add(store, 1)
        claim(batch, "a@x.org")
        happened = []

        def remove() -> None:
            with store.write() as rows:
                rows.remove_page(batch.id, 0, "usr_", "usr_g")
                happened.append("removed")

        with ThreadPoolExecutor(1) as pool:
            with store.write() as rows:
                rows.page(batch.id, 0)
                removing = pool.submit(remove)
                sleep(0.1)
                rows.insert_users(batch.id, rows_of([user_row(batch, 0, "a@x.org")]))
                rows.save_page(batch.id, page_row(0, users=1), [])
                happened.append("claimed")
            removing.result()
        assert happened == ["claimed", "removed"]
        with store.read() as rows:
            assert rows.page(batch.id, 0) is None
            assert rows.owners(["a@x.org"]) == []

    def test_removing_a_page_removes_what_it_left_and_nothing_else(
        self, store: Store, claim: Any
    ) -> None:
        batch, other = self.add(store, 1), self.add(store, 2)
        claim(batch, *(f"u{at}@x.org" for at in range(6)))
        claim(other, "z@x.org")
        with store.write() as rows:
            for number in (0, 1):
                exists = ConflictRecord(number * 3, "a@x.org", "exists", None, None)
                rows.save_page(batch.id, page_row(number, users=3), [exists])
        first, end = (user_row(batch, at, "").user_id for at in (0, 3))
        for _ in range(2):
            with store.write() as rows:
                rows.remove_page(batch.id, 0, first, end)
        with store.read() as rows:
            assert [page.number for page in rows.pages(batch.id)] == [1]
            assert [row.position for row in rows.conflicts(batch.id, -1, 10)] == [3]
            left = rows.owners([*(f"u{at}@x.org" for at in range(6)), "z@x.org"])
        assert sorted(o.email_key[:2] for o in left) == ["u3", "u4", "u5", "z@"]

    def test_the_clock_counts_milliseconds(self, store: Store) -> None:
        with store.read() as rows:
            before = rows.now()
        sleep(0.05)
        with store.read() as rows:
            passed = rows.now() - before
        assert 45 <= passed < 10_000
        assert 1_700_000_000_000 < before < 5_000_000_000_000
