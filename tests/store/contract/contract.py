"""The rules of `base.Transaction` as tests, for every store that there is or will be.

    class TestMyStore(StoreContract):
        @pytest.fixture
        def store(self) -> Iterator[Store]: ...

        @pytest.fixture
        def set_schema(self) -> Callable[[int], None]: ...

Only tests import this module: it needs pytest.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import sleep
from typing import Any

import pytest
from tests.store.contract.accounts import AccountRules
from tests.store.contract.audit_and_tokens import KeyRules
from tests.store.contract.batches import BatchRules
from tests.store.contract.people import PeopleRules
from tests.store.contract.removal import RemovalRules
from tests.store.contract.sign_in import SignInRules
from tests.store.contract.steps import StoreSteps, batch_row, page_row, rows_of, user_row
from tests.store.contract.together import TogetherRules

from anyscale.errors import StoreUnavailable
from anyscale.server.store.interface import AuditRecord, Store

__all__ = ["StoreContract"]


class TransactionRules(StoreSteps):
    """A transaction is there as a whole or not at all, and writers take turns."""

    def test_what_was_written_is_there_after_the_block(self, store: Store) -> None:
        batch = self.add(store, 1)
        assert batch.id > 0
        with store.read() as rows:
            assert rows.batch(batch.batch_id) == batch
            assert rows.batch("bat_none") is None

    @pytest.mark.parametrize("kind", [RuntimeError, KeyboardInterrupt, SystemExit])
    def test_a_failure_in_the_block_leaves_nothing(
        self, store: Store, kind: type[BaseException]
    ) -> None:
        def fail() -> None:
            with store.write() as rows:
                batch = rows.add_batch(batch_row(1))
                assert batch
                rows.insert_users(batch.id, rows_of([user_row(batch, 0, "a@x.org")]))
                rows.save_page(batch.id, page_row(0), [])
                rows.add_audit([AuditRecord(1, 1, "a", "e", "s", "{}", b"hash")])
                raise kind

        with pytest.raises(kind):
            fail()
        with store.read() as rows:
            assert self.batches(rows) == []
            assert rows.owners(["a@x.org"]) == []
            assert rows.last_audit() is None
        assert self.add(store, 1).batch_id == batch_row(1).batch_id

    def test_a_reader_sees_one_state_whatever_is_written_meanwhile(self, store: Store) -> None:
        self.add(store, 1)
        with store.read() as rows:
            before = self.batches(rows)
            self.add(store, 2)
            assert self.batches(rows) == before
        with store.read() as rows:
            assert len(self.batches(rows)) == 2

    def test_nobody_sees_what_a_transaction_has_not_ended(self, store: Store) -> None:
        with store.write() as writing:
            writing.add_batch(batch_row(1))
            with store.read() as rows:
                assert self.batches(rows) == []

    def test_whoever_holds_a_batch_alone_waits_for_those_who_hold_it_beside_others(
        self, store: Store
    ) -> None:
        batch = self.add(store, 1)
        happened = []

        def publish() -> None:
            with store.write() as rows:
                rows.hold_batch(batch.batch_id, alone=True)
                happened.append("alone")

        with ThreadPoolExecutor(1) as pool:
            with store.write() as rows:
                assert rows.hold_batch(batch.batch_id, alone=False) == batch
                publishing = pool.submit(publish)
                sleep(0.1)
                happened.append("beside others")
            publishing.result()
        assert happened == ["beside others", "alone"]

    def test_a_batch_that_does_not_exist_is_not_held(self, store: Store) -> None:
        with store.write() as rows:
            assert rows.hold_batch("bat_none", alone=True) is None
            assert rows.hold_batch("bat_none", alone=False) is None

    def test_no_writer_overlooks_what_another_one_wrote(self, store: Store) -> None:
        batch = self.add(store, 1, at=0)

        def count(_: int) -> None:
            with store.write() as rows:
                found = rows.hold_batch(batch.batch_id, alone=True)
                assert found
                sleep(0.001)
                rows.touch(batch.id, found.touched_at + 1)

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(count, range(24)))
        with store.read() as rows:
            found = rows.batch(batch.batch_id)
        assert found
        assert found.touched_at == 24

    def test_many_threads_read_at_once(self, store: Store) -> None:
        batch = self.add(store, 1)

        def look(_: int) -> bool:
            with store.read() as rows:
                return rows.batch(batch.batch_id) == batch

        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(look, range(400)))


class ClaimRules(StoreSteps):
    """`insert_users` inserts what is free and tells who has the rest."""

    def test_free_emails_are_inserted(self, store: Store, claim: Any) -> None:
        batch = self.add(store, 1)
        assert claim(batch, "a@x.org", "b@x.org") == []
        with store.read() as rows:
            owners = rows.owners(["a@x.org", "b@x.org", "c@x.org"])
        assert sorted(owner.email_key for owner in owners) == ["a@x.org", "b@x.org"]
        assert {(o.batch_id, o.state, o.opened_by, o.opened_at) for o in owners} == {
            (batch.batch_id, "open", "local:jane", 1_000)
        }

    def test_a_row_that_is_there_already_counts_as_inserted(self, store: Store, claim: Any) -> None:
        batch = self.add(store, 1)
        claim(batch, "a@x.org", "b@x.org")
        assert claim(batch, "a@x.org", "b@x.org") == []
        assert claim(batch, "a@x.org", "b@x.org", "c@x.org") == []

    @pytest.mark.parametrize("state", ["open", "published"])
    def test_a_taken_email_gives_its_owner_and_the_others_are_inserted(
        self, store: Store, claim: Any, state: str
    ) -> None:
        holder, batch = self.add(store, 1), self.add(store, 2)
        claim(holder, "b@x.org")
        if state != "open":
            self.end(store, holder, state)
        (owner,) = claim(batch, "a@x.org", "b@x.org", "c@x.org")
        assert (owner.email_key, owner.batch_id, owner.state) == ("b@x.org", holder.batch_id, state)
        with store.read() as rows:
            mine = rows.owners(["a@x.org", "c@x.org"])
        assert [owner.batch_id for owner in mine] == [batch.batch_id] * 2

    @pytest.mark.parametrize("state", ["dropped", "expired"])
    def test_rows_of_ended_batches_make_way(self, store: Store, claim: Any, state: str) -> None:
        ended, live, batch = (self.add(store, number) for number in (1, 2, 3))
        claim(ended, "a@x.org", "b@x.org")
        claim(live, "c@x.org")
        self.end(store, ended, state)
        with store.read() as rows:
            assert rows.owners(["a@x.org", "b@x.org"]) == []
        owners = claim(batch, "a@x.org", "b@x.org", "c@x.org", "d@x.org")
        assert [owner.batch_id for owner in owners] == [live.batch_id]
        with store.read() as rows:
            taken = rows.owners(["a@x.org", "b@x.org", "d@x.org"])
        assert [owner.batch_id for owner in taken] == [batch.batch_id] * 3

    def test_the_first_of_two_equal_emails_in_one_call_gets_it(
        self, store: Store, claim: Any
    ) -> None:
        batch = self.add(store, 1)
        for _ in range(2):  # the second call finds what the first one left
            owners = claim(batch, "a@x.org", "B@x.org", "b@x.org")
            (owner,) = [owner for owner in owners if owner.email_key == "b@x.org"]
            assert owner.user_id == user_row(batch, 1, "").user_id
        with store.read() as rows:
            assert len(rows.owners(["a@x.org", "b@x.org"])) == 2

    def test_each_call_of_a_transaction_tells_of_its_own_rows(self, store: Store) -> None:
        batch = self.add(store, 1)
        first, same, other = (user_row(batch, at, f"u{at // 2}@x.org") for at in range(3))
        with store.write() as rows:
            assert rows.insert_users(batch.id, rows_of([first])) == []
            assert [owner.user_id for owner in rows.insert_users(batch.id, rows_of([same]))] == [
                first.user_id
            ]
            assert rows.insert_users(batch.id, rows_of([other])) == []
            assert rows.insert_users(batch.id, rows_of([other])) == []

    def test_a_page_of_thousands_is_inserted_and_names_each_owner(
        self, store: Store, claim: Any
    ) -> None:
        holder, batch = self.add(store, 1), self.add(store, 2)
        taken = [f"u{number}@x.org" for number in range(0, 2_500, 7)]
        claim(holder, *taken)
        owners = claim(batch, *(f"u{number}@x.org" for number in range(2_500)))
        assert sorted(owner.email_key for owner in owners) == sorted(taken)
        with store.read() as rows:
            assert len(rows.owners([f"u{number}@x.org" for number in range(2_500)])) == 2_500


class ReadyRules(StoreSteps):
    """A store is ready when its schema is the one that this version knows."""

    def test_a_store_that_is_set_up_is_ready(self, store: Store) -> None:
        store.ready()
        store.ready()

    def test_a_store_is_not_ready_for_a_schema_that_is_not_ours(
        self, store: Store, set_schema: Callable[[int], None]
    ) -> None:
        set_schema(99)
        with pytest.raises(StoreUnavailable, match="schema 99, and this version knows") as caught:
            store.ready()
        assert not caught.value.begun
        set_schema(1)
        with pytest.raises(StoreUnavailable, match="schema 1, and this version needs"):
            store.ready()


class ClosingRules(StoreSteps):
    """A store that is closed begins nothing, and what it began is finished."""

    def test_a_store_that_is_closed_refuses_each_call(self, store: Store) -> None:
        store.ready()
        store.close()
        calls: list[Callable[[], object]] = [
            store.ready,
            lambda: store.is_blank,
            lambda: store.read().__enter__(),
            lambda: store.write().__enter__(),
        ]
        for call in calls:
            with pytest.raises(StoreUnavailable, match="is closed") as caught:
                call()
            assert not caught.value.begun
        store.close()

    def test_a_reader_that_had_begun_ends_as_if_nothing_were(self, store: Store) -> None:
        batch = self.add(store, 1)
        with store.read() as rows:
            store.close()
            assert rows.batch(batch.batch_id) == batch


class StoreContract(
    TransactionRules,
    ReadyRules,
    ClosingRules,
    ClaimRules,
    BatchRules,
    AccountRules,
    KeyRules,
    PeopleRules,
    RemovalRules,
    SignInRules,
    TogetherRules,
):
    """Every rule.

    A subclass gives the fixtures `store`, which is empty and set up, and `set_schema`, which writes
    another number of a schema into its database.
    """
