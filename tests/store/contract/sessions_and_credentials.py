"""The rules of sessions, devices, links and identities: see `interface.Transaction`."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TYPE_CHECKING

import pytest
from msgspec import structs
from tests.store.contract.steps import StoreSteps, link_row, session_row, user_id_of

from anyscale.server.store.records.login import HalfSignInRecord, SessionRecord
from anyscale.server.store.transaction import Store, Transaction

if TYPE_CHECKING:
    from collections.abc import Callable


class SessionRules(StoreSteps):
    """Sessions are found, touched and deleted, each account's by itself."""

    def test_a_session_is_found_by_its_hash(self, store: Store) -> None:
        session = session_row(1, "usr_a")
        self._add(store, session, session_row(2, "usr_a"))
        with store.read() as tx:
            assert tx.sessions.get(session.hash) == session
            assert tx.sessions.get(bytes(32)) is None

    def test_a_session_is_found_with_its_account_if_that_exists(self, store: Store) -> None:
        batch = self.publish(store, 1, "a@x.org", "b@x.org", is_sso_user=True)
        user_id = user_id_of(batch, 1)
        session, orphan = session_row(1, user_id), session_row(2, "usr_none")
        self._add(store, session, orphan, session_row(3, user_id_of(batch, 0)))
        with store.read() as tx:
            assert tx.sessions.find(session.hash) == (session, tx.accounts.get(user_id))
            assert tx.sessions.find(orphan.hash) is None
            assert tx.sessions.find(bytes(32)) is None

    @pytest.mark.parametrize("method", ["password", "link", "sso", "passkey"])
    def test_a_session_keeps_its_sign_in_method(self, store: Store, method: str) -> None:
        session = session_row(1, "usr_a", auth_method=method)
        self._add(store, session)
        with store.read() as tx:
            assert tx.sessions.get(session.hash) == session

    def test_the_sessions_of_an_account_come_latest_first(self, store: Store) -> None:
        # Their ids sort otherwise, and so does the order in which they are inserted.
        ages = {"ses_1": 3_000, "ses_2": 1_000, "ses_10": 2_000, "ses_3": 1_000}
        sessions = [
            session_row(number, "usr_a", session_id=session_id, created_at=created_at)
            for number, (session_id, created_at) in enumerate(ages.items())
        ]
        self._add(store, *sessions, session_row(9, "usr_b"))
        assert self._left(store, "usr_a") == ["ses_1", "ses_10", "ses_3", "ses_2"]
        assert self._left(store, "usr_none") == []

    def test_touching_a_session_changes_no_other_one(self, store: Store) -> None:
        first, second = session_row(1, "usr_a"), session_row(2, "usr_a")
        self._add(store, first, second)
        with store.write() as tx:
            tx.sessions.touch(first.session_id, 7_000)
            tx.sessions.touch("ses_none", 7_000)
        with store.read() as tx:
            assert tx.sessions.get(first.hash) == structs.replace(first, used_at=7_000)
            assert tx.sessions.get(second.hash) == second

    def test_renewing_a_session_changes_when_its_user_was_present_and_no_other_session(
        self, store: Store
    ) -> None:
        first, second = session_row(1, "usr_a"), session_row(2, "usr_a")
        self._add(store, first, second)
        with store.write() as tx:
            tx.sessions.renew(first.session_id, 7_000, "pwd otp mfa")
            tx.sessions.renew("ses_none", 7_000, "pwd")
        with store.read() as tx:
            renewed = structs.replace(first, authenticated_at=7_000, methods="pwd otp mfa")
            assert tx.sessions.get(first.hash) == renewed
            assert tx.sessions.get(second.hash) == second

    @pytest.mark.parametrize(
        ("only", "but", "left"),
        [
            ("", "", []),
            ("ses_2", "", ["ses_3", "ses_1"]),
            ("", "ses_2", ["ses_2"]),
            ("ses_2", "ses_2", ["ses_3", "ses_2", "ses_1"]),
            ("ses_4", "", ["ses_3", "ses_2", "ses_1"]),
            ("ses_none", "", ["ses_3", "ses_2", "ses_1"]),
            ("", "ses_none", []),
        ],
    )
    def test_one_session_is_deleted_or_all_or_all_but_one_and_never_those_of_others(
        self, store: Store, only: str, but: str, left: list[str]
    ) -> None:
        self._add(store, *(session_row(number, "usr_a") for number in (1, 2, 3)))
        self._add(store, session_row(4, "usr_b"))
        with store.write() as tx:
            assert tx.sessions.delete("usr_a", only=only, keep=but) == 3 - len(left)
            assert tx.sessions.delete("usr_a", only=only, keep=but) == 0
        assert self._left(store, "usr_a") == left
        assert self._left(store, "usr_b") == ["ses_4"]

    def test_the_sessions_of_one_sign_in_method_are_deleted_and_no_others(
        self, store: Store
    ) -> None:
        for number, method in enumerate(["sso", "password", "link", "sso"]):
            self._add(store, session_row(number, "usr_a", auth_method=method))
        self._add(store, session_row(4, "usr_b", auth_method="sso"))
        with store.write() as tx:
            assert tx.sessions.delete("usr_a", auth_method="sso") == 2
        assert self._left(store, "usr_a") == ["ses_2", "ses_1"]
        assert self._left(store, "usr_b") == ["ses_4"]

    def test_sessions_beyond_either_limit_are_purged(self, store: Store) -> None:
        limits = {1: (100, 9_000), 2: (99, 9_000), 3: (100, 501), 4: (100, 500), 5: (99, 500)}
        for number, (used_at, expires_at) in limits.items():
            self._add(store, session_row(number, "usr_a", used_at=used_at, expires_at=expires_at))
        with store.write() as tx:
            tx.sessions.purge(100, 500)
        assert self._left(store, "usr_a") == ["ses_3", "ses_1"]

    def test_of_transactions_that_delete_the_same_sessions_at_once_one_does(
        self, store: Store
    ) -> None:
        self._add(store, *(session_row(number, "usr_a") for number in range(6)))
        start = Barrier(8)

        def delete(_: int) -> int:
            start.wait()
            with store.write() as tx:
                return tx.sessions.delete("usr_a")

        with ThreadPoolExecutor(8) as pool:
            assert sorted(pool.map(delete, range(8))) == [0] * 7 + [6]

    def _add(self, store: Store, *sessions: SessionRecord) -> None:
        with store.write() as tx:
            for session in sessions:
                tx.sessions.add(session)

    def _left(self, store: Store, user_id: str) -> list[str]:
        with store.read() as tx:
            return [session.session_id for session in tx.sessions.list(user_id)]


class HalfSignInRules(StoreSteps):
    """Half sign-ins end with the sessions of their account, and with the account."""

    def test_they_end_with_all_sessions_of_their_account_and_not_with_one(
        self, store: Store
    ) -> None:
        ends: dict[str, Callable[[Transaction], object]] = {
            "all": lambda tx: tx.sessions.delete("usr_a"),
            "all but one": lambda tx: tx.sessions.delete("usr_a", keep="ses_1"),
            "of many accounts": lambda tx: tx.sessions.delete_of(["usr_a"]),
            "one": lambda tx: tx.sessions.delete("usr_a", only="ses_1"),
        }
        left = {}
        for way, end in ends.items():
            with store.write() as tx:
                tx.half_sign_ins.delete_of(["usr_a", "usr_b"])
                for user_id in ("usr_a", "usr_b"):
                    tx.half_sign_ins.add(half_row(user_id))
                end(tx)
                left[way] = [
                    tx.half_sign_ins.get(half_row(user_id).hash) is not None
                    for user_id in ("usr_a", "usr_b")
                ]
        assert left == {way: [way == "one", True] for way in ends}

    def test_deleting_an_account_deletes_them(self, store: Store) -> None:
        batch = self.publish(store, 1, "a@x.org", "b@x.org")
        gone, kept = half_row(user_id_of(batch, 0)), half_row(user_id_of(batch, 1))
        with store.write() as tx:
            tx.half_sign_ins.add(gone)
            tx.half_sign_ins.add(kept)
            tx.accounts.delete(gone.user_id)
        with store.read() as tx:
            assert tx.half_sign_ins.get(gone.hash) is None
            assert tx.half_sign_ins.get(kept.hash) == kept


def half_row(user_id: str) -> HalfSignInRecord:
    return HalfSignInRecord(user_id.encode(), user_id, "", "password", "pwd", 5, "/", 5)


class LinkRules(StoreSteps):
    """An account has one link of each kind, which one caller consumes."""

    def test_the_newest_link_of_an_account_replaces_the_one_before(self, store: Store) -> None:
        first, second = link_row(1, "usr_a"), link_row(2, "usr_a", created_by="local:joe")
        other = link_row(3, "usr_b")
        with store.write() as tx:
            for link in (first, other, second):
                tx.links.replace(link)
        with store.read() as tx:
            assert tx.links.get(first.hash) is None
            assert tx.links.get(second.hash) == second
            assert tx.links.get(other.hash) == other

    def test_a_link_that_a_user_requests_replaces_none_of_an_administrator(
        self, store: Store
    ) -> None:
        of_admin, first, second = (
            link_row(1, "usr_a"),
            link_row(2, "usr_a", kind="self"),
            link_row(3, "usr_a", kind="self"),
        )
        with store.write() as tx:
            for link in (first, of_admin, second):
                tx.links.replace(link)
        with store.read() as tx:
            kept = [tx.links.get(link.hash) for link in (of_admin, first, second)]
            assert kept == [of_admin, None, second]
            assert tx.links.find("usr_a", 0) == of_admin
            assert tx.links.unused(["usr_a"], 0).count == 1

    def test_of_links_that_are_created_at_once_one_is_left(self, store: Store) -> None:
        links = [link_row(number, "usr_a") for number in range(8)]
        start = Barrier(8)

        def put(number: int) -> None:
            start.wait()
            with store.write() as tx:
                tx.links.replace(links[number])

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(put, range(8)))
        with store.read() as tx:
            assert sum(tx.links.get(link.hash) == link for link in links) == 1

    def test_reading_a_link_does_not_consume_it(self, store: Store) -> None:
        link = link_row(1, "usr_a")
        with store.write() as tx:
            tx.links.replace(link)
            assert [tx.links.get(link.hash) for _ in range(2)] == [link, link]
            assert tx.links.consume(link.hash) == link
            assert tx.links.consume(link.hash) is None
            assert tx.links.get(link.hash) is None

    def test_a_link_that_eight_consume_at_once_is_consumed_by_one(self, store: Store) -> None:
        link, other = link_row(1, "usr_a"), link_row(2, "usr_b")
        with store.write() as tx:
            tx.links.replace(link)
            tx.links.replace(other)
        start = Barrier(8)

        def take(_: int) -> bool:
            start.wait()
            with store.write() as tx:
                return tx.links.consume(link.hash) == link

        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(take, range(8))) == 1
        with store.read() as tx:
            assert tx.links.get(other.hash) == other

    def test_a_link_stays_if_the_transaction_that_consumes_it_fails(self, store: Store) -> None:
        link = link_row(1, "usr_a")
        with store.write() as tx:
            tx.links.replace(link)

        def fail() -> None:
            with store.write() as tx:
                assert tx.links.consume(link.hash)
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            fail()
        with store.read() as tx:
            assert tx.links.get(link.hash) == link

    def test_expired_links_are_purged(self, store: Store) -> None:
        links = [link_row(at, f"usr_{at}", expires_at=499 + at) for at in range(3)]
        with store.write() as tx:
            for link in links:
                tx.links.replace(link)
            tx.links.purge(500)
            assert [tx.links.get(link.hash) for link in links] == [None, None, links[2]]


class DeviceRules(StoreSteps):
    """A device is known to the accounts to which it has signed in."""

    def test_a_device_is_known_since_it_last_signed_in(self, store: Store) -> None:
        with store.write() as tx:
            tx.devices.save(b"one", "usr_a", 100)
            assert tx.devices.is_known(b"one", "usr_a", 100)
            assert not tx.devices.is_known(b"one", "usr_a", 101)
            tx.devices.save(b"one", "usr_a", 200)
            assert tx.devices.is_known(b"one", "usr_a", 200)
            assert not tx.devices.is_known(b"other", "usr_a", 0)
            assert tx.devices.exists(b"one")
            assert not tx.devices.exists(b"other")

    def test_a_device_of_several_users_is_known_to_each_of_them(self, store: Store) -> None:
        with store.write() as tx:
            tx.devices.save(b"one", "usr_a", 100)
            assert not tx.devices.is_known(b"one", "usr_b", 0)
            tx.devices.save(b"one", "usr_b", 200)
        with store.read() as tx:
            assert tx.devices.is_known(b"one", "usr_b", 200)
            assert tx.devices.is_known(b"one", "usr_a", 100)
            assert not tx.devices.is_known(b"one", "usr_a", 101)
        with store.write() as tx:
            tx.devices.purge(200)
        with store.read() as tx:
            assert tx.devices.is_known(b"one", "usr_b", 0)
            assert not tx.devices.is_known(b"one", "usr_a", 0)

    def test_a_device_is_known_only_to_its_own_account(self, store: Store) -> None:
        with store.write() as tx:
            tx.devices.save(b"one", "usr_a", 100)
            tx.devices.save(b"two", "usr_b", 100)
        with store.read() as tx:
            for device, user_id in [
                (b"one", "usr_b"),
                (b"two", "usr_a"),
                (b"", ""),
                (b"one", "usr_a\0"),
            ]:
                assert not tx.devices.is_known(device, user_id, 0)


class IdentityRules(StoreSteps):
    """A subject of an issuer has one account, and an account has one subject of an issuer."""

    @pytest.mark.parametrize(
        ("issuer", "subject", "user_id", "is_free"),
        [
            ("https://one", "s1", "usr_a", False),
            ("https://one", "s1", "usr_b", False),
            ("https://one", "s2", "usr_a", False),
            ("https://one", "s2", "usr_b", True),
            ("https://one", "S1", "usr_b", True),
            ("https://two", "s1", "usr_a", True),
            ("https://two", "s1", "usr_b", True),
        ],
    )
    def test_neither_side_is_linked_twice(
        self, store: Store, issuer: str, subject: str, user_id: str, is_free: bool
    ) -> None:
        with store.write() as tx:
            assert tx.identities.link("https://one", "s1", "usr_a", 7)
            assert tx.identities.link(issuer, subject, user_id, 8) == is_free
        with store.read() as tx:
            assert tx.identities.find("https://one", "s1") == "usr_a"
            if is_free:
                assert tx.identities.find(issuer, subject) == user_id
            assert tx.identities.find("https://one", "none") is None
            assert tx.identities.find("https://none", "s1") is None
            assert tx.identities.has_issuer("https://one")
            assert not tx.identities.has_issuer("https://none")

    def test_an_account_that_is_unlinked_can_be_linked_to_another_subject(
        self, store: Store
    ) -> None:
        with store.write() as tx:
            for subject, user_id in (("s1", "usr_a"), ("s2", "usr_b")):
                assert tx.identities.link("https://one", subject, user_id, 7)
            assert tx.identities.link("https://two", "s1", "usr_a", 7)
            tx.identities.unlink("usr_a")
        with store.write() as tx:
            assert tx.identities.find("https://one", "s1") is None
            assert tx.identities.find("https://two", "s1") is None
            assert tx.identities.find("https://one", "s2") == "usr_b"
            assert tx.identities.link("https://one", "s3", "usr_a", 8)

    @pytest.mark.parametrize("who", ["one account", "one subject"])
    def test_of_transactions_that_link_at_once_one_does(self, store: Store, who: str) -> None:
        start = Barrier(8)

        def link(number: int) -> bool:
            subject, user_id = f"s{number}", f"usr_{number}"
            start.wait()
            with store.write() as tx:
                if who == "one account":
                    return tx.identities.link("https://one", subject, "usr_a", 7)
                return tx.identities.link("https://one", "s", user_id, 7)

        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(link, range(8))) == 1


class NulCharacterRules(StoreSteps):
    """A search for a text that a database cannot store finds nothing, and breaks no transaction."""

    def test_a_search_with_a_nul_character_finds_nothing(self, store: Store) -> None:
        batch = self.publish(store, 1, "a@x.org")
        for begin in (store.read, store.write):
            with begin() as tx:
                self._search(tx)
                assert tx.accounts.find("a@x.org")
                assert tx.users.count_accounts(batch.batch_id).without_credentials == 1

    def test_no_session_is_deleted_by_a_nul_character(self, store: Store) -> None:
        with store.write() as tx:
            tx.sessions.add(session_row(1, "usr_a"))
            assert tx.sessions.delete("usr_a", only="ses_1\0") == 0
            assert tx.sessions.get(session_row(1, "").hash)

    def _search(self, tx: Transaction) -> None:
        assert tx.accounts.get("usr_\0") is None
        assert tx.accounts.find("a@x.org\0") is None
        assert tx.identities.find("https://\0", "s") is None
        assert tx.identities.find("https://one", "\0") is None
        assert tx.users.list_without_credentials("bat_\0", "", 9) == []
        assert tx.users.list_without_credentials("bat_1", "\0", 9) == []
        assert tx.users.count_accounts("bat_\0").all == 0


class SignInRules(
    SessionRules, HalfSignInRules, LinkRules, DeviceRules, IdentityRules, NulCharacterRules
):
    """Every rule of signing in."""
