"""The rules of `transaction.Transaction` as tests, for every store.

class TestMyStore(StoreContract):
    @pytest.fixture
    def store(self) -> Iterator[Store]: ...

    @pytest.fixture
    def store_with_provider(self) -> Iterator[Store]: ...  # on the same database

    @pytest.fixture
    def set_schema(self) -> Callable[[int], None]: ...
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import sleep
from typing import Any

import pytest
from tests.store.contract.accounts import AccountRules
from tests.store.contract.audit_and_tokens import AuditAndTokenRules, ServerKeyRules
from tests.store.contract.batches import BatchRules
from tests.store.contract.deletion import DeletionRules
from tests.store.contract.emails import EmailRules
from tests.store.contract.external_ids import ExternalIdRules
from tests.store.contract.factors import FactorRules
from tests.store.contract.mail import MailRules
from tests.store.contract.publications import FoldedLastnameRules, PublicationRules
from tests.store.contract.sessions_and_credentials import SignInRules
from tests.store.contract.steps import StoreSteps, batch_row, chunk_row, rows_of, user_row
from tests.store.contract.syncs import SyncRules
from tests.store.contract.users import UserRules
from tests.store.contract.word_changes import ChangedWordRules
from tests.store.contract.word_ranges import RangeRules
from tests.store.contract.words import FillingRules
from tests.store.openid_rules import OpenIdRules
from tests.support.databases.locks import wait_until_blocked

from anyscale.errors import StoreUnavailable
from anyscale.server.store.records.audit import AuditRecord
from anyscale.server.store.transaction import Store


class TransactionRules(StoreSteps):
    """A transaction is committed as a whole or not at all, and locks serialize writers."""

    def test_a_write_is_visible_after_the_block(self, store: Store) -> None:
        batch = self.add(store, 1)
        assert batch.id > 0
        with store.read() as tx:
            assert tx.batches.get(batch.batch_id) == batch
            assert tx.batches.get("bat_none") is None

    @pytest.mark.parametrize("kind", [RuntimeError, KeyboardInterrupt, SystemExit])
    def test_a_failure_in_the_block_leaves_nothing(
        self, store: Store, kind: type[BaseException]
    ) -> None:
        def fail() -> None:
            with store.write() as tx:
                batch = tx.batches.add(batch_row(1))
                assert batch
                tx.users.insert(batch.id, rows_of([user_row(batch, 0, "a@x.org")]))
                tx.chunks.save(batch.id, chunk_row(0), [])
                tx.audit.add(AuditRecord(1, 1, "a", "e", "s", "{}", b"hash"))
                raise kind

        with pytest.raises(kind):
            fail()
        with store.read() as tx:
            assert self.batches(tx) == []
            assert tx.users.find_holders(["a@x.org"]) == []
            assert tx.audit.get_last() is None
        assert self.add(store, 1).batch_id == batch_row(1).batch_id

    def test_a_transaction_that_is_not_durable_is_committed_as_a_whole_or_not_at_all(
        self, store: Store
    ) -> None:
        def fail() -> None:
            with store.write(durable=False) as tx:
                tx.batches.add(batch_row(1))
                raise RuntimeError

        with pytest.raises(RuntimeError):
            fail()
        with store.write(durable=False) as tx:
            tx.batches.add(batch_row(2))
        with store.read() as tx:
            assert [batch.batch_id for batch in self.batches(tx)] == [batch_row(2).batch_id]

    @pytest.mark.parametrize("patience", [0, 0.05])
    def test_a_write_waits_for_others_no_longer_than_it_wants(
        self, store: Store, patience: float
    ) -> None:
        def write(patience: float = patience) -> None:
            with store.write(patience=patience) as tx:
                tx.words.lock()

        with ThreadPoolExecutor(1) as pool:
            with store.write() as tx:
                tx.words.lock()
                waiting = pool.submit(write)
                with pytest.raises(StoreUnavailable, match="for too long"):
                    waiting.result(30)
            pool.submit(write, 5).result(30)

    def test_a_reader_sees_one_state_whatever_is_written_meanwhile(self, store: Store) -> None:
        self.add(store, 1)
        with store.read() as tx:
            before = self.batches(tx)
            self.add(store, 2)
            assert self.batches(tx) == before
        with store.read() as tx:
            assert len(self.batches(tx)) == 2

    def test_a_reader_sees_no_write_before_its_commit(self, store: Store) -> None:
        with store.write() as writing:
            writing.batches.add(batch_row(1))
            with store.read() as tx:
                assert self.batches(tx) == []

    def test_an_exclusive_lock_on_a_batch_waits_for_shared_ones(self, store: Store) -> None:
        batch = self.add(store, 1)
        happened = []

        def publish() -> None:
            with store.write() as tx:
                tx.batches.lock(batch.batch_id, exclusive=True)
                happened.append("exclusive")

        with ThreadPoolExecutor(1) as pool:
            with store.write() as tx:
                assert tx.batches.lock(batch.batch_id, exclusive=False) == batch
                publishing = pool.submit(publish)
                wait_until_blocked(store, tx)
                happened.append("shared")
            publishing.result()
        assert happened == ["shared", "exclusive"]

    def test_a_lock_on_a_batch_that_does_not_exist_returns_none(self, store: Store) -> None:
        with store.write() as tx:
            assert tx.batches.lock("bat_none", exclusive=True) is None
            assert tx.batches.lock("bat_none", exclusive=False) is None

    def test_an_exclusive_lock_shows_what_the_previous_writer_committed(self, store: Store) -> None:
        batch = self.add(store, 1, at=0)

        def count(_: int) -> None:
            with store.write() as tx:
                found = tx.batches.lock(batch.batch_id, exclusive=True)
                assert found
                sleep(0.001)
                tx.batches.touch(batch.id, found.touched_at + 1)

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(count, range(24)))
        with store.read() as tx:
            found = tx.batches.get(batch.batch_id)
        assert found
        assert found.touched_at == 24

    def test_many_threads_read_at_once(self, store: Store) -> None:
        batch = self.add(store, 1)

        def look(_: int) -> bool:
            with store.read() as tx:
                return tx.batches.get(batch.batch_id) == batch

        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(look, range(400)))


class InsertRules(StoreSteps):
    """`users.insert` inserts users with free emails and returns the holders of the others."""

    def test_free_emails_are_inserted(self, store: Store, reserve: Any) -> None:
        batch = self.add(store, 1)
        assert reserve(batch, "a@x.org", "b@x.org") == []
        with store.read() as tx:
            owners = tx.users.find_holders(["a@x.org", "b@x.org", "c@x.org"])
        assert sorted(owner.email_key for owner in owners) == ["a@x.org", "b@x.org"]
        assert {(o.batch_id, o.state, o.opened_by, o.opened_at) for o in owners} == {
            (batch.batch_id, "open", "local:jane", 1_000)
        }

    def test_a_row_that_exists_already_counts_as_inserted(self, store: Store, reserve: Any) -> None:
        batch = self.add(store, 1)
        reserve(batch, "a@x.org", "b@x.org")
        assert reserve(batch, "a@x.org", "b@x.org") == []
        assert reserve(batch, "a@x.org", "b@x.org", "c@x.org") == []

    @pytest.mark.parametrize("state", ["open", "published"])
    def test_the_holder_of_a_taken_email_is_returned_and_the_others_are_inserted(
        self, store: Store, reserve: Any, state: str
    ) -> None:
        holder, batch = self.add(store, 1), self.add(store, 2)
        reserve(holder, "b@x.org")
        if state != "open":
            self.end(store, holder, state)
        (owner,) = reserve(batch, "a@x.org", "b@x.org", "c@x.org")
        assert (owner.email_key, owner.batch_id, owner.state) == ("b@x.org", holder.batch_id, state)
        with store.read() as tx:
            mine = tx.users.find_holders(["a@x.org", "c@x.org"])
        assert [owner.batch_id for owner in mine] == [batch.batch_id] * 2

    @pytest.mark.parametrize("state", ["dropped", "expired"])
    def test_rows_of_dropped_and_expired_batches_are_deleted_for_new_ones(
        self, store: Store, reserve: Any, state: str
    ) -> None:
        dropped, live, batch = (self.add(store, number) for number in (1, 2, 3))
        reserve(dropped, "a@x.org", "b@x.org")
        reserve(live, "c@x.org")
        self.end(store, dropped, state)
        with store.read() as tx:
            assert tx.users.find_holders(["a@x.org", "b@x.org"]) == []
        owners = reserve(batch, "a@x.org", "b@x.org", "c@x.org", "d@x.org")
        assert [owner.batch_id for owner in owners] == [live.batch_id]
        with store.read() as tx:
            taken = tx.users.find_holders(["a@x.org", "b@x.org", "d@x.org"])
        assert [owner.batch_id for owner in taken] == [batch.batch_id] * 3

    def test_the_first_of_two_equal_emails_in_one_call_gets_it(
        self, store: Store, reserve: Any
    ) -> None:
        batch = self.add(store, 1)
        for _ in range(2):  # the second call finds what the first one left
            owners = reserve(batch, "a@x.org", "B@x.org", "b@x.org")
            (owner,) = [owner for owner in owners if owner.email_key == "b@x.org"]
            assert owner.user_id == user_row(batch, 1, "").user_id
        with store.read() as tx:
            assert len(tx.users.find_holders(["a@x.org", "b@x.org"])) == 2

    def test_each_insert_of_a_transaction_returns_holders_for_its_own_rows(
        self, store: Store
    ) -> None:
        batch = self.add(store, 1)
        first, same, other = (user_row(batch, at, f"u{at // 2}@x.org") for at in range(3))
        with store.write() as tx:
            assert tx.users.insert(batch.id, rows_of([first])) == []
            assert [owner.user_id for owner in tx.users.insert(batch.id, rows_of([same]))] == [
                first.user_id
            ]
            assert tx.users.insert(batch.id, rows_of([other])) == []
            assert tx.users.insert(batch.id, rows_of([other])) == []

    def test_of_thousands_of_rows_each_holder_is_returned(self, store: Store, reserve: Any) -> None:
        holder, batch = self.add(store, 1), self.add(store, 2)
        taken = [f"u{number}@x.org" for number in range(0, 2_500, 7)]
        reserve(holder, *taken)
        owners = reserve(batch, *(f"u{number}@x.org" for number in range(2_500)))
        assert sorted(owner.email_key for owner in owners) == sorted(taken)
        with store.read() as tx:
            assert (
                len(tx.users.find_holders([f"u{number}@x.org" for number in range(2_500)])) == 2_500
            )


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
        assert not caught.value.outcome_unknown
        set_schema(0)
        with pytest.raises(StoreUnavailable, match="schema 0, and this version needs"):
            store.ready()


class ClosingRules(StoreSteps):
    """A closed store starts no transaction, and finishes those in progress."""

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
            assert not caught.value.outcome_unknown
        store.close()

    def test_a_read_in_progress_finishes_when_the_store_is_closed(self, store: Store) -> None:
        batch = self.add(store, 1)
        with store.read() as tx:
            store.close()
            assert tx.batches.get(batch.batch_id) == batch


class StoreContract(
    TransactionRules,
    ReadyRules,
    ClosingRules,
    InsertRules,
    BatchRules,
    PublicationRules,
    FoldedLastnameRules,
    UserRules,
    AccountRules,
    DeletionRules,
    ExternalIdRules,
    FactorRules,
    EmailRules,
    SignInRules,
    MailRules,
    AuditAndTokenRules,
    ServerKeyRules,
    SyncRules,
    FillingRules,
    ChangedWordRules,
    RangeRules,
    OpenIdRules,
):
    """Every rule.

    A subclass has the fixtures `store`, which is empty and migrated, and `set_schema`, which writes
    another schema version into its database.
    """
