"""The rules of filling the index of words: see `interface.Transaction`."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from tests.store.contract.steps import (
    StoreSteps,
    batch_row,
    chunk_row,
    rows_of,
    user_id_of,
    user_row,
)
from tests.support.databases.indexed_words import index_next
from tests.support.databases.stored_data import execute_sql

from anyscale.server.store.records.batches import BatchRecord
from anyscale.server.store.records.search import IndexPlace
from anyscale.server.store.sql.search import unindexed_accounts
from anyscale.server.store.sql.search.unindexed_accounts import END_POSITION
from anyscale.server.store.transaction import Store
from anyscale.server.store.words import LEADING, OF_EMAIL, OF_NAME

JANE = {"name": "Jane Ann", "lastname": "Doe"}


class WordSteps(StoreSteps):
    """Steps on the index of words."""

    def index(self, store: Store, limit: int = 1_000) -> IndexPlace:
        """Give words to the next accounts; return the watermark."""
        with store.write() as tx:
            index_next(tx, limit)
            return tx.words.get_state().watermark

    def stored(self, store: Store) -> list[tuple[Any, ...]]:
        """Return all rows of words, in order."""
        sql = "select kind, word, publication, position from user_words order by 1, 2, 3, 4"
        with store.read() as tx:
            return [tuple(row) for row in execute_sql(tx, sql).fetchall()]

    def words(self, store: Store, position: int, publication: int = 1) -> list[str]:
        """Return the words of an account, in order."""
        place = (publication, position)
        return sorted(word for _, word, *found in self.stored(store) if tuple(found) == place)

    def set_name(self, store: Store, user_id: str, name: str, lastname: str | None = None) -> None:
        with store.write() as tx:
            tx.accounts.lock([user_id])
            tx.accounts.set_details(
                user_id, name=name, lastname=lastname, title=None, is_sso_user=False
            )


class FillingRules(WordSteps):
    """All accounts up to the watermark have exactly the words of their texts, and no others any."""

    def test_accounts_up_to_the_watermark_have_their_words(self, store: Store) -> None:
        self.publish(store, 1, "j.doe@x.org", "k@x.org", **JANE)
        assert self.stored(store) == []
        assert self.index(store, limit=1) == IndexPlace(1, 0)
        first = [
            (LEADING, "doe", 1, 0),
            (LEADING, "jane", 1, 0),
            (OF_NAME, "ann", 1, 0),
            (OF_EMAIL, "j", 1, 0),
            (OF_EMAIL, "org", 1, 0),
            (OF_EMAIL, "x", 1, 0),
        ]
        assert self.stored(store) == first
        assert self.index(store, limit=1) == IndexPlace(1, END_POSITION)
        assert self.words(store, 0) == sorted(row[1] for row in first)
        assert self.words(store, 1) == ["ann", "doe", "jane", "k", "org", "x"]

    def test_unindexed_accounts_come_in_the_order_of_publishing(self, store: Store) -> None:
        first, empty, last = (self.add(store, number) for number in (1, 2, 3))
        self._reserve(store, first, "a0@x.org", "a1@x.org", "a2@x.org")
        self._reserve(store, last, "c0@x.org", "c1@x.org")
        for batch in (last, empty, first):
            self.end(store, batch, "published")
        with store.write() as tx:
            tx.accounts.delete(user_id_of(first, 1))
        found, watermarks = [], [IndexPlace(0, 0)]
        with store.read() as tx:
            while len(watermarks) < 2 or watermarks[-1] != watermarks[-2]:
                accounts, end = tx.unindexed.list(watermarks[-1], 2)
                found += [(account.email[:2], account.place) for account in accounts]
                watermarks.append(end)
        places = [IndexPlace(1, 0), IndexPlace(1, 1), IndexPlace(3, 0), IndexPlace(3, 2)]
        assert found == list(zip(["c0", "c1", "a0", "a2"], places, strict=True))
        end = IndexPlace(3, END_POSITION)
        assert watermarks[1:] == [IndexPlace(2, END_POSITION), IndexPlace(3, 2), end, end]

    def test_no_account_of_many_small_batches_is_passed_over(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(unindexed_accounts, "_MOST_PUBLICATIONS", 30)
        sizes = [1, 0, 1, 3, 1, 1, 8, 0, 2, 1] * 4
        with store.write() as tx:
            for number, size in enumerate(sizes, 1):
                batch = tx.batches.add(batch_row(number))
                assert batch
                users = [user_row(batch, at, f"u{at}@{number}.org") for at in range(size)]
                tx.users.insert(batch.id, rows_of(users))
                tx.batches.publish(batch.id, "local:joe", 5_000)
        for limit in (1, 2, 7, 1_000):
            found: list[str] = []
            with store.read() as tx:
                end, before = IndexPlace(0, 0), None
                while end != before:
                    before = end
                    accounts, end = tx.unindexed.list(end, limit)
                    assert len(accounts) <= limit
                    found += [account.email for account in accounts]
            assert found == [
                f"u{at}@{number}.org" for number, size in enumerate(sizes, 1) for at in range(size)
            ]

    def test_the_accounts_of_many_small_batches_are_read_at_once(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for number in range(1, 41):
            self.publish(store, number, f"u{number}@x.org")
        statements: list[str] = []
        with store.read() as tx:
            rows = tx.connection.rows

            def recorded(sql: str, *values: object) -> list[Any]:
                statements.append(sql)
                return rows(sql, *values)

            monkeypatch.setattr(tx.connection, "rows", recorded)
            accounts, _ = tx.unindexed.list(IndexPlace(0, 0), 300)
        assert len(accounts) == 40
        assert len(statements) == 2

    def test_unindexed_accounts_are_counted_by_their_chunks(self, store: Store) -> None:
        counts = [(3, 0), (4, 4), (5, 0)]
        for number, (users, skipped) in enumerate(counts, 1):
            batch = self.add(store, number)
            with store.write() as tx:
                tx.chunks.save(batch.id, chunk_row(0, users=users, skipped=skipped), [])
                if number < 3:
                    tx.batches.publish(batch.id, "local:joe", 5_000)
        expected = {
            IndexPlace(0, 0): 7,
            IndexPlace(1, 0): 6,
            IndexPlace(1, END_POSITION): 4,
            IndexPlace(2, 3): 2,  # half of its entries are done
            IndexPlace(2, 6): 1,
            IndexPlace(2, END_POSITION): 0,
        }
        for watermark, count in expected.items():
            with store.write() as tx:
                tx.words.lock()
                tx.words.finish(watermark)
                assert tx.unindexed.count(tx.words.get_state().watermark) == count

    def test_the_database_sums_the_unindexed_accounts_of_many_batches(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for number in range(1, 21):
            batch = self.add(store, number)
            with store.write() as tx:
                tx.chunks.save(batch.id, chunk_row(0, users=3), [])
                tx.batches.publish(batch.id, "local:joe", 5_000)
        read: list[object] = []

        with store.read() as tx:
            rows = tx.connection.rows

            def recorded(sql: str, *values: object) -> list[Any]:
                found = rows(sql, *values)
                read.extend(found)
                return found

            monkeypatch.setattr(tx.connection, "rows", recorded)
            assert tx.unindexed.count(tx.words.get_state().watermark) == 60
        assert len(read) < 5

    def test_only_one_transaction_fills_the_index_at_a_time(self, store: Store) -> None:
        self.publish(store, 1, *(f"u{at}@x.org" for at in range(40)), **JANE)

        def fill(_: int) -> IndexPlace:
            return self.index(store, limit=2)

        with ThreadPoolExecutor(4) as pool:
            watermarks = set(pool.map(fill, range(20)))
        places = {IndexPlace(1, at) for at in range(1, 38, 2)}
        assert watermarks == places | {IndexPlace(1, END_POSITION)}
        assert len(self.stored(store)) == 40 * 6

    def test_the_holder_of_the_index_is_stored(self, store: Store) -> None:
        with store.write() as tx:
            assert (tx.words.lock().holder, tx.words.lock().until) == ("", 0)
            tx.words.lease(IndexPlace(3, 7), "server", 12_000)
        with store.read() as tx:
            state = tx.words.get_state()
        assert (state.watermark, state.end) == (IndexPlace(0, 0), IndexPlace(3, 7))
        assert (state.holder, state.until) == ("server", 12_000)

    def _reserve(self, store: Store, batch: BatchRecord, *emails: str) -> None:
        with store.write() as tx:
            users = [user_row(batch, at, email) for at, email in enumerate(emails)]
            tx.users.insert(batch.id, rows_of(users))
