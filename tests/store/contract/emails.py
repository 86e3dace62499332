"""The rules of the emails that accounts get and had: see `interface.Transaction`."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from msgspec import structs
from tests.store.contract.steps import chunk_row, rows_of, user_id_of, user_row
from tests.store.contract.words import JANE, WordSteps
from tests.support.databases.locks import wait_until_blocked
from tests.support.databases.stored_data import execute_sql

from anyscale.server.store.records.batches import BatchRecord, ConflictRecord
from anyscale.server.store.records.users import FreedEmailRecord, NewEmail
from anyscale.server.store.transaction import Store, Transaction


def _new(batch: BatchRecord, *emails: str) -> list[NewEmail]:
    """Return new emails for the first accounts of a batch."""
    return [NewEmail(user_id_of(batch, at), text, text.lower()) for at, text in enumerate(emails)]


def _change(tx: Transaction, new: Sequence[NewEmail], at: int = 7_000) -> list[str]:
    """Change emails, unless some are taken; return the ids of the rows that have those."""
    tx.accounts.lock([one.user_id for one in new])
    holders = tx.emails.reserve(new)
    if not holders:
        tx.emails.replace(new, at)
    return [holder.user_id for holder in holders]


class EmailRules(WordSteps):
    """An email belongs to one row, and accounts keep what they had."""

    def test_an_account_with_another_email_is_found_by_that_one_alone(self, store: Store) -> None:
        batch = self.publish(store, 1, "a@x.org", "b@x.org", **JANE)
        before = [self.account(store, user_id_of(batch, at)) for at in range(2)]
        for email in ("Ann@x.org", "ÄNN@x.org", "c@x.org"):
            with store.write() as tx:
                assert _change(tx, _new(batch, email)) == []
            with store.read() as tx:
                changed = structs.replace(before[0], email=email)
                assert (
                    tx.accounts.find(email.lower()) == tx.accounts.get(changed.user_id) == changed
                )
                assert self.live(tx, email=email.lower()) == [email]
                assert tx.accounts.find("a@x.org") is None
                assert tx.accounts.find("b@x.org") == before[1]

    def test_the_holders_of_emails_that_are_taken_are_returned(
        self, store: Store, reserve: Any
    ) -> None:
        batch, reserved = self.publish(store, 1, "a@x.org", "b@x.org"), self.add(store, 2)
        reserve(reserved, "c@x.org")
        for email, holder in (
            ("B@x.org", user_id_of(batch, 1)),
            ("c@x.org", user_id_of(reserved, 0)),
        ):
            with store.write() as tx:
                assert _change(tx, _new(batch, email)) == [holder]
        with store.write() as tx:
            assert _change(tx, _new(batch, "c@x.org", "d@x.org")) == [user_id_of(reserved, 0)]
        with store.read() as tx:
            assert self.live(tx) == ["a@x.org", "b@x.org"]

    @pytest.mark.parametrize("state", ["dropped", "expired"])
    def test_an_email_of_a_dropped_or_expired_batch_is_free(
        self, store: Store, reserve: Any, state: str
    ) -> None:
        batch, dropped = self.publish(store, 1, "a@x.org"), self.add(store, 2)
        reserve(dropped, "b@x.org", "c@x.org")
        self.end(store, dropped, state)
        with store.write() as tx:
            assert _change(tx, _new(batch, "b@x.org")) == []
        with store.read() as tx:
            assert self.live(tx) == ["b@x.org"]
            assert execute_sql(tx, "select count(*) from users").fetchone()[0] == 2

    @pytest.mark.parametrize(
        "emails",
        [
            ("b@x.org", "a@x.org"),
            ("b@x.org", "c@x.org", "a@x.org"),
            ("b@x.org", "c@x.org", "d@x.org"),
        ],
    )
    def test_accounts_exchange_their_emails_in_one_transaction(
        self, store: Store, emails: Sequence[str]
    ) -> None:
        batch = self.publish(store, 1, *[f"{letter}@x.org" for letter in "abc"[: len(emails)]])
        with store.write() as tx:
            assert _change(tx, _new(batch, *emails)) == []
        found = [self.account(store, one.user_id).email for one in _new(batch, *emails)]
        assert found == [*emails]

    def test_a_failed_transaction_reserves_and_frees_no_email(self, store: Store) -> None:
        batch = self.publish(store, 1, "a@x.org")

        def fail() -> None:
            with store.write() as tx:
                assert _change(tx, _new(batch, "b@x.org")) == []
                raise RuntimeError

        with pytest.raises(RuntimeError):
            fail()
        with store.read() as tx:
            assert self.live(tx) == ["a@x.org"]
            assert tx.emails.list_freed(["a@x.org", "b@x.org"], 0) == []
            assert execute_sql(tx, "select count(*) from users").fetchone()[0] == 1

    def test_a_former_email_is_freed_until_the_account_has_it_again(self, store: Store) -> None:
        batch = self.publish(store, 1, "a@x.org")
        account = user_id_of(batch, 0)
        history: list[tuple[str, dict[str, int]]] = [
            ("A@x.org", {}),
            ("b@x.org", {"a@x.org": 1}),
            ("c@x.org", {"a@x.org": 1, "b@x.org": 2}),
            ("a@x.org", {"b@x.org": 2, "c@x.org": 3}),
            ("b@x.org", {"a@x.org": 4, "c@x.org": 3}),
        ]
        for at, (email, freed) in enumerate(history):
            with store.write() as tx:
                assert _change(tx, _new(batch, email), at) == []
            with store.read() as tx:
                found = tx.emails.list_freed([f"{letter}@x.org" for letter in "abc"], -1)
            assert sorted(found, key=lambda one: one.email_key) == [
                FreedEmailRecord(key, account, when) for key, when in sorted(freed.items())
            ]
        with store.read() as tx:
            assert tx.emails.list_freed(["a@x.org", "c@x.org"], 3)[0].freed_at == 4
            assert len(tx.emails.list_freed(["a@x.org", "c@x.org"], 3)) == 1

    def test_the_rows_of_a_batch_whose_emails_are_freed_are_deleted(
        self, store: Store, reserve: Any
    ) -> None:
        batch, later, other = (
            self.publish(store, 1, "a@x.org", "b@x.org"),
            *(self.add(store, n) for n in (2, 3)),
        )
        with store.write() as tx:
            _change(tx, _new(batch, "A2@x.org", "b2@x.org"), 7_000)
        reserve(later, "new@x.org", "a@x.org")
        reserve(other, "b@x.org")
        ids = user_id_of(later, 0), user_id_of(later, 9)
        with store.write() as tx:
            assert tx.emails.take_freed(later.id, *ids, 7_000) == []
            assert tx.emails.take_freed(later.id, user_id_of(later, 2), ids[1], 0) == []
            freed = FreedEmailRecord("a@x.org", user_id_of(batch, 0), 7_000)
            assert tx.emails.take_freed(later.id, *ids, 6_999) == [freed]
            assert tx.emails.take_freed(later.id, *ids, 6_999) == []
        for one in (later, other):
            self.end(store, one, "published")
        with store.read() as tx:
            assert self.live(tx) == ["A2@x.org", "b2@x.org", "new@x.org", "b@x.org"]

    @pytest.mark.parametrize("several", [False, True])
    def test_the_former_emails_of_a_deleted_account_are_deleted(
        self, store: Store, several: bool
    ) -> None:
        batch, report = self.publish(store, 1, "a@x.org", "b@x.org"), self.add(store, 2)
        conflicts = [
            ConflictRecord(at, f"{key}@x.org", f"{key}@x.org", "exists", None, None)
            for at, key in enumerate(("a", "b", "a2", "b2"))
        ]
        with store.write() as tx:
            tx.chunks.save(report.id, chunk_row(0, conflicts=4), conflicts)
            assert _change(tx, _new(batch, "a2@x.org", "b2@x.org")) == []
            if several:
                tx.accounts.delete_range(user_id_of(batch, 0), user_id_of(batch, 0))
            else:
                tx.accounts.delete(user_id_of(batch, 0))
        with store.read() as tx:
            freed = tx.emails.list_freed(["a@x.org", "b@x.org"], 0)
            assert [one.email_key for one in freed] == ["b@x.org"]
            left = [one.email for one in tx.chunks.list_conflicts(report.id, -1, 9)]
            assert left == ["", "b@x.org", "", "b2@x.org"]

    def test_the_freed_emails_of_a_deleted_account_stay_for_a_while(self, store: Store) -> None:
        batch = self.publish(store, 1, "a@x.org", "b@x.org")
        for email, at in (("a2@x.org", 5), ("a3@x.org", 7)):
            with store.write() as tx:
                assert _change(tx, _new(batch, email), at) == []
        keys = [f"{name}@x.org" for name in ("a", "a2", "a3", "b")]
        with store.write() as tx:
            tx.emails.free(user_id_of(batch, 0), 9, 5)
            tx.accounts.delete(user_id_of(batch, 0))
            freed = [FreedEmailRecord("a2@x.org", "", 7), FreedEmailRecord("a3@x.org", "", 9)]
            assert tx.emails.list_freed(keys, 0) == freed
        with store.write() as tx:
            assert _change(tx, [NewEmail(user_id_of(batch, 1), "a3@x.org", "a3@x.org")], 10) == []
            tx.emails.free(user_id_of(batch, 1), 11, 10)
            tx.accounts.delete(user_id_of(batch, 1))
            assert tx.emails.list_freed(keys, 0)[-1] == FreedEmailRecord("a3@x.org", "", 11)
            tx.emails.purge(7)
            assert tx.emails.list_freed(keys, 0) == [FreedEmailRecord("a3@x.org", "", 11)]

    def test_a_deletion_makes_no_email_free_earlier_than_another_account_gave_it_up(
        self, store: Store
    ) -> None:
        batch = self.publish(store, 1, "a@x.org", "b@x.org")
        first, second = (user_id_of(batch, at) for at in range(2))
        with store.write() as tx:
            assert _change(tx, [NewEmail(first, "a2@x.org", "a2@x.org")], 5) == []
        with store.write() as tx:
            assert _change(tx, [NewEmail(second, "a@x.org", "a@x.org")], 6) == []
        for user_id, at in ((second, 9), (first, 10)):
            with store.write() as tx:
                tx.emails.free(user_id, at, 0)
                tx.accounts.delete(user_id)
                assert tx.emails.list_freed(["a@x.org"], 0)[-1].freed_at == 9

    def test_the_words_of_an_account_follow_its_email(self, store: Store) -> None:
        batch = self.publish(store, 1, "a@x.org", "b@x.org", "c@x.org", **JANE)
        self.index(store)
        with store.write() as tx:
            assert _change(tx, _new(batch, "b@x.org", "a@x.org", "karl@neu.de")) == []
        changed = self.stored(store)
        assert self.words(store, 2) == ["ann", "de", "doe", "jane", "karl", "neu"]
        with store.write() as tx:
            execute_sql(tx, "delete from user_words")
            execute_sql(tx, "update search_index set publication = 0, position = 0")
        self.index(store)
        assert changed == self.stored(store)

    def test_a_former_email_finds_its_account_once_and_page_by_page(self, store: Store) -> None:
        batch = self.publish(store, 1, "a1@x.org", "a2@x.org", "a3@x.org")
        for domain in ("y", "z"):
            with store.write() as tx:
                assert _change(tx, _new(batch, *(f"a{at}@{domain}.org" for at in (1, 2, 3)))) == []
        with store.read() as tx:
            first = tx.searched_users.by_former_email("a", "b", ("", ""), 2)
            assert [key for key, _ in first] == ["a1@x.org", "a2@x.org"]
            after = first[1][0], first[1][1].user_id
            rest = tx.searched_users.by_former_email("a", None, after, 9)
            assert [(key, user.email) for key, user in rest] == [("a3@x.org", "a3@z.org")]
            (exact,) = tx.searched_users.by_former_email("a2@y", "a2@z", ("", ""), 9)
            assert exact[1].user_id == user_id_of(batch, 1)
            assert tx.searched_users.by_former_email("b", None, ("", ""), 9) == []

    @pytest.mark.parametrize("first", ["account", "batch"])
    def test_of_two_transactions_at_once_one_gets_an_email(self, store: Store, first: str) -> None:
        accounts, batch = self.publish(store, 1, "a@x.org"), self.add(store, 2)
        rows = [user_row(batch, at, email) for at, email in enumerate(("b@x.org", "c@x.org"))]

        def change(tx: Transaction) -> list[str]:
            return _change(tx, _new(accounts, "c@x.org"))

        def insert(tx: Transaction) -> list[str]:
            return [one.user_id for one in tx.users.insert(batch.id, rows_of(rows))]

        winner, loser = (change, insert) if first == "account" else (insert, change)

        def lose() -> list[str]:
            with store.write() as tx:
                return loser(tx)

        with ThreadPoolExecutor(1) as pool:
            with store.write() as tx:
                assert winner(tx) == []
                losing = pool.submit(lose)
                wait_until_blocked(store, tx)
            assert losing.result() == [
                user_id_of(accounts, 0) if first == "account" else user_id_of(batch, 1)
            ]

    def test_a_batch_that_waited_for_an_email_finds_that_it_was_freed(self, store: Store) -> None:
        accounts, batch = self.publish(store, 1, "a@x.org"), self.add(store, 2)

        def insert() -> Sequence[FreedEmailRecord]:
            with store.write() as tx:
                assert tx.users.insert(batch.id, rows_of([user_row(batch, 0, "a@x.org")])) == []
                user_id = user_id_of(batch, 0)
                return tx.emails.take_freed(batch.id, user_id, user_id, 0)

        with ThreadPoolExecutor(1) as pool:
            with store.write() as tx:
                assert _change(tx, _new(accounts, "b@x.org")) == []
                inserting = pool.submit(insert)
                wait_until_blocked(store, tx)
            assert len(inserting.result()) == 1

    def test_transactions_that_exchange_emails_and_insert_them_at_once_do_not_deadlock(
        self, store: Store
    ) -> None:
        batch = self.publish(store, 1, *(f"u{at}@x.org" for at in range(6)))
        opened = [self.add(store, number) for number in range(2, 6)]
        start = Barrier(8)

        def swap(number: int) -> None:
            start.wait()
            for turn in range(5):
                pair = [(number + turn) % 6, (number * 2 + turn + 1) % 6]
                if pair[0] == pair[1]:
                    continue
                ids = [user_id_of(batch, at) for at in pair]
                with store.write() as tx:
                    locked = tx.accounts.lock(ids)
                    new = [
                        NewEmail(one, locked[other].email, locked[other].email)
                        for one, other in zip(ids, ids[::-1], strict=True)
                    ]
                    assert tx.emails.reserve(new) == []
                    tx.emails.replace(new, 7_000)

        def insert(number: int) -> None:
            emails = [f"u{at}@x.org" for at in range(6)][:: 1 if number % 2 else -1]
            rows = [user_row(opened[number], at, email) for at, email in enumerate(emails)]
            start.wait()
            for _ in range(5):
                with store.write() as tx:
                    assert len(tx.users.insert(opened[number].id, rows_of(rows))) == 6

        with ThreadPoolExecutor(8) as pool:
            futures = [pool.submit(swap, n) for n in range(4)] + [
                pool.submit(insert, n) for n in range(4)
            ]
            for future in futures:
                future.result()
        with store.read() as tx:
            assert sorted(self.live(tx)) == [f"u{at}@x.org" for at in range(6)]
