"""The rules of hashes and accounts, as tests: see `testing.StoreContract`."""

from typing import Any

import pytest
from tests.store.contract.steps import StoreSteps, user_id_of, user_row

from anyscale.server.store.interface import Store

__all__ = ["AccountRules"]


class AccountRules(StoreSteps):
    """The first hash stays; accounts are the users of published batches, and no others."""

    def test_the_first_hash_of_a_row_stays(self, store: Store, claim: Any) -> None:
        batch, other = self.add(store, 1), self.add(store, 2)
        claim(batch, "a@x.org", hash_due=True, lastname="Doe")
        claim(batch, "b@x.org", first=1)
        ids = [user_row(batch, at, "").user_id for at in range(2)]
        with store.read() as rows:
            (due,) = rows.due(batch.id, [*ids, "usr_none"])
            assert (due.user_id, due.name, due.lastname) == (ids[0], "Jane", "Doe")
            assert due.email == "a@x.org"
            assert rows.due(other.id, ids) == []
            assert (rows.count_due(batch.id), rows.count_due(other.id)) == (1, 0)
        with store.write() as rows:
            assert rows.save_hashes(other.id, [(ids[0], "wrong batch")]) == 0
            hashes = [(ids[0], "first"), (ids[1], "not due"), (ids[0], "later")]
            assert rows.save_hashes(batch.id, hashes) == 1
            assert rows.save_hashes(batch.id, [(ids[0], "second")]) == 0
            assert rows.save_hashes(batch.id, []) == 0
            assert rows.count_due(batch.id) == 0
            assert rows.due(batch.id, ids) == []

    @pytest.mark.parametrize("state", ["open", "dropped", "expired"])
    def test_nobody_of_a_batch_that_is_not_published_is_an_account(
        self, store: Store, claim: Any, state: str
    ) -> None:
        batch = self.add(store, 1)
        claim(batch, "a@x.org")
        if state != "open":
            self.end(store, batch, state)
        with store.read() as rows:
            assert self.live(rows) == []
            assert rows.users_like(email_key="a@x.org", limit=1) == []
            assert rows.users_like(name="Jane", limit=1) == []
            assert rows.created_users(batch.batch_id, "", 10) == []

    def test_everybody_of_a_batch_is_an_account_at_one_moment(
        self, store: Store, claim: Any
    ) -> None:
        batch = self.add(store, 1)
        claim(batch, "c@x.org", "a@x.org", "b@x.org")
        with store.read() as rows:
            assert self.live(rows) == []
            self.end(store, batch, "published")
            assert self.live(rows) == []
        with store.read() as rows:
            assert self.live(rows) == ["c@x.org", "a@x.org", "b@x.org"]
            (account,) = rows.users_like(email_key="c@x.org", limit=1)
        user_id = user_row(batch, 0, "").user_id
        assert account == ("c@x.org", "Jane", 5_000, "collaborator", user_id, None)

    def test_created_users_come_in_order_page_by_page(self, store: Store, claim: Any) -> None:
        batch, neighbour = self.add(store, 1), self.add(store, 2)
        claim(neighbour, "z@x.org")
        claim(batch, *(f"u{9 - at}@x.org" for at in range(10)), title="CTO", is_sso_user=True)
        self.end(store, batch, "published")
        self.end(store, neighbour, "published")
        seen: list[tuple[Any, ...]] = []
        with store.read() as rows:
            while page := rows.created_users(batch.batch_id, seen[-1][0] if seen else "", 4):
                assert len(page) <= 4
                seen += page
        assert [user[2] for user in seen] == [f"u{9 - at}@x.org" for at in range(10)]
        user_id = user_row(batch, 0, "").user_id
        assert seen[0] == (user_id, "Jane", "u9@x.org", 5_000, True, None, "CTO")

    def test_accounts_are_listed_page_by_page(self, store: Store, claim: Any) -> None:
        first, second = self.add(store, 1), self.add(store, 2)
        claim(second, "c@x.org", "d@x.org")
        claim(first, "a@x.org", "b@x.org", "e@x.org")
        self.end(store, second, "published")
        self.end(store, first, "published")
        seen: list[tuple[Any, ...]] = []
        with store.read() as rows:
            while page := rows.live_users(
                email_contains="", name_contains="", after=seen[-1][4] if seen else "", limit=2
            ):
                seen += page
        assert [user[0][0] for user in seen] == ["a", "b", "e", "c", "d"]

    def test_an_account_tells_since_when_it_is_suspended(self, store: Store) -> None:
        batch = self.publish(store, 1, "a@x.org", "b@x.org")
        for at in (7, None):
            with store.write() as rows:
                rows.suspend(user_id_of(batch, 1), at)
            with store.read() as rows:
                listed = rows.live_users(email_contains="", name_contains="", after="", limit=9)
                namesakes = rows.users_like(name="Jane", limit=9)
                (found,) = rows.users_like(email_key="b@x.org", limit=1)
            for users in (listed, namesakes):
                assert [user[5] for user in users] == [None, at]
            assert found[5] == at

    def test_the_suspended_are_listed_alone_page_by_page(self, store: Store, claim: Any) -> None:
        batch = self.publish(store, 1, *(f"{letter}@x.org" for letter in "fedcba"))
        claim(self.add(store, 2), "open@x.org")
        with store.write() as rows:
            for position in (4, 0, 3, 5):
                rows.suspend(user_id_of(batch, position), 7)
            rows.suspend(user_id_of(batch, 3), None)
        seen: list[tuple[Any, ...]] = []
        with store.read() as rows:
            while page := rows.live_users(
                email_contains="",
                name_contains="",
                suspended=True,
                after=seen[-1][4] if seen else "",
                limit=2,
            ):
                assert len(page) == min(2, 3 - len(seen))  # the filter comes before the limit
                seen += page
            assert [user[0][0] for user in seen] == ["f", "b", "a"]
            assert self.live(rows, email="a@", suspended=True) == ["a@x.org"]
            assert self.live(rows, email="c@", suspended=True) == []
            assert self.live(rows, name="nobody", suspended=True) == []

    def test_accounts_are_found_by_parts_of_email_and_name(self, store: Store, claim: Any) -> None:
        batch = self.add(store, 1)
        claim(batch, "Jane.Doe@Corp.local", name="Jane")
        claim(batch, "hans@x.org", first=1, name="STRASSE 50%")
        claim(batch, "anna@x.org", first=2, name="Straße_")
        self.end(store, batch, "published")
        with store.read() as rows:
            assert self.live(rows, email="doe@corp") == ["Jane.Doe@Corp.local"]
            assert self.live(rows, email="x.org") == ["hans@x.org", "anna@x.org"]
            assert self.live(rows, name="strasse") == ["hans@x.org", "anna@x.org"]
            assert self.live(rows, email="anna", name="strasse") == ["anna@x.org"]
            assert self.live(rows, name="%") == ["hans@x.org"]
            assert self.live(rows, name="_") == ["anna@x.org"]
            assert [user[0] for user in rows.users_like(name="Jane", limit=2)] == [
                "Jane.Doe@Corp.local"
            ]
            assert rows.users_like(name="jane", limit=2) == []
            assert len(rows.users_like(email_key="jane.doe@corp.local", limit=2)) == 1
            assert rows.users_like(email_key="jane.doe", limit=2) == []

    def test_no_more_namesakes_are_given_than_were_asked_for(
        self, store: Store, claim: Any
    ) -> None:
        batch = self.add(store, 1)
        claim(batch, "a@x.org", "b@x.org", "c@x.org")
        self.end(store, batch, "published")
        with store.read() as rows:
            assert [user[0] for user in rows.users_like(name="Jane", limit=2)] == [
                "a@x.org",
                "b@x.org",
            ]
