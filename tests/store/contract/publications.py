"""The rules of the order of publishing, and of folded last names: see `interface.Transaction`."""

from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import pytest
from tests.store.contract.steps import StoreSteps, rows_of, user_id_of, user_row
from tests.support.databases.locks import wait_until_blocked
from tests.support.databases.stored_data import execute_sql

from anyscale.server.store.transaction import Store


class PublicationRules(StoreSteps):
    """The publication of each batch is one more than that of the batch before."""

    def test_batches_are_numbered_in_the_order_of_publishing(self, store: Store) -> None:
        first, dropped, second, is_open, third = (self.add(store, at) for at in range(1, 6))
        self.end(store, dropped, "dropped")
        for batch in (third, first, dropped, second, first):
            self.end(store, batch, "published")
        assert self._publications(store) == {
            third.batch_id: 1,
            first.batch_id: 2,
            second.batch_id: 3,
            dropped.batch_id: None,
            is_open.batch_id: None,
        }

    def test_of_batches_that_are_published_at_once_the_second_waits_for_the_first(
        self, store: Store
    ) -> None:
        first, second = self.add(store, 1), self.add(store, 2)
        has_published = Event()

        def publish_second() -> None:
            has_published.wait(30)
            self.end(store, second, "published")

        with ThreadPoolExecutor(1) as pool:
            publishing = pool.submit(publish_second)
            with store.write() as tx:
                tx.batches.publish(first.id, "local:joe", 5_000)
                has_published.set()
                wait_until_blocked(store, tx)
            publishing.result(30)
        assert self._publications(store) == {first.batch_id: 1, second.batch_id: 2}

    def test_a_transaction_that_fails_leaves_no_gap(self, store: Store) -> None:
        first, second = self.add(store, 1), self.add(store, 2)

        def fail() -> None:
            with store.write() as tx:
                tx.batches.publish(first.id, "local:joe", 5_000)
                raise RuntimeError

        with pytest.raises(RuntimeError):
            fail()
        self.end(store, second, "published")
        assert self._publications(store) == {first.batch_id: None, second.batch_id: 1}

    def _publications(self, store: Store) -> dict[str, int | None]:
        with store.read() as tx:
            return {batch.batch_id: batch.publication for batch in self.batches(tx)}


class FoldedLastnameRules(StoreSteps):
    """A last name that is not ASCII is stored casefolded too, however it is stored."""

    LASTNAMES = ("Doe", "STRASSE", "Straße", None, "JÖRG")
    FOLDED = (None, None, "strasse", None, "jörg\x01jorg\x01joerg")

    @pytest.mark.parametrize("taken", [False, True])
    def test_the_lastname_of_a_new_user_is_folded(
        self, store: Store, reserve: Any, taken: bool
    ) -> None:
        batch = self.add(store, 1)
        users = [
            user_row(batch, at, f"u{at}@x.org", lastname=lastname)
            for at, lastname in enumerate(self.LASTNAMES)
        ]
        if taken:  # PostgreSQL then inserts the others in another way
            reserve(self.add(store, 2), "taken@x.org")
            users.append(user_row(batch, 9, "taken@x.org"))
        with store.write() as tx:
            assert len(tx.users.insert(batch.id, rows_of(users))) == taken
        self.end(store, batch, "published")
        assert self._folded(store) == list(zip(self.LASTNAMES, self.FOLDED, strict=True))

    def test_the_new_lastname_of_an_account_is_folded(self, store: Store) -> None:
        batch = self.publish(store, 1, "a@x.org", lastname="Strauß")
        for lastname, folded in zip(self.LASTNAMES, self.FOLDED, strict=True):
            with store.write() as tx:
                tx.accounts.set_details(
                    user_id_of(batch, 0),
                    name="Jane",
                    lastname=lastname,
                    title=None,
                    is_sso_user=False,
                )
            assert self._folded(store) == [(lastname, folded)]

    def _folded(self, store: Store) -> list[tuple[str | None, str | None]]:
        sql = "select lastname, lastname_folded from live_users order by user_id"
        with store.read() as tx:
            return [tuple(row) for row in execute_sql(tx, sql).fetchall()]
