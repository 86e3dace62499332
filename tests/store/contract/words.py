"""The rules of the index of words: see `interface.Transaction`."""

from collections.abc import Sequence
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
from tests.support.stored_data import execute_sql

from anyscale.server.store.interface import Store, Transaction
from anyscale.server.store.records import BatchRecord
from anyscale.server.store.search_records import FoundUserRecord, FoundWord, Place
from anyscale.server.store.sql.user_words import END_POSITION

__all__ = ["WordRules"]

_JANE = {"name": "Jane Ann", "lastname": "Doe"}
_EVERYWHERE = Place(99, 0)


class WordSteps(StoreSteps):
    """Steps on the index of words."""

    def index(self, store: Store, limit: int = 1_000) -> Place:
        """Give words to the next accounts; return the watermark."""
        with store.write() as tx:
            accounts, end = tx.words.list_unindexed(tx.words.lock().watermark, limit)
            tx.words.fill(accounts, end, "tests", 7)
            return tx.words.get_state().watermark

    def stored(self, store: Store) -> list[tuple[Any, ...]]:
        """Return all rows of words, in order."""
        sql = "select is_leading, word, publication, position from user_words order by 1, 2, 3, 4"
        with store.read() as tx:
            return [(bool(row[0]), *row[1:]) for row in execute_sql(tx, sql).fetchall()]

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
        self.publish(store, 1, "j.doe@x.org", "k@x.org", **_JANE)
        assert self.stored(store) == []
        assert self.index(store, limit=1) == Place(1, 0)
        first = [
            (False, "ann", 1, 0),
            (False, "j", 1, 0),
            (False, "org", 1, 0),
            (False, "x", 1, 0),
            (True, "doe", 1, 0),
            (True, "jane", 1, 0),
        ]
        assert self.stored(store) == first
        assert self.index(store, limit=1) == Place(1, 1)
        assert self.words(store, 0) == sorted(row[1] for row in first)
        assert self.words(store, 1) == ["ann", "doe", "jane", "k", "org", "x"]
        assert self.index(store, limit=1) == Place(1, END_POSITION)

    def test_unindexed_accounts_come_in_the_order_of_publishing(self, store: Store) -> None:
        first, empty, last = (self.add(store, number) for number in (1, 2, 3))
        self._claim(store, first, "a0@x.org", "a1@x.org", "a2@x.org")
        self._claim(store, last, "c0@x.org", "c1@x.org")
        for batch in (last, empty, first):
            self.end(store, batch, "published")
        with store.write() as tx:
            tx.accounts.delete(user_id_of(first, 1))
        found, watermarks = [], [Place(0, 0)]
        with store.read() as tx:
            while len(watermarks) < 2 or watermarks[-1] != watermarks[-2]:
                accounts, end = tx.words.list_unindexed(watermarks[-1], 2)
                found += [(account.email[:2], account.place) for account in accounts]
                watermarks.append(end)
        places = [Place(1, 0), Place(1, 1), Place(3, 0), Place(3, 2)]
        assert found == list(zip(["c0", "c1", "a0", "a2"], places, strict=True))
        end = Place(3, END_POSITION)
        assert watermarks[1:] == [Place(1, 1), Place(3, 2), end, end]

    def test_no_account_of_many_small_batches_is_passed_over(self, store: Store) -> None:
        with store.write() as tx:
            for number in range(1, 121):
                batch = tx.batches.add(batch_row(number))
                assert batch
                users = [user_row(batch, 0, f"u{number}@x.org")]
                tx.users.insert(batch.id, rows_of(users))
                tx.batches.publish(batch.id, "local:joe", 5_000)
        found: list[str] = []
        with store.read() as tx:
            end, before = Place(0, 0), None
            while end != before:
                before = end
                accounts, end = tx.words.list_unindexed(end, 1_000)
                found += [account.email for account in accounts]
        assert found == [f"u{number}@x.org" for number in range(1, 121)]

    def test_unindexed_accounts_are_counted_by_their_chunks(self, store: Store) -> None:
        counts = [(3, 0), (4, 4), (5, 0)]
        for number, (users, skipped) in enumerate(counts, 1):
            batch = self.add(store, number)
            with store.write() as tx:
                tx.chunks.save(batch.id, chunk_row(0, users=users, skipped=skipped), [])
                if number < 3:
                    tx.batches.publish(batch.id, "local:joe", 5_000)
        expected = {
            Place(0, 0): 7,
            Place(1, 0): 6,
            Place(1, END_POSITION): 4,
            Place(2, 3): 2,  # half of its entries are done
            Place(2, 6): 1,
            Place(2, END_POSITION): 0,
        }
        for watermark, count in expected.items():
            with store.write() as tx:
                tx.words.lock()
                tx.words.fill([], watermark, "tests", 7)
                assert tx.words.count_unindexed() == count

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
            assert tx.words.count_unindexed() == 60
        assert len(read) < 5

    def test_only_one_transaction_fills_the_index_at_a_time(self, store: Store) -> None:
        self.publish(store, 1, *(f"u{at}@x.org" for at in range(40)), **_JANE)

        def fill(_: int) -> Place:
            return self.index(store, limit=2)

        with ThreadPoolExecutor(4) as pool:
            watermarks = set(pool.map(fill, range(20)))
        assert watermarks == {Place(1, at) for at in range(1, 40, 2)}
        assert len(self.stored(store)) == 40 * 6

    def test_the_holder_of_the_index_is_stored(self, store: Store) -> None:
        with store.write() as tx:
            assert (tx.words.lock().holder, tx.words.lock().until) == ("", 0)
            tx.words.fill([], Place(3, 7), "server", 12_000)
        with store.read() as tx:
            state = tx.words.get_state()
        assert (state.watermark, state.holder, state.until) == (Place(3, 7), "server", 12_000)

    def _claim(self, store: Store, batch: BatchRecord, *emails: str) -> None:
        with store.write() as tx:
            users = [user_row(batch, at, email) for at, email in enumerate(emails)]
            tx.users.insert(batch.id, rows_of(users))


class ChangedWordRules(WordSteps):
    """Words are removed and replaced with the accounts that have them."""

    @pytest.mark.parametrize("gone", [[0], [0, 1, 2], [1, 4, 5, 8], [8, 2, 0, 1, 7], range(9)])
    def test_accounts_between_deleted_ones_keep_their_words(
        self, store: Store, gone: Sequence[int]
    ) -> None:
        batches = [
            self.publish(store, number, *(f"u{at}@{number}.org" for at in range(9)), **_JANE)
            for number in (1, 2)
        ]
        self.index(store)
        before = self.stored(store)
        with store.write() as tx:
            tx.accounts.delete_many([user_id_of(batches[1], at) for at in gone])
        assert self.stored(store) == [row for row in before if row[2] == 1 or row[3] not in gone]

    @pytest.mark.parametrize("several", [False, True])
    def test_the_words_of_a_deleted_account_are_removed(self, store: Store, several: bool) -> None:
        batch = self.publish(store, 1, "a@x.org", "b@x.org", "c@x.org", **_JANE)
        self.index(store)
        before = self.stored(store)
        with store.write() as tx:
            if several:
                tx.accounts.delete_many([user_id_of(batch, 0), user_id_of(batch, 2)])
            else:
                tx.accounts.delete(user_id_of(batch, 0))
        stays = {1} if several else {1, 2}
        assert self.stored(store) == [row for row in before if row[3] in stays]

    def test_an_account_that_is_deleted_before_it_is_indexed_gets_no_words(
        self, store: Store
    ) -> None:
        batch = self.publish(store, 1, "a@x.org", "b@x.org", **_JANE)
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
        batch = self.publish(store, 1, "a@x.org", "b@x.org", **_JANE)
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

    def test_an_account_that_is_changed_before_it_is_indexed_gets_its_new_words(
        self, store: Store
    ) -> None:
        batch = self.publish(store, 1, "a@x.org", **_JANE)
        self.set_name(store, user_id_of(batch, 0), "Joe")
        assert self.stored(store) == []
        self.index(store)
        assert self.words(store, 0) == ["a", "joe", "org", "x"]

    def test_a_change_that_fails_leaves_the_words(self, store: Store) -> None:
        batch = self.publish(store, 1, "a@x.org", **_JANE)
        self.index(store)
        before = self.stored(store)

        def fail() -> None:
            with store.write() as tx:
                tx.accounts.delete(user_id_of(batch, 0))
                raise RuntimeError

        with pytest.raises(RuntimeError):
            fail()
        assert self.stored(store) == before

    @pytest.mark.parametrize("change", ["delete", "rename"])
    def test_a_change_during_the_filling_leaves_no_old_word(
        self, store: Store, change: str
    ) -> None:
        batch = self.publish(store, 1, "a@x.org", "b@x.org", **_JANE)
        user_id = user_id_of(batch, 0)

        def work() -> None:
            if change == "rename":
                return self.set_name(store, user_id, "Joe")
            with store.write() as tx:
                tx.accounts.delete(user_id)
            return None

        with ThreadPoolExecutor(1) as pool:
            with store.write() as tx:
                accounts, end = tx.words.list_unindexed(tx.words.lock().watermark, 10)
                working = pool.submit(work)
                with pytest.raises(TimeoutError):
                    working.result(0.2)
                tx.words.fill(accounts, end, "tests", 7)
            working.result(20)
        assert self.words(store, 0) == (["a", "joe", "org", "x"] if change == "rename" else [])
        assert self.words(store, 1) == ["ann", "b", "doe", "jane", "org", "x"]


class RangeRules(WordSteps):
    """Ranges of words are read in blocks, with the accounts up to a watermark."""

    def test_a_range_has_the_words_of_one_kind_in_order(self, store: Store) -> None:
        self._publish_names(store, ["Jan", "Jane", "Janet", "Jo", "Ann", "Jane"])
        assert self._range(store, "jan", "jao") == [
            ("jan", 0),
            ("jane", 1),
            ("jane", 5),
            ("janet", 2),
        ]
        assert self._range(store, "jane", None) == [
            ("jane", 1),
            ("jane", 5),
            ("janet", 2),
            ("jo", 3),
        ]
        assert self._range(store, "jp", None) == []
        assert self._range(store, "org", "org\x01", is_leading=False) == [
            ("org", at) for at in range(6)
        ]

    def test_blocks_of_a_range_have_each_row_once(self, store: Store) -> None:
        self._publish_names(store, ["Jan", "Jane", "Janet", "Jo", "Ann", "Jane"])
        with store.read() as tx:
            found: list[FoundWord] = []
            after = None
            while block := self._block(tx, "a", None, after=after, limit=2):
                assert len(block) <= 2
                found += block
                after = (block[-1].word, block[-1].publication, block[-1].position)
        assert [(row.word, row.position) for row in found] == self._range(store, "a", None)
        assert len(found) == 6

    def test_the_rows_of_a_range_are_counted_up_to_a_limit(self, store: Store) -> None:
        self._publish_names(store, ["Jan", "Jane", "Janet", "Jo", "Ann", "Jane"])
        with store.read() as tx:
            for first, end, limit, count in [
                ("jan", "jao", 9, 4),
                ("jan", "jao", 4, 4),
                ("jan", "jao", 3, 3),
                ("jane", "jane\x01", 9, 2),
                ("jane", None, 9, 4),
                ("jp", None, 9, 0),
            ]:
                found = tx.words.count(is_leading=True, first=first, end=end, limit=limit)
                assert found == count
            assert tx.words.count(is_leading=False, first="org", end="orh", limit=9) == 6

    def test_words_sort_by_their_characters_in_every_database(self, store: Store) -> None:
        names = ["z", "é", "ß", "a", "山", "\U0001d6c2", "e\u0301e", "Z", "\uff41"]
        self._publish_names(store, names)
        words = [word for word, _ in self._range(store, "a", None)]
        assert words == sorted(words)
        assert len(words) == len(names)

    def test_each_row_has_its_account(self, store: Store) -> None:
        fields = {"lastname": "Doe", "title": "CTO", "is_sso_user": True}
        batch = self.publish(store, 1, "A@x.org", "b@x.org", **fields)
        with store.write() as tx:
            tx.accounts.set_password(user_id_of(batch, 1), "hash", None)
            tx.accounts.set_role(user_id_of(batch, 1), "owner")
            tx.accounts.set_suspended(user_id_of(batch, 1), 7)
        self.index(store)
        with store.read() as tx:
            first, second = (row.user for row in self._block(tx, "jane", "janf"))
        assert first == FoundUserRecord(
            user_id=user_id_of(batch, 0),
            email="A@x.org",
            name="Jane",
            created_at=5_000,
            permission_level="collaborator",
            suspended_at=None,
            lastname="Doe",
            title="CTO",
            is_sso_user=True,
            email_key="a@x.org",
            publication=1,
            has_password=False,
        )
        assert second
        assert (first.place, second.place) == (Place(1, 0), Place(1, 1))
        assert (second.has_password, second.permission_level, second.suspended_at) == (
            True,
            "owner",
            7,
        )

    def test_accounts_beyond_the_watermark_of_a_search_are_left_out(self, store: Store) -> None:
        for number in (1, 2):
            self.publish(store, number, *(f"u{at}@{number}.org" for at in range(3)))
        self.index(store)
        with store.read() as tx:
            rows = self._block(tx, "jane", None, watermark=Place(2, 1))
        assert [(row.publication, row.position) for row in rows] == [
            (number, at) for number in (1, 2) for at in range(3)
        ]
        assert [row.user.email if row.user else None for row in rows] == [
            *("u0@1.org", "u1@1.org", "u2@1.org"),
            *("u0@2.org", "u1@2.org", None),
        ]

    def _publish_names(self, store: Store, names: Sequence[str]) -> None:
        batch = self.add(store, 1)
        users = [user_row(batch, at, f"u{at}@x.org", name=name) for at, name in enumerate(names)]
        with store.write() as tx:
            assert tx.users.insert(batch.id, rows_of(users)) == []
        self.end(store, batch, "published")
        self.index(store)

    def _range(
        self, store: Store, first: str, end: str | None, *, is_leading: bool = True
    ) -> list[tuple[str, int]]:
        with store.read() as tx:
            rows = self._block(tx, first, end, is_leading=is_leading)
        return [(row.word, row.position) for row in rows]

    def _block(
        self,
        tx: Transaction,
        first: str,
        end: str | None,
        *,
        is_leading: bool = True,
        after: tuple[str, int, int] | None = None,
        watermark: Place = _EVERYWHERE,
        limit: int = 100,
    ) -> list[FoundWord]:
        return tx.words.range(
            is_leading=is_leading,
            first=first,
            end=end,
            after=after,
            watermark=watermark,
            limit=limit,
        )


class WordRules(FillingRules, ChangedWordRules, RangeRules):
    """Every rule of the index of words."""
