"""The rules of changes to accounts, and of locks on them: see `interface.Transaction`."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from time import sleep
from typing import Any, TypeVar

import pytest
from msgspec import structs
from tests.store.contract.steps import StoreSteps, list_users, rows_of, user_id_of, user_row
from tests.support.databases.locks import wait_until_blocked

from anyscale.server.store.records.users import AccountRecord
from anyscale.server.store.transaction import Store, Transaction

Item = TypeVar("Item")

# How an account stops being one of an owner who can sign in.
_LOSING: dict[str, Callable[[Transaction, str], None]] = {
    "demoted": lambda tx, user_id: tx.accounts.set_role(user_id, "collaborator"),
    "suspended": lambda tx, user_id: tx.accounts.set_suspended(user_id, 7),
    "deleted": lambda tx, user_id: tx.accounts.delete(user_id),
}


def _in_order(items: Sequence[Item], number: int) -> list[Item]:
    """Return items in an order that differs from number to number."""
    first = number % len(items)
    turned = [*items[first:], *items[:first]]
    return turned[::-1] if number % 2 else turned


class ChangeRules(StoreSteps):
    """A change to an account changes that account alone."""

    def test_an_account_is_found_by_its_id_and_by_its_email(self, store: Store) -> None:
        fields = {
            "lastname": "Doe",
            "title": "CTO",
            "is_sso_user": True,
            "external_id": "0042",
        }
        batch = self.publish(store, 1, "Jane@x.org", **fields)
        jane = AccountRecord(
            user_id=user_id_of(batch, 0),
            batch_id=batch.batch_id,
            email="Jane@x.org",
            name="Jane",
            lastname="Doe",
            title="CTO",
            is_sso_user=True,
            external_id="0042",
            suspended_by_sync=False,
            last_sign_in=None,
            permission_level="collaborator",
            password_hash=None,
            password_set_at=None,
            imported_ms=None,
            suspended_at=None,
            created_at=5_000,
            used_at=None,
            subject=None,
        )
        for begin in (store.read, store.write):
            with begin() as tx:
                found = tx.accounts.get(jane.user_id)
                assert found == jane
                assert found.is_sso_user is True  # and not 1
                assert tx.accounts.find("jane@x.org") == jane
                assert tx.accounts.find("Jane@x.org") is None
                assert tx.accounts.get("usr_none") is None
                assert tx.accounts.get("") is None
        with store.write() as tx:
            assert tx.accounts.lock([jane.user_id]) == {jane.user_id: jane}

    def test_users_are_stored_as_they_are_whether_or_not_they_share_values(
        self, store: Store
    ) -> None:
        plain: dict[str, Any] = {
            "lastname": None,
            "title": None,
            "is_sso_user": False,
            "hash_due": False,
        }
        other: dict[str, Any] = {
            "lastname": "Lée",
            "title": "CTO",
            "is_sso_user": True,
            "hash_due": True,
        }
        for number, users in enumerate(((plain, plain), (other, other), (plain, other))):
            batch = self.add(store, number)
            rows = [
                user_row(batch, at, f"{number}{at}@x.org", **fields)
                for at, fields in enumerate(users)
            ]
            with store.write() as tx:
                assert tx.users.insert(batch.id, rows_of(rows)) == []
                assert tx.users.count_pending(batch.id) == users.count(other)
            self.end(store, batch, "published")
            found = [self.account(store, row.user_id) for row in rows]
            assert [(one.lastname, one.title, one.is_sso_user) for one in found] == [
                (row.lastname, row.title, row.is_sso_user) for row in rows
            ]

    def test_the_representation_of_an_account_shows_no_hash(self, store: Store) -> None:
        batch = self.publish(store, 1, "a@x.org")
        with store.write() as tx:
            tx.accounts.set_password(user_id_of(batch, 0), "s3cr3t", None)
        assert "s3cr3t" not in repr(self.account(store, user_id_of(batch, 0)))

    @pytest.mark.parametrize("state", ["open", "dropped", "expired"])
    def test_a_row_of_a_batch_that_is_not_published_is_no_account(
        self, store: Store, reserve: Any, state: str
    ) -> None:
        published, batch = self.publish(store, 1, "a@x.org"), self.add(store, 2)
        reserve(batch, "b@x.org")
        if state != "open":
            self.end(store, batch, state)
        ids = [user_id_of(published, 0), user_id_of(batch, 0)]
        for begin in (store.read, store.write):
            with begin() as tx:
                assert tx.accounts.get(ids[1]) is None
                assert tx.accounts.find("b@x.org") is None
        with store.write() as tx:
            assert [*tx.accounts.lock(ids)] == ids[:1]

    def test_a_row_that_is_no_account_is_not_changed(self, store: Store, reserve: Any) -> None:
        batch = self.add(store, 1)
        reserve(batch, "a@x.org")
        user_id = user_id_of(batch, 0)
        with store.write() as tx:
            tx.accounts.set_password(user_id, "hash", 7)
            tx.accounts.set_suspended(user_id, 7)
            tx.accounts.set_role(user_id, "owner")
            tx.accounts.set_details(
                user_id, name="Ann", lastname="Lee", title="CTO", is_sso_user=True
            )
            tx.accounts.delete(user_id)
            assert tx.accounts.lock_owners() == []
        self.end(store, batch, "published")
        found = self.account(store, user_id)
        assert (found.password_hash, found.password_set_at, found.suspended_at) == (None,) * 3
        assert found.permission_level == "collaborator"
        assert (found.name, found.lastname, found.title, found.is_sso_user) == (
            *("Jane", None, None),
            False,
        )

    @pytest.mark.parametrize("sso", [False, True])
    def test_the_details_of_an_account_are_replaced_and_found_by_their_new_name(
        self, store: Store, sso: bool
    ) -> None:
        batch = self.publish(store, 1, "a@x.org", "b@x.org", title="CTO", is_sso_user=not sso)
        before = [self.account(store, user_id_of(batch, at)) for at in range(2)]
        for details in (
            {"name": "STRASSE", "lastname": "Doe", "title": None, "is_sso_user": sso},
            {"name": "Straße", "lastname": None, "title": "", "is_sso_user": sso},
        ):
            with store.write() as tx:
                tx.accounts.set_details(before[0].user_id, **details)
            assert self.account(store, before[0].user_id) == structs.replace(before[0], **details)
        assert self.account(store, before[1].user_id) == before[1]
        with store.read() as tx:
            assert self.live(tx, name="strasse") == ["a@x.org"]
            assert self.live(tx, name="jane") == ["b@x.org"]

    def test_a_rehash_leaves_the_time_at_which_the_user_chose_the_password(
        self, store: Store
    ) -> None:
        batch = self.publish(store, 1, "a@x.org", "b@x.org")
        user_id, other = (user_id_of(batch, at) for at in range(2))
        for password_hash, at, expected in [
            ("1", None, None),
            ("2", 7, 7),
            ("3", None, 7),
            ("4", 8, 8),
        ]:
            with store.write() as tx:
                tx.accounts.set_password(user_id, password_hash, at)
            found = self.account(store, user_id)
            assert (found.password_hash, found.password_set_at) == (password_hash, expected)
        assert self.account(store, other).password_hash is None

    def test_the_first_use_of_an_account_is_kept(self, store: Store, reserve: Any) -> None:
        batch, unpublished = self.publish(store, 1, "a@x.org", "b@x.org"), self.add(store, 2)
        reserve(unpublished, "c@x.org")
        for at in (7, 8):
            with store.write() as tx:
                tx.accounts.mark_used(user_id_of(batch, 0), at)
                tx.accounts.mark_used(user_id_of(unpublished, 0), at)
                tx.accounts.mark_used("usr_none", at)
        self.end(store, unpublished, "published")
        used = [self.account(store, user_id_of(batch, at)).used_at for at in range(2)]
        assert used == [7, None]
        assert self.account(store, user_id_of(unpublished, 0)).used_at is None

    def test_the_day_of_a_sign_in_is_kept_and_is_the_first_use_of_an_unused_account(
        self, store: Store
    ) -> None:
        day = 86_400_000
        batch = self.publish(store, 1, "a@x.org", "b@x.org")
        first, other = (user_id_of(batch, at) for at in range(2))
        for at in (3 * day + 7, 5 * day + 9):
            with store.write() as tx:
                tx.accounts.mark_signed_in(first, at, at - at % day)
        found = self.account(store, first)
        assert (found.used_at, found.last_sign_in) == (3 * day + 7, 5 * day)
        assert self.account(store, other).last_sign_in is None
        with store.read() as tx:
            (listed,) = tx.users.list_with_ids([first])
        assert listed.last_sign_in == 5 * day

    def test_accounts_that_are_suspended_together_are_found_by_the_key_until_one_is_changed_alone(
        self, store: Store
    ) -> None:
        batch = self.publish(store, 1, "a@x.org", "b@x.org", "c@x.org")
        first, second, third = (user_id_of(batch, at) for at in range(3))

        def found(tx: Transaction, *, suspended: bool) -> list[str]:
            return list(tx.accounts.list_changed_with("key", suspended=suspended))

        with store.write() as tx:
            tx.accounts.set_suspended(first, 7, by_sync=True)
            tx.accounts.set_suspended(third, 7, by_sync=True, key="other")
            tx.accounts.set_all_suspended([first, second], 8, "key")
            assert (found(tx, suspended=True), found(tx, suspended=False)) == ([first, second], [])
        account = self.account(store, first)
        assert (account.suspended_at, account.suspended_by_sync) == (8, True)
        with store.write() as tx:
            tx.accounts.set_all_by_hand([third])
            assert tx.accounts.list_changed_with("other", suspended=True) == []
        account = self.account(store, third)
        assert (account.suspended_at, account.suspended_by_sync) == (7, False)
        with store.write() as tx:
            tx.accounts.set_suspended(first, 9)
            tx.accounts.set_all_suspended([second], None, "key")
            assert (found(tx, suspended=True), found(tx, suspended=False)) == ([], [second])
        assert self.account(store, third).suspended_at == 7

    def test_suspending_and_restoring_an_account_changes_no_other_one(self, store: Store) -> None:
        batch = self.publish(store, 1, "a@x.org", "b@x.org")
        before = [self.account(store, user_id_of(batch, at)) for at in range(2)]
        with store.write() as tx:
            tx.accounts.set_suspended(before[0].user_id, 7, by_sync=True)
        suspended = structs.replace(before[0], suspended_at=7, suspended_by_sync=True)
        assert self.account(store, before[0].user_id) == suspended
        assert self.account(store, before[1].user_id) == before[1]
        with store.write() as tx:
            tx.accounts.set_suspended(before[0].user_id, None)
        assert self.account(store, before[0].user_id) == before[0]

    def test_suspended_owners_do_not_count_as_owners(self, store: Store) -> None:
        batch = self.publish(store, 1, *(f"u{at}@x.org" for at in range(4)))
        ids = [user_id_of(batch, at) for at in range(4)]
        with store.write() as tx:
            for user_id in reversed(ids[:3]):
                tx.accounts.set_role(user_id, "owner")
            tx.accounts.set_suspended(ids[0], 7)
            assert list(tx.accounts.lock_owners()) == ids[1:3]
            tx.accounts.set_role(ids[1], "collaborator")
            tx.accounts.set_suspended(ids[0], None)
        with store.write() as tx:
            assert list(tx.accounts.lock_owners()) == [ids[0], ids[2]]
            levels = [user.permission_level for user in tx.users.list_named("Jane", "", 9)]
        assert levels == ["owner", "collaborator", "owner", "collaborator"]


class LockRules(StoreSteps):
    """A transaction that locks an account sees what the previous one has committed."""

    def test_the_accounts_that_exist_are_locked_by_one_call(self, store: Store) -> None:
        batch = self.publish(store, 1, *(f"u{at}@x.org" for at in range(4)))
        ids = [user_id_of(batch, at) for at in range(4)]
        with store.write() as tx:
            locked = tx.accounts.lock([*ids[1:], "usr_none", f"{ids[0]}\0", "u0@x.org", ids[1]])
            assert locked == {user_id: tx.accounts.get(user_id) for user_id in ids[1:]}
            assert [*locked] == ids[1:]
            assert tx.accounts.lock([]) == {}

    def test_transactions_that_lock_several_accounts_in_any_order_do_not_deadlock(
        self, store: Store
    ) -> None:
        batch = self.publish(store, 1, *(f"u{at}@x.org" for at in range(4)))
        ids = [user_id_of(batch, at) for at in range(4)]
        start = Barrier(8)

        def count_up(number: int) -> None:
            some = _in_order(ids, number)[:3]
            start.wait()
            for _ in range(5):
                with store.write() as tx:
                    for user_id, account in tx.accounts.lock(some).items():
                        count = int(account.password_hash or 0) + 1
                        tx.accounts.set_password(user_id, str(count), None)

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(count_up, range(8)))
        counts = [int(self.account(store, user_id).password_hash or 0) for user_id in ids]
        assert sum(counts) == 8 * 5 * 3

    def test_a_lock_shows_what_another_transaction_did_to_the_account(self, store: Store) -> None:
        batch = self.publish(store, 1, "a@x.org")
        user_id = user_id_of(batch, 0)

        def count(_: int) -> None:
            with store.write() as tx:
                found = tx.accounts.lock([user_id])[user_id]
                sleep(0.001)
                tx.accounts.set_password(user_id, f"{found.password_hash or ''}x", None)

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(count, range(24)))
        assert self.account(store, user_id).password_hash == "x" * 24

    def test_a_lock_that_waited_for_a_deletion_finds_no_account(self, store: Store) -> None:
        batch = self.publish(store, 1, "a@x.org")
        user_id = user_id_of(batch, 0)

        def lock() -> object:
            with store.write() as tx:
                return tx.accounts.lock([user_id])

        with ThreadPoolExecutor(1) as pool:
            with store.write() as tx:
                assert tx.accounts.lock([user_id])
                locking = pool.submit(lock)
                wait_until_blocked(store, tx)
                tx.accounts.delete(user_id)
            assert locking.result() == {}

    @pytest.mark.parametrize("how", list(_LOSING))
    def test_of_two_owners_who_leave_at_once_one_stays(self, store: Store, how: str) -> None:
        batch = self.publish(store, 1, "a@x.org", "b@x.org")
        ids = [user_id_of(batch, at) for at in range(2)]
        with store.write() as tx:
            for user_id in ids:
                tx.accounts.set_role(user_id, "owner")
        start = Barrier(2)

        def leave(user_id: str) -> None:
            start.wait()
            with store.write() as tx:
                if len(tx.accounts.lock_owners()) > 1:
                    sleep(0.05)
                    _LOSING[how](tx, user_id)

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(leave, ids))
        with store.write() as tx:
            assert len(tx.accounts.lock_owners()) == 1

    def test_a_lock_on_the_owners_shows_an_owner_that_was_added_just_before(
        self, store: Store
    ) -> None:
        batch = self.publish(store, 1, *(f"u{at}@x.org" for at in range(8)))

        def make_owner(position: int) -> int:
            with store.write() as tx:
                before = len(tx.accounts.lock_owners())
                tx.accounts.set_role(user_id_of(batch, position), "owner")
                return before

        with ThreadPoolExecutor(8) as pool:
            assert sorted(pool.map(make_owner, range(8))) == list(range(8))

    def test_after_the_owners_accounts_may_be_locked_in_any_order(self, store: Store) -> None:
        batch = self.publish(store, 1, "a@x.org", "b@x.org")
        ids = [user_id_of(batch, at) for at in range(2)]

        def suspend(order: list[str]) -> None:
            with store.write() as tx:
                tx.accounts.lock_owners()
                for user_id in order:
                    assert tx.accounts.lock([user_id])
                    sleep(0.02)
                    tx.accounts.set_suspended(user_id, 7)

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(suspend, [ids, ids[::-1]]))
        assert [self.account(store, user_id).suspended_at for user_id in ids] == [7, 7]

    def test_a_reader_waits_for_no_lock(self, store: Store) -> None:
        batch = self.publish(store, 1, "a@x.org")
        user_id = user_id_of(batch, 0)
        with store.write() as writing:
            writing.accounts.lock_owners()
            writing.accounts.lock([user_id])
            writing.accounts.set_role(user_id, "owner")
            with store.read() as tx:
                found = tx.accounts.get(user_id)
                (listed,) = list_users(tx, limit=9)
        assert found
        assert found.permission_level == listed.permission_level == "collaborator"


class AccountRules(ChangeRules, LockRules):
    """Every rule of accounts."""
