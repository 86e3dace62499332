"""The rules of what is done to people's accounts, as tests: see `testing.StoreContract`."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from time import sleep
from typing import Any

import pytest
from msgspec import structs
from tests.store.contract.steps import StoreSteps, user_id_of

from anyscale.errors import StoreUnavailable
from anyscale.server.store.interface import AccountRecord, BatchRecord, Store, Transaction

__all__ = ["PeopleRules"]

# How an account stops to be one of an owner who can sign in.
_LOSING: dict[str, Callable[[Transaction, str], None]] = {
    "demoted": lambda rows, user_id: rows.set_level(user_id, "collaborator"),
    "suspended": lambda rows, user_id: rows.suspend(user_id, 7),
    "removed": lambda rows, user_id: rows.remove_account(user_id),
}


class ChangeRules(StoreSteps):
    """An account is held by one, changes as it is told to, and is gone when it is removed."""

    def test_an_account_is_found_by_its_id_and_by_its_email(self, store: Store) -> None:
        batch = self.publish(store, 1, "Jane@x.org", lastname="Doe", is_sso_user=True)
        jane = AccountRecord(
            user_id=user_id_of(batch, 0),
            batch_id=batch.batch_id,
            email="Jane@x.org",
            name="Jane",
            lastname="Doe",
            is_sso_user=True,
            permission_level="collaborator",
            password_hash=None,
            password_set_at=None,
            suspended_at=None,
            created_at=5_000,
        )
        for begin in (store.read, store.write):
            with begin() as rows:
                found = rows.account(user_id=jane.user_id)
                assert found == jane
                assert found.is_sso_user is True  # and not a number that is equal to it
                assert rows.account(email_key="jane@x.org") == jane
                assert rows.account(email_key="Jane@x.org") is None
                assert rows.account(user_id="usr_none") is None
                assert rows.account() is None

    def test_a_hash_shows_in_no_representation_of_an_account(self, store: Store) -> None:
        batch = self.publish(store, 1, "a@x.org")
        with store.write() as rows:
            rows.set_password(user_id_of(batch, 0), "s3cr3t", None)
        assert "s3cr3t" not in repr(self.account(store, user_id_of(batch, 0)))

    @pytest.mark.parametrize("state", ["open", "dropped", "expired"])
    def test_a_row_of_a_batch_that_is_not_published_is_no_account(
        self, store: Store, claim: Any, state: str
    ) -> None:
        batch = self.add(store, 1)
        claim(batch, "a@x.org")
        if state != "open":
            self.end(store, batch, state)
        for begin in (store.read, store.write):
            with begin() as rows:
                assert rows.account(user_id=user_id_of(batch, 0)) is None
                assert rows.account(email_key="a@x.org") is None
                assert rows.without_way_in(batch.batch_id, sso=False, after="", limit=9) == []
                assert rows.count_without_way_in(batch.batch_id, sso=False) == 0

    def test_a_row_that_is_no_account_is_left_as_it_is(self, store: Store, claim: Any) -> None:
        batch = self.add(store, 1)
        claim(batch, "a@x.org")
        user_id = user_id_of(batch, 0)
        with store.write() as rows:
            rows.set_password(user_id, "hash", 7)
            rows.suspend(user_id, 7)
            rows.set_level(user_id, "owner")
            rows.remove_account(user_id)
            assert rows.hold_owners() == []
        self.end(store, batch, "published")
        found = self.account(store, user_id)
        assert (found.password_hash, found.password_set_at, found.suspended_at) == (None,) * 3
        assert found.permission_level == "collaborator"

    def test_a_password_that_the_member_chose_stays_one_when_its_hash_is_renewed(
        self, store: Store
    ) -> None:
        batch = self.publish(store, 1, "a@x.org", "b@x.org")
        user_id, other = (user_id_of(batch, at) for at in range(2))
        for password_hash, at, then in [
            ("1", None, None),
            ("2", 7, 7),
            ("3", None, 7),
            ("4", 8, 8),
        ]:
            with store.write() as rows:
                rows.set_password(user_id, password_hash, at)
            found = self.account(store, user_id)
            assert (found.password_hash, found.password_set_at) == (password_hash, then)
        assert self.account(store, other).password_hash is None

    def test_an_account_is_suspended_and_restored_and_nobody_else_is(self, store: Store) -> None:
        batch = self.publish(store, 1, "a@x.org", "b@x.org")
        before = [self.account(store, user_id_of(batch, at)) for at in range(2)]
        with store.write() as rows:
            rows.suspend(before[0].user_id, 7)
        suspended = structs.replace(before[0], suspended_at=7)
        assert self.account(store, before[0].user_id) == suspended
        assert self.account(store, before[1].user_id) == before[1]
        with store.write() as rows:
            rows.suspend(before[0].user_id, None)
        assert self.account(store, before[0].user_id) == before[0]

    def test_owners_are_those_who_are_not_suspended(self, store: Store) -> None:
        batch = self.publish(store, 1, *(f"u{at}@x.org" for at in range(4)))
        ids = [user_id_of(batch, at) for at in range(4)]
        with store.write() as rows:
            for user_id in reversed(ids[:3]):
                rows.set_level(user_id, "owner")
            rows.suspend(ids[0], 7)
            assert list(rows.hold_owners()) == ids[1:3]
            rows.set_level(ids[1], "collaborator")
            rows.suspend(ids[0], None)
        with store.read() as rows:
            assert list(rows.hold_owners()) == [ids[0], ids[2]]
            levels = [user[3] for user in rows.users_like(name="Jane", limit=9)]
        assert levels == ["owner", "collaborator", "owner", "collaborator"]

    def test_a_level_that_there_is_not_is_refused(self, store: Store) -> None:
        batch = self.publish(store, 1, "a@x.org")
        with pytest.raises(StoreUnavailable), store.write() as rows:
            rows.set_level(user_id_of(batch, 0), "emperor")
        assert self.account(store, user_id_of(batch, 0)).permission_level == "collaborator"


class HoldingRules(StoreSteps):
    """Whoever changes an account, or the owners, sees what the one before has left."""

    @pytest.mark.parametrize("how", list(_LOSING))
    def test_of_two_owners_who_go_at_once_one_stays(self, store: Store, how: str) -> None:
        batch = self.publish(store, 1, "a@x.org", "b@x.org")
        ids = [user_id_of(batch, at) for at in range(2)]
        with store.write() as rows:
            for user_id in ids:
                rows.set_level(user_id, "owner")
        start = Barrier(2)

        def go(user_id: str) -> None:
            start.wait()
            with store.write() as rows:
                if len(rows.hold_owners()) > 1:
                    sleep(0.05)
                    _LOSING[how](rows, user_id)

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(go, ids))
        with store.read() as rows:
            assert len(rows.hold_owners()) == 1

    def test_whoever_holds_the_owners_sees_one_who_was_made_just_before(self, store: Store) -> None:
        batch = self.publish(store, 1, *(f"u{at}@x.org" for at in range(8)))

        def make(position: int) -> int:
            with store.write() as rows:
                before = len(rows.hold_owners())
                rows.set_level(user_id_of(batch, position), "owner")
                return before

        with ThreadPoolExecutor(8) as pool:
            assert sorted(pool.map(make, range(8))) == list(range(8))

    def test_two_who_hold_the_owners_first_may_then_take_accounts_in_any_order(
        self, store: Store
    ) -> None:
        batch = self.publish(store, 1, "a@x.org", "b@x.org")
        ids = [user_id_of(batch, at) for at in range(2)]

        def suspend(order: list[str]) -> None:
            with store.write() as rows:
                rows.hold_owners()
                for user_id in order:
                    assert rows.account(user_id=user_id)
                    sleep(0.02)
                    rows.suspend(user_id, 7)

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(suspend, [ids, ids[::-1]]))
        assert [self.account(store, user_id).suspended_at for user_id in ids] == [7, 7]

    @pytest.mark.parametrize("key", ["user_id", "email_key"])
    def test_nobody_overlooks_what_another_one_did_to_an_account(
        self, store: Store, key: str
    ) -> None:
        batch = self.publish(store, 1, "a@x.org")
        user_id = user_id_of(batch, 0)
        named = {"user_id": user_id, "email_key": "a@x.org"}[key]

        def count(_: int) -> None:
            with store.write() as rows:
                found = rows.account(**{key: named})
                assert found
                sleep(0.001)
                rows.set_password(user_id, f"{found.password_hash or ''}x", None)

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(count, range(24)))
        assert self.account(store, user_id).password_hash == "x" * 24

    def test_whoever_waited_for_an_account_that_was_removed_is_told_so(self, store: Store) -> None:
        batch = self.publish(store, 1, "a@x.org")

        def look() -> AccountRecord | None:
            with store.write() as rows:
                return rows.account(email_key="a@x.org")

        with ThreadPoolExecutor(1) as pool:
            with store.write() as rows:
                assert rows.account(user_id=user_id_of(batch, 0))
                looking = pool.submit(look)
                sleep(0.1)
                rows.remove_account(user_id_of(batch, 0))
            assert looking.result() is None

    def test_a_reader_waits_neither_for_an_account_nor_for_the_owners(self, store: Store) -> None:
        batch = self.publish(store, 1, "a@x.org")
        user_id = user_id_of(batch, 0)
        with store.write() as writing:
            writing.hold_owners()
            writing.account(user_id=user_id)
            writing.set_level(user_id, "owner")
            with store.read() as rows:
                assert rows.hold_owners() == []
                found = rows.account(user_id=user_id)
        assert found
        assert found.permission_level == "collaborator"


class WayInRules(StoreSteps):
    """Who has neither a password nor an identity provider to come in by is found."""

    @pytest.fixture
    def batch(self, store: Store, claim: Any) -> BatchRecord:
        """Publish: nothing, a password, SSO, SSO and a password, nothing and suspended, nothing."""
        before, batch, later = (self.add(store, number) for number in (1, 2, 3))
        claim(before, "before@x.org")
        claim(later, "later@x.org")
        for at, sso in enumerate([False, False, True, True, False, False]):
            claim(batch, f"u{at}@x.org", first=at, is_sso_user=sso)
        for each in (before, batch, later):
            self.end(store, each, "published")
        with store.write() as rows:
            for at in (1, 3):
                rows.set_password(user_id_of(batch, at), "hash", None)
            rows.suspend(user_id_of(batch, 4), 7)
        return batch

    @pytest.mark.parametrize(("sso", "expected"), [(False, [0, 2, 5]), (True, [0, 5])])
    def test_accounts_without_a_way_in_are_listed_and_counted(
        self, store: Store, batch: BatchRecord, sso: bool, expected: list[int]
    ) -> None:
        ids = [user_id_of(batch, at) for at in expected]
        with store.read() as rows:
            found = rows.without_way_in(batch.batch_id, sso=sso, after="", limit=9)
            assert [account.user_id for account in found] == ids
            assert found[0] == rows.account(user_id=ids[0])
            assert rows.count_without_way_in(batch.batch_id, sso=sso) == len(ids)
            assert rows.count_without_way_in("bat_none", sso=sso) == 0

    def test_they_come_page_by_page(self, store: Store, batch: BatchRecord) -> None:
        seen: list[str] = []
        with store.read() as rows:
            while page := rows.without_way_in(
                batch.batch_id, sso=False, after=seen[-1] if seen else "", limit=2
            ):
                assert len(page) <= 2
                seen += [account.user_id for account in page]
        assert seen == [user_id_of(batch, at) for at in (0, 2, 5)]

    def test_a_page_begins_and_ends_within_its_batch(
        self, store: Store, batch: BatchRecord
    ) -> None:
        with store.read() as rows:
            early = rows.without_way_in(batch.batch_id, sso=True, after="usr_", limit=9)
            late = rows.without_way_in(batch.batch_id, sso=True, after="usr_g", limit=9)
            users = rows.created_users(batch.batch_id, "usr_", 9)
        assert [account.email for account in early] == ["u0@x.org", "u5@x.org"]
        assert late == []
        assert [user[2] for user in users] == [f"u{at}@x.org" for at in range(6)]


class PeopleRules(ChangeRules, HoldingRules, WayInRules):
    """Every rule of what is done to people's accounts."""
