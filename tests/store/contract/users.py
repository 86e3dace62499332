"""The rules of users, of their hashes and of listings: see `interface.Transaction`."""

from typing import Any

import pytest
from msgspec import structs
from tests.store.contract.steps import StoreSteps, chunk_row, list_users, user_id_of, user_row
from tests.support.users import PASSWORD, checked_user, checked_users

from anyscale.server.store.records.batches import AccountCounts, BatchRecord
from anyscale.server.store.records.search import Filters
from anyscale.server.store.records.users import NewHash, UserRecord, new_users
from anyscale.server.store.transaction import Store


class HashRules(StoreSteps):
    """The first hash of a row stays."""

    def test_the_first_hash_of_a_row_stays(self, store: Store, reserve: Any) -> None:
        batch, other = self.add(store, 1), self.add(store, 2)
        reserve(batch, "a@x.org", hash_due=True, lastname="Doe")
        reserve(batch, "b@x.org", first=1)
        ids = [user_row(batch, at, "").user_id for at in range(2)]
        with store.read() as tx:
            (pending,) = tx.users.list_pending(batch.id, [*ids, "usr_none"])
            assert (pending.user_id, pending.name, pending.lastname) == (ids[0], "Jane", "Doe")
            assert pending.email == "a@x.org"
            assert tx.users.list_pending(other.id, ids) == []
            assert (tx.users.count_pending(batch.id), tx.users.count_pending(other.id)) == (1, 0)
        with store.write() as tx:
            assert tx.users.save_hashes(other.id, [NewHash(ids[0], "wrong batch")]) == 0
            texts = {"first": ids[0], "not due": ids[1], "later": ids[0]}
            hashes = [NewHash(one, text) for text, one in texts.items()]
            assert tx.users.save_hashes(batch.id, hashes) == 1
            assert tx.users.save_hashes(batch.id, [NewHash(ids[0], "second")]) == 0
            assert tx.users.save_hashes(batch.id, []) == 0
            assert tx.users.count_pending(batch.id) == 0
            assert tx.users.list_pending(batch.id, ids) == []

    def test_hashes_of_other_systems_are_stored_with_the_rows_and_where_they_are_due(
        self, store: Store
    ) -> None:
        batch, other = self.add(store, 1), self.add(store, 2)
        text = "$6$salt$" + 86 * "a"
        users = [
            structs.replace(checked_user(f"{name}@x.org", password), password_hash=one)
            for name, password, one in (
                ("a", PASSWORD, text),
                ("b", PASSWORD, None),
                ("c", None, None),
            )
        ]
        ids = [user_id_of(batch, at) for at in range(3)]
        with store.write() as tx:
            assert tx.users.insert(batch.id, new_users(ids, users, 7)) == []
            again = [user_id_of(other, at) for at in range(3)]  # one of whose emails is free
            renamed = [*users[:2], *checked_users("d")]
            assert len(tx.users.insert(other.id, new_users(again, renamed, 8))) == 2
            assert tx.users.count_pending(batch.id) == 1
            assert tx.users.save_hashes(batch.id, [NewHash(ids[1], "wrapped", 9, 40)]) == 1
            tx.batches.publish(batch.id, "local:joe", 5_000)
        with store.write() as tx:
            rows = [tx.accounts.get(one) for one in ids]
            assert [
                (row.password_hash, row.password_set_at, row.imported_ms) for row in rows if row
            ] == [(text, 7, 2), ("wrapped", 9, 40), (None, None, None)]
            assert tx.accounts.count_imported() == 2
            assert tx.accounts.slowest_imported() == 40
            tx.accounts.set_password(ids[1], "ours", None)
            assert (tx.accounts.count_imported(), tx.accounts.slowest_imported()) == (1, 2)
            tx.accounts.set_password(ids[0], "ours", None)
            assert (tx.accounts.count_imported(), tx.accounts.slowest_imported()) == (0, 0)
            changed = tx.accounts.get(ids[0])
            assert changed
            assert (changed.password_hash, changed.password_set_at) == ("ours", 7)


class PublishedRules(StoreSteps):
    """Accounts are the users of published batches, and no others."""

    @pytest.mark.parametrize("state", ["open", "dropped", "expired"])
    def test_users_of_a_batch_that_is_not_published_are_no_accounts(
        self, store: Store, reserve: Any, state: str
    ) -> None:
        batch = self.add(store, 1)
        reserve(batch, "a@x.org")
        if state != "open":
            self.end(store, batch, state)
        with store.read() as tx:
            assert self.live(tx) == []
            assert tx.accounts.find("a@x.org") is None
            assert tx.users.list_named("Jane", "", 1) == []
            assert tx.users.list_created(batch.batch_id, "", 10) == []

    def test_all_users_of_a_batch_become_accounts_at_one_moment(
        self, store: Store, reserve: Any
    ) -> None:
        batch = self.add(store, 1)
        fields = {"lastname": "Doe", "title": "CTO", "is_sso_user": True, "external_id": None}
        reserve(batch, "c@x.org", "a@x.org", "b@x.org", **fields)
        with store.read() as tx:
            assert self.live(tx) == []
            self.end(store, batch, "published")
            assert self.live(tx) == []
        with store.read() as tx:
            assert self.live(tx) == ["c@x.org", "a@x.org", "b@x.org"]
            user, *_ = list_users(tx, limit=9)
        user_id = user_row(batch, 0, "").user_id
        assert user == UserRecord(
            *(user_id, "c@x.org", "Jane", 5_000, "collaborator", None),
            suspended_by_sync=False,
            last_sign_in=None,
            **fields,  # type: ignore[arg-type]  # a mapping of the fields
        )
        assert user.is_sso_user is True  # and not 1

    def test_created_users_are_listed_in_pages_in_the_order_of_the_input(
        self, store: Store, reserve: Any
    ) -> None:
        batch, neighbour = self.add(store, 1), self.add(store, 2)
        reserve(neighbour, "z@x.org")
        reserve(batch, *(f"u{9 - at}@x.org" for at in range(10)), title="CTO", is_sso_user=True)
        self.end(store, batch, "published")
        self.end(store, neighbour, "published")
        seen: list[UserRecord] = []
        with store.read() as tx:
            while page := tx.users.list_created(
                batch.batch_id, seen[-1].user_id if seen else "", 4
            ):
                assert len(page) <= 4
                seen += page
        assert [user.email for user in seen] == [f"u{9 - at}@x.org" for at in range(10)]
        assert seen[0] == UserRecord(
            user_id=user_row(batch, 0, "").user_id,
            email="u9@x.org",
            name="Jane",
            created_at=5_000,
            permission_level="collaborator",
            suspended_at=None,
            lastname=None,
            title="CTO",
            is_sso_user=True,
            external_id=None,
            suspended_by_sync=False,
            last_sign_in=None,
        )
        assert seen[0].is_sso_user is True  # and not 1


class ListingRules(StoreSteps):
    """Accounts are listed in pages and filtered."""

    def test_accounts_are_listed_in_pages(self, store: Store, reserve: Any) -> None:
        first, second = self.add(store, 1), self.add(store, 2)
        reserve(second, "c@x.org", "d@x.org")
        reserve(first, "a@x.org", "b@x.org", "e@x.org")
        self.end(store, second, "published")
        self.end(store, first, "published")
        seen: list[UserRecord] = []
        with store.read() as tx:
            while page := list_users(tx, after=seen[-1].user_id if seen else "", limit=2):
                seen += page
        assert [user.email[0] for user in seen] == ["a", "b", "e", "c", "d"]

    def test_a_list_jumps_over_the_rows_of_an_open_batch(
        self, store: Store, reserve: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.publish(store, 1, "a@x.org")
        reserve(self.add(store, 2), *(f"{number}@open.org" for number in range(60)))
        self.publish(store, 3, "b@x.org", "c@x.org")
        for email, name in (("", ""), ("x.org", "jane")):
            with store.read() as tx:
                count, rows = 0, tx.connection.rows

                def counted(*args: Any, rows: Any = rows) -> Any:
                    nonlocal count
                    count += 1
                    return rows(*args)

                with monkeypatch.context() as patched:
                    patched.setattr(tx.connection, "rows", counted)
                    found = list_users(tx, Filters(email=email, name=name), limit=2)
            assert [user.email[0] for user in found] == ["a", "b"]
            assert count <= 9  # three for each block; without jumps there would be 31 blocks

    def test_a_listed_account_shows_since_when_it_is_suspended(self, store: Store) -> None:
        batch = self.publish(store, 1, "a@x.org", "b@x.org")
        for at in (7, None):
            with store.write() as tx:
                tx.accounts.set_suspended(user_id_of(batch, 1), at)
            with store.read() as tx:
                listed = list_users(tx, limit=9)
                namesakes = tx.users.list_named("Jane", "", 9)
            for users in (listed, namesakes):
                assert [user.suspended_at for user in users] == [None, at]

    def test_only_suspended_accounts_are_listed_in_pages(self, store: Store, reserve: Any) -> None:
        batch = self.publish(store, 1, *(f"{letter}@x.org" for letter in "fedcba"))
        reserve(self.add(store, 2), "open@x.org")
        with store.write() as tx:
            for position in (4, 0, 3, 5):
                tx.accounts.set_suspended(user_id_of(batch, position), 7)
            tx.accounts.set_suspended(user_id_of(batch, 3), None)
        seen: list[UserRecord] = []
        with store.read() as tx:
            while page := list_users(
                tx, Filters(suspended=True), after=seen[-1].user_id if seen else "", limit=2
            ):
                assert len(page) == min(2, 3 - len(seen))  # the filter comes before the limit
                seen += page
            assert [user.email[0] for user in seen] == ["f", "b", "a"]
            assert self.live(tx, email="a@", suspended=True) == ["a@x.org"]
            assert self.live(tx, email="c@", suspended=True) == []
            assert self.live(tx, name="nobody", suspended=True) == []

    def test_accounts_are_found_by_parts_of_their_email_and_name(
        self, store: Store, reserve: Any
    ) -> None:
        batch = self.add(store, 1)
        reserve(batch, "Jane.Doe@Corp.local", name="Jane")
        reserve(batch, "hans@x.org", first=1, name="STRASSE 50%")
        reserve(batch, "anna@x.org", first=2, name="Straße_")
        self.end(store, batch, "published")
        with store.read() as tx:
            assert self.live(tx, email="doe@corp") == ["Jane.Doe@Corp.local"]
            assert self.live(tx, email="x.org") == ["hans@x.org", "anna@x.org"]
            assert self.live(tx, name="strasse") == ["hans@x.org", "anna@x.org"]
            assert self.live(tx, email="anna", name="strasse") == ["anna@x.org"]
            assert self.live(tx, name="%") == ["hans@x.org"]
            assert self.live(tx, name="_") == ["anna@x.org"]

    def test_namesakes_have_exactly_the_name_and_are_limited(
        self, store: Store, reserve: Any
    ) -> None:
        batch = self.add(store, 1)
        reserve(batch, "a@x.org", "b@x.org", "c@x.org")
        reserve(batch, "jane@x.org", first=3, name="jane")
        self.end(store, batch, "published")
        with store.read() as tx:
            assert [user.email for user in tx.users.list_named("Jane", "", 2)] == [
                "a@x.org",
                "b@x.org",
            ]
            assert [user.email for user in tx.users.list_named("jane", "", 2)] == ["jane@x.org"]
            assert tx.users.list_named("Jan", "", 2) == []
            first = tx.users.list_named("Jane", "", 1)[0].user_id
            rest = tx.users.list_named("Jane", first, 9)
            assert [user.email for user in rest] == ["b@x.org", "c@x.org"]


class CredentialRules(StoreSteps):
    """Accounts with neither a password nor an identity provider to sign in with are listed."""

    @pytest.fixture
    def batch(self, store: Store, reserve: Any) -> BatchRecord:
        """Publish: nothing, a password, SSO, SSO and a password, nothing and suspended, nothing."""
        before, batch, later = (self.add(store, number) for number in (1, 2, 3))
        reserve(before, "before@x.org")
        reserve(later, "later@x.org")
        for at, sso in enumerate([False, False, True, True, False, False]):
            reserve(batch, f"u{at}@x.org", first=at, is_sso_user=sso)
        for each in (before, batch, later):
            self.end(store, each, "published")
        with store.write() as tx:
            for at in (1, 3):
                tx.accounts.set_password(user_id_of(batch, at), "hash", None)
            tx.accounts.set_suspended(user_id_of(batch, 4), 7)
        return batch

    @pytest.mark.parametrize(
        ("which", "expected"), [("store", [0, 2, 5]), ("store_with_provider", [0, 5])]
    )
    def test_accounts_without_credentials_are_listed_and_counted(
        self, request: pytest.FixtureRequest, batch: BatchRecord, which: str, expected: list[int]
    ) -> None:
        ids = [user_id_of(batch, at) for at in expected]
        with request.getfixturevalue(which).read() as tx:
            found = tx.users.list_without_credentials(batch.batch_id, "", 9)
            assert [account.user_id for account in found] == ids
            assert found[0] == list_users(tx, Filters(email="u0@"), limit=1)[0]
            counts = tx.users.count_accounts(batch.batch_id)
            assert counts == AccountCounts(all=6, without_credentials=len(ids))
            none = tx.users.count_accounts("bat_none")
            assert none == AccountCounts(0, 0)

    @pytest.mark.parametrize(("which", "expected"), [("store", 4), ("store_with_provider", 1)])
    def test_those_of_a_new_batch_are_counted_by_its_chunks(
        self, request: pytest.FixtureRequest, store: Store, which: str, expected: int
    ) -> None:
        batch = self.add(store, 4)
        with store.write() as tx:
            tx.chunks.save(batch.id, chunk_row(0, users=3, passwords=1, sso_users=2), [])
            chunk = chunk_row(1, users=5, passwords=1, suspended=2, sso_users=1)
            tx.chunks.save(batch.id, chunk, [])
        with request.getfixturevalue(which).read() as tx:
            counts = tx.chunks.count_accounts(batch.id)
            assert counts == AccountCounts(all=8, without_credentials=expected)
            assert tx.chunks.count_accounts(0) == AccountCounts(0, 0)

    def test_they_are_listed_in_pages(self, store: Store, batch: BatchRecord) -> None:
        seen: list[str] = []
        with store.read() as tx:
            while page := tx.users.list_without_credentials(
                batch.batch_id, seen[-1] if seen else "", 2
            ):
                assert len(page) <= 2
                seen += [account.user_id for account in page]
        assert seen == [user_id_of(batch, at) for at in (0, 2, 5)]

    def test_a_page_starts_and_ends_within_its_batch(
        self, store_with_provider: Store, batch: BatchRecord
    ) -> None:
        with store_with_provider.read() as tx:
            early = tx.users.list_without_credentials(batch.batch_id, "usr_", 9)
            late = tx.users.list_without_credentials(batch.batch_id, "usr_g", 9)
            users = tx.users.list_created(batch.batch_id, "usr_", 9)
        assert [account.email for account in early] == ["u0@x.org", "u5@x.org"]
        assert late == []
        assert [user.email for user in users] == [f"u{at}@x.org" for at in range(6)]

    @pytest.mark.parametrize("state", ["open", "dropped", "expired"])
    def test_users_of_a_batch_that_is_not_published_are_not_listed(
        self, store: Store, reserve: Any, state: str
    ) -> None:
        batch = self.add(store, 1)
        reserve(batch, "a@x.org")
        if state != "open":
            self.end(store, batch, state)
        for begin in (store.read, store.write):
            with begin() as tx:
                assert tx.users.list_without_credentials(batch.batch_id, "", 9) == []
                counts = tx.users.count_accounts(batch.batch_id)
                assert counts == AccountCounts(0, 0)


class UserRules(HashRules, PublishedRules, ListingRules, CredentialRules):
    """Every rule of users, hashes and listings."""
