"""The rules of the external ids of rows and accounts: see `interface.Transaction`."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from tests.store.contract.steps import StoreSteps, chunk_row, rows_of, user_id_of, user_row
from tests.support.databases.locks import wait_until_blocked

from anyscale.server.store.records.batches import BatchRecord, ConflictRecord
from anyscale.server.store.transaction import Store


class ExternalIdRules(StoreSteps):
    """An external id belongs to one row at most."""

    def _insert(
        self, store: Store, batch: BatchRecord, *numbers: str | None, first: int = 0
    ) -> Sequence[tuple[str, str | None]]:
        """Insert users with new emails; return the holders that kept them out."""
        rows = [
            user_row(batch, at, f"u{batch.id}.{at}@x.org", external_id=number)
            for at, number in enumerate(numbers, first)
        ]
        with store.write() as tx:
            return [
                (one.user_id, one.external_id) for one in tx.users.insert(batch.id, rows_of(rows))
            ]

    def _number(self, store: Store, batch: BatchRecord, position: int) -> str | None:
        return self.account(store, user_id_of(batch, position)).external_id

    def _set(self, store: Store, batch: BatchRecord, position: int, number: str) -> str | None:
        """Set the external id of an account, or return the id of the row that has it."""
        user_id = user_id_of(batch, position)
        with store.write() as tx:
            tx.accounts.lock([user_id])
            if holder := tx.external_ids.reserve(user_id, number):
                return holder.user_id
            tx.accounts.set_details(user_id, external_id=number)
        return None

    @pytest.mark.parametrize("state", ["open", "published"])
    def test_a_row_with_a_taken_external_id_is_not_inserted_and_its_holder_is_returned(
        self, store: Store, state: str
    ) -> None:
        holder, batch = self.add(store, 1), self.add(store, 2)
        assert self._insert(store, holder, "7", None) == []
        if state != "open":
            self.end(store, holder, state)
        for _ in range(2):  # a row that exists counts as inserted
            taken = self._insert(store, batch, "6", "7", None, "07", "x")
            assert taken == [(user_id_of(holder, 0), "7")]
        self.end(store, batch, "published")
        with store.read() as tx:
            found = tx.users.list_with_external_ids(["6", "7", "07", "x", "y"])
        in_batch = [user_id_of(batch, at) for at in (0, 3, 4)]
        in_holder = [user_id_of(holder, 0)] if state == "published" else []
        assert sorted(one.user_id for one in found) == sorted(in_holder + in_batch)

    def test_a_holder_of_the_email_and_one_of_the_external_id_are_both_returned(
        self, store: Store, reserve: Any
    ) -> None:
        holder, batch = self.add(store, 1), self.add(store, 2)
        reserve(holder, "a@x.org", external_id="1")
        reserve(holder, "b@x.org", first=1, external_id="2")
        taken = reserve(batch, "a@x.org", external_id="2")
        assert {one.user_id for one in taken} == {user_id_of(holder, at) for at in range(2)}
        with store.read() as tx:
            found = tx.users.find_holders(["a@x.org"], ["2", "3"])
        assert {one.user_id for one in found} == {user_id_of(holder, at) for at in range(2)}

    def test_the_first_of_two_equal_external_ids_in_one_call_gets_it(self, store: Store) -> None:
        batch = self.add(store, 1)
        for _ in range(2):
            assert (user_id_of(batch, 0), "7") in self._insert(store, batch, "7", "8", "7")
        self.end(store, batch, "published")
        with store.read() as tx:
            assert tx.accounts.get(user_id_of(batch, 2)) is None

    @pytest.mark.parametrize("state", ["dropped", "expired"])
    def test_an_external_id_of_a_dropped_or_expired_batch_is_free(
        self, store: Store, state: str
    ) -> None:
        dropped, batch = self.add(store, 1), self.add(store, 2)
        self._insert(store, dropped, "7", "8")
        self.end(store, dropped, state)
        with store.read() as tx:
            assert tx.users.find_holders([], ["7", "8"]) == []
        assert self._insert(store, batch, "7", None) == []
        self.end(store, batch, "published")
        assert self._set(store, batch, 1, "8") is None
        assert [self._number(store, batch, at) for at in range(2)] == ["7", "8"]

    def test_an_account_gets_a_free_external_id_and_its_former_one_is_free(
        self, store: Store
    ) -> None:
        batch = self.add(store, 1)
        self._insert(store, batch, "1", "2", None)
        self.end(store, batch, "published")
        reserved = self.add(store, 2)
        self._insert(store, reserved, "9")
        assert self._set(store, batch, 0, "2") == user_id_of(batch, 1)
        assert self._set(store, batch, 0, "9") == user_id_of(reserved, 0)
        assert self._set(store, batch, 0, "1") is None
        assert self._set(store, batch, 0, "3") is None
        assert self._set(store, batch, 2, "1") is None
        assert [self._number(store, batch, at) for at in range(3)] == ["3", "2", "1"]

    @pytest.mark.parametrize("first", ["insert", "set"])
    def test_of_two_transactions_that_want_an_external_id_at_once_one_gets_it(
        self, store: Store, first: str
    ) -> None:
        batch, other = self.add(store, 1), self.add(store, 2)
        self._insert(store, batch, None)
        self.end(store, batch, "published")
        row = user_row(other, 0, "other@x.org", external_id="7")
        user_id = user_id_of(batch, 0)
        result: object
        with ThreadPoolExecutor(1) as pool:
            with store.write() as tx:
                waiting: Future[object]
                if first == "insert":
                    assert tx.users.insert(other.id, rows_of([row])) == []
                    waiting, result = pool.submit(self._set, store, batch, 0, "7"), row.user_id
                else:
                    tx.accounts.lock([user_id])
                    assert tx.external_ids.reserve(user_id, "7") is None
                    waiting, result = pool.submit(self._insert, store, other, "7"), [(user_id, "7")]
                wait_until_blocked(store, tx)
                if first == "set":
                    tx.accounts.set_details(user_id, external_id="7")
            assert waiting.result() == result

    def test_accounts_of_skipped_entries_are_found_by_the_email_or_the_external_id(
        self, store: Store
    ) -> None:
        batch, other = self.add(store, 1), self.add(store, 2)
        self._insert(store, batch, "7", None, "8")
        self.end(store, batch, "published")
        by_email, new = f"u{batch.id}.1@x.org", "new@x.org"
        conflicts = [
            ConflictRecord(0, by_email, by_email, "exists", None, None, None),
            ConflictRecord(1, new, new, "exists", None, None, "8"),
            ConflictRecord(2, new, new, "exists", None, None, "9"),
            ConflictRecord(3, new, new, "duplicate", 0, None, "7"),
        ]
        with store.write() as tx:
            tx.chunks.save(other.id, chunk_row(0), conflicts)
            tx.accounts.set_suspended(user_id_of(batch, 2), 5)
        with store.read() as tx:
            found = tx.chunks.list_skipped(other.id, -1, 9, without_credentials=False)
            after = tx.chunks.list_skipped(other.id, 0, 9, without_credentials=False)
            without = tx.chunks.list_skipped(other.id, -1, 9, without_credentials=True)
        skipped = [(0, user_id_of(batch, 1), "none"), (1, user_id_of(batch, 2), "suspended")]
        assert [(one.position, one.user_id, one.sign_in) for one in found] == skipped
        assert [one.position for one in after] == [1]
        assert [one.position for one in without] == [0]

    def test_deleting_an_account_frees_its_external_id_and_clears_conflicts_about_it(
        self, store: Store
    ) -> None:
        batch, other = self.add(store, 1), self.add(store, 2)
        self._insert(store, batch, "7", "8")
        self.end(store, batch, "published")
        conflicts = [
            ConflictRecord(at, f"new{at}@x.org", f"new{at}@x.org", "exists", None, None, number)
            for at, number in enumerate(("7", "8"))
        ]
        with store.write() as tx:
            tx.chunks.save(other.id, chunk_row(0), conflicts)
            tx.accounts.set_suspended(user_id_of(batch, 1), 5)
        with store.write() as tx:
            assert tx.chunks.count_suspended(other.id) == 1
            tx.accounts.delete(user_id_of(batch, 0))
            cleared, kept = tx.chunks.list_conflicts(other.id, -1, 9)
        assert (cleared.email, cleared.email_key, cleared.external_id) == ("", "", None)
        assert kept == conflicts[1]
        assert self._insert(store, other, "7", first=5) == []
