"""The rules of the words of accounts that are deleted or changed: see `interface.Transaction`."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.store.contract.steps import user_id_of
from tests.store.contract.words import JANE, WordSteps
from tests.support.databases.indexed_words import index_next
from tests.support.databases.locks import wait_until_blocked
from tests.support.databases.stored_data import execute_sql

from anyscale.server.store.records.batches import BatchRecord
from anyscale.server.store.records.search import IndexPlace
from anyscale.server.store.transaction import Store, Transaction
from anyscale.server.store.words import LEADING, OF_EMAIL


def _delete(tx: Transaction, batch: BatchRecord, positions: Sequence[int]) -> None:
    first, last = positions[0], positions[-1]
    stay = set(range(first, last)).difference(positions)
    keep = [user_id_of(batch, at) for at in stay]
    tx.accounts.delete_range(user_id_of(batch, first), user_id_of(batch, last), keep=keep)


class ChangedWordRules(WordSteps):
    """Words are removed and replaced with the accounts that have them."""

    @pytest.mark.parametrize("gone", [[0], [0, 1, 2], [1, 4, 5, 8], [0, 1, 2, 7, 8], range(9)])
    def test_accounts_between_deleted_ones_keep_their_words(
        self, store: Store, gone: Sequence[int]
    ) -> None:
        batches = [
            self.publish(store, number, *(f"u{at}@{number}.org" for at in range(9)), **JANE)
            for number in (1, 2)
        ]
        self.index(store)
        before = self.stored(store)
        with store.write() as tx:
            _delete(tx, batches[1], gone)
        assert self.stored(store) == [row for row in before if row[2] == 1 or row[3] not in gone]

    @pytest.mark.parametrize("several", [False, True])
    def test_the_words_of_a_deleted_account_are_removed(self, store: Store, several: bool) -> None:
        batch = self.publish(store, 1, "a@x.org", "b@x.org", "c@x.org", **JANE)
        self.index(store)
        before = self.stored(store)
        with store.write() as tx:
            if several:
                _delete(tx, batch, [0, 2])
            else:
                tx.accounts.delete(user_id_of(batch, 0))
        stays = {1} if several else {1, 2}
        assert self.stored(store) == [row for row in before if row[3] in stays]

    def test_an_account_that_is_deleted_before_it_is_indexed_gets_no_words(
        self, store: Store
    ) -> None:
        batch = self.publish(store, 1, "a@x.org", "b@x.org", **JANE)
        with store.write() as tx:
            tx.accounts.delete(user_id_of(batch, 1))
        self.index(store)
        assert self.words(store, 0) == ["a", "ann", "doe", "jane", "org", "x"]
        assert self.words(store, 1) == []

    @pytest.mark.parametrize("name", ["Ann Jane", "Joe", "JANE ann", "..."])
    @pytest.mark.parametrize("lastname", ["Doe", None, "Miller Doe"])
    def test_the_words_of_a_changed_account_are_those_of_its_new_texts(
        self, store: Store, name: str, lastname: str | None
    ) -> None:
        batch = self.publish(store, 1, "a@x.org", "b@x.org", **JANE)
        self.index(store)
        other = [row for row in self.stored(store) if row[3] == 1]
        self.set_name(store, user_id_of(batch, 0), name, lastname)
        changed = self.stored(store)
        with store.write() as tx:
            execute_sql(tx, "delete from user_words")
            execute_sql(tx, "update search_index set publication = 0, position = 0")
        self.index(store)
        assert changed == self.stored(store)
        assert [row for row in changed if row[3] == 1] == other

    def test_the_last_account_that_is_indexed_gets_its_new_words(self, store: Store) -> None:
        batch = self.publish(store, 1, "a@x.org", "b@x.org", **JANE)
        with store.write() as tx:
            index_next(tx, 1)
        self.set_name(store, user_id_of(batch, 0), "Joe")
        assert self.words(store, 0) == ["a", "joe", "org", "x"]

    def test_an_account_that_is_changed_before_it_is_indexed_gets_its_new_words(
        self, store: Store
    ) -> None:
        batch = self.publish(store, 1, "a@x.org", **JANE)
        self.set_name(store, user_id_of(batch, 0), "Joe")
        assert self.stored(store) == []
        self.index(store)
        assert self.words(store, 0) == ["a", "joe", "org", "x"]

    def test_a_change_that_fails_leaves_the_words(self, store: Store) -> None:
        batch = self.publish(store, 1, "a@x.org", **JANE)
        self.index(store)
        before = self.stored(store)

        def fail() -> None:
            with store.write() as tx:
                tx.accounts.delete(user_id_of(batch, 0))
                raise RuntimeError

        with pytest.raises(RuntimeError):
            fail()
        assert self.stored(store) == before

    @pytest.mark.parametrize("change", ["delete", "rename", "title"])
    def test_a_change_of_an_account_with_some_of_its_words_takes_the_index_from_its_holder(
        self, store: Store, change: str
    ) -> None:
        batch = self.publish(store, 1, "a@x.org", "b@x.org", "c@x.org", **JANE)
        self.index(store, limit=1)
        with store.write() as tx:
            tx.words.lease(IndexPlace(1, 1), "filler", 900)
            tx.words.add([("b", OF_EMAIL, 1, 1), ("jane", LEADING, 1, 1)])
        with store.write() as tx:  # accounts that the filler has not read
            tx.accounts.delete(user_id_of(batch, 0))
            tx.accounts.delete(user_id_of(batch, 2))
            assert tx.words.get_state().holder == "filler"
        if change == "delete":
            with store.write() as tx:
                tx.accounts.delete(user_id_of(batch, 1))
        else:
            name = "Joe Ann" if change == "rename" else JANE["name"]
            self.set_name(store, user_id_of(batch, 1), name, JANE["lastname"])
        with store.read() as tx:
            state = tx.words.get_state()
        taken = ("filler", 900) if change == "title" else ("", 0)
        assert (state.holder, state.until, state.end) == (*taken, IndexPlace(1, 1))
        left = {"delete": [], "rename": ["b"], "title": ["b", "jane"]}
        assert self.words(store, 1) == left[change]

    def test_a_change_of_an_account_does_not_end_the_time_for_which_an_undo_defers_the_filling(
        self, store: Store
    ) -> None:
        batch = self.publish(store, 1, "a@x.org", "b@x.org", "c@x.org", **JANE)
        with store.write() as tx:
            tx.words.lease(IndexPlace(1, 2), "filler", 900)
        with store.write() as tx:
            _delete(tx, batch, [0])
            tx.words.defer(3_000)
        self.set_name(store, user_id_of(batch, 1), "Joe")
        with store.write() as tx:
            tx.accounts.delete(user_id_of(batch, 2))
        with store.read() as tx:
            state = tx.words.get_state()
        assert (state.holder, state.until) == ("", 3_000)

    def test_words_that_an_account_has_already_stay(self, store: Store) -> None:
        self.publish(store, 1, "a@x.org", **JANE)
        rows = [("a", OF_EMAIL, 1, 0), ("jane", LEADING, 1, 0)]
        with store.write() as tx:
            tx.words.add(rows[:1])
            tx.words.add_missing(rows)
            tx.words.add_missing([])
        assert self.words(store, 0) == ["a", "jane"]

    @pytest.mark.parametrize("change", ["delete", "rename"])
    def test_a_change_during_the_filling_leaves_no_old_word(
        self, store: Store, change: str
    ) -> None:
        batch = self.publish(store, 1, "a@x.org", "b@x.org", **JANE)
        user_id = user_id_of(batch, 0)

        def work() -> None:
            if change == "rename":
                return self.set_name(store, user_id, "Joe")
            with store.write() as tx:
                tx.accounts.delete(user_id)
            return None

        with ThreadPoolExecutor(1) as pool:
            with store.write() as tx:
                tx.words.lock()
                working = pool.submit(work)
                wait_until_blocked(store, tx)
                index_next(tx, 10)
            working.result(30)
        assert self.words(store, 0) == (["a", "joe", "org", "x"] if change == "rename" else [])
        assert self.words(store, 1) == ["ann", "b", "doe", "jane", "org", "x"]
