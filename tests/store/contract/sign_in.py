"""The rules of what people sign in by, as tests: see `testing.StoreContract`."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from msgspec import structs
from tests.store.contract.steps import StoreSteps, link_row, session_row, user_id_of

from anyscale.server.store.interface import SessionRecord, Store, Transaction

__all__ = ["SignInRules"]


class SessionRules(StoreSteps):
    """Sessions are found, used, ended and forgotten, each account's by itself."""

    def test_a_session_is_found_by_its_hash(self, store: Store) -> None:
        session = session_row(1, "usr_a")
        self._add(store, session, session_row(2, "usr_a"))
        with store.read() as rows:
            assert rows.session(session.hash) == session
            assert rows.session(bytes(32)) is None

    def test_a_session_tells_whose_it_is_as_long_as_that_is_an_account(self, store: Store) -> None:
        batch = self.publish(store, 1, "a@x.org", "b@x.org", is_sso_user=True)
        user_id = user_id_of(batch, 1)
        session, orphan = session_row(1, user_id), session_row(2, "usr_none")
        self._add(store, session, orphan, session_row(3, user_id_of(batch, 0)))
        with store.read() as rows:
            assert rows.member(session.hash) == (session, rows.account(user_id=user_id))
            assert rows.member(orphan.hash) is None
            assert rows.member(bytes(32)) is None

    @pytest.mark.parametrize("way", ["password", "link", "sso"])
    def test_a_session_keeps_by_which_way_it_came_about(self, store: Store, way: str) -> None:
        session = session_row(1, "usr_a", way=way)
        self._add(store, session)
        with store.read() as rows:
            assert rows.session(session.hash) == session

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

    def test_a_session_notes_when_it_was_used_and_no_other_one_does(self, store: Store) -> None:
        first, second = session_row(1, "usr_a"), session_row(2, "usr_a")
        self._add(store, first, second)
        with store.write() as rows:
            rows.use_session(first.session_id, 7_000)
            rows.use_session("ses_none", 7_000)
        with store.read() as rows:
            assert rows.session(first.hash) == structs.replace(first, used_at=7_000)
            assert rows.session(second.hash) == second

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
    def test_one_session_is_ended_or_all_or_all_but_one_and_never_anybody_elses(
        self, store: Store, only: str, but: str, left: list[str]
    ) -> None:
        self._add(store, *(session_row(number, "usr_a") for number in (1, 2, 3)))
        self._add(store, session_row(4, "usr_b"))
        with store.write() as rows:
            assert rows.end_sessions("usr_a", only=only, but=but) == 3 - len(left)
            assert rows.end_sessions("usr_a", only=only, but=but) == 0
        assert self._left(store, "usr_a") == left
        assert self._left(store, "usr_b") == ["ses_4"]

    def test_sessions_that_are_over_by_either_limit_are_forgotten(self, store: Store) -> None:
        limits = {1: (100, 9_000), 2: (99, 9_000), 3: (100, 501), 4: (100, 500), 5: (99, 500)}
        for number, (used_at, expires_at) in limits.items():
            self._add(store, session_row(number, "usr_a", used_at=used_at, expires_at=expires_at))
        with store.write() as rows:
            rows.forget_sessions(100, 500)
        assert self._left(store, "usr_a") == ["ses_3", "ses_1"]

    def _add(self, store: Store, *sessions: SessionRecord) -> None:
        with store.write() as rows:
            rows.add_sessions(sessions)

    def _left(self, store: Store, user_id: str) -> list[str]:
        with store.read() as rows:
            return [session.session_id for session in rows.sessions(user_id)]


class LinkRules(StoreSteps):
    """An account has one link, which one person takes."""

    def test_the_newest_link_of_an_account_replaces_the_one_before(self, store: Store) -> None:
        first, second = link_row(1, "usr_a"), link_row(2, "usr_a", created_by="local:joe")
        other = link_row(3, "usr_b")
        with store.write() as rows:
            for link in (first, other, second):
                rows.put_link(link)
        with store.read() as rows:
            assert rows.link(first.hash) is None
            assert rows.link(second.hash) == second
            assert rows.link(other.hash) == other

    def test_of_links_that_are_made_at_once_one_is_left(self, store: Store) -> None:
        links = [link_row(number, "usr_a") for number in range(8)]
        start = Barrier(8)

        def put(number: int) -> None:
            start.wait()
            with store.write() as rows:
                rows.put_link(links[number])

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(put, range(8)))
        with store.read() as rows:
            assert sum(rows.link(link.hash) == link for link in links) == 1

    def test_looking_at_a_link_does_not_take_it(self, store: Store) -> None:
        link = link_row(1, "usr_a")
        with store.write() as rows:
            rows.put_link(link)
            assert [rows.link(link.hash) for _ in range(2)] == [link, link]
            assert rows.take_link(link.hash) == link
            assert rows.take_link(link.hash) is None
            assert rows.link(link.hash) is None

    def test_a_link_that_eight_take_at_once_is_taken_by_one(self, store: Store) -> None:
        link, other = link_row(1, "usr_a"), link_row(2, "usr_b")
        with store.write() as rows:
            rows.put_link(link)
            rows.put_link(other)
        start = Barrier(8)

        def take(_: int) -> bool:
            start.wait()
            with store.write() as rows:
                return rows.take_link(link.hash) == link

        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(take, range(8))) == 1
        with store.read() as rows:
            assert rows.link(other.hash) == other

    def test_a_link_whose_taking_failed_is_there_still(self, store: Store) -> None:
        link = link_row(1, "usr_a")
        with store.write() as rows:
            rows.put_link(link)

        def fail() -> None:
            with store.write() as rows:
                assert rows.take_link(link.hash)
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            fail()
        with store.read() as rows:
            assert rows.link(link.hash) == link

    def test_links_that_have_expired_are_forgotten(self, store: Store) -> None:
        links = [link_row(at, f"usr_{at}", expires_at=499 + at) for at in range(3)]
        with store.write() as rows:
            for link in links:
                rows.put_link(link)
            rows.forget_sessions(0, 500)
            assert [rows.link(link.hash) for link in links] == [None, None, links[2]]


class DeviceRules(StoreSteps):
    """A browser is known to the accounts that it has signed in to."""

    def test_a_browser_is_known_since_it_last_signed_in(self, store: Store) -> None:
        with store.write() as rows:
            rows.remember_devices([(b"one", "usr_a")], 100)
            assert rows.known_devices([(b"one", "usr_a")], 100)
            assert not rows.known_devices([(b"one", "usr_a")], 101)
            rows.remember_devices([(b"one", "usr_a")], 200)
            assert rows.known_devices([(b"one", "usr_a")], 200)
            assert not rows.known_devices([(b"other", "usr_a")], 0)

    def test_a_browser_that_several_people_use_is_known_to_each_of_them(self, store: Store) -> None:
        with store.write() as rows:
            rows.remember_devices([(b"one", "usr_a")], 100)
            assert not rows.known_devices([(b"one", "usr_b")], 0)
            rows.remember_devices([(b"one", "usr_b")], 200)
        with store.read() as rows:
            assert rows.known_devices([(b"one", "usr_b")], 200)
            assert rows.known_devices([(b"one", "usr_a")], 100)
            assert not rows.known_devices([(b"one", "usr_a")], 101)
        with store.write() as rows:
            rows.forget_devices(200)
        with store.read() as rows:
            assert rows.known_devices([(b"one", "usr_b")], 0)
            assert not rows.known_devices([(b"one", "usr_a")], 0)


class IdentityRules(StoreSteps):
    """A subject of an issuer is one account's, and an account is one subject's of an issuer."""

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
    def test_neither_side_is_tied_twice(
        self, store: Store, issuer: str, subject: str, user_id: str, is_free: bool
    ) -> None:
        with store.write() as rows:
            assert rows.link_identity("https://one", "s1", "usr_a", 7)
            assert rows.link_identity(issuer, subject, user_id, 8) == is_free
        with store.read() as rows:
            assert rows.identified("https://one", "s1") == "usr_a"
            if is_free:
                assert rows.identified(issuer, subject) == user_id
            assert rows.identified("https://one", "none") is None
            assert rows.identified("https://none", "s1") is None

    @pytest.mark.parametrize("who", ["one account", "one subject"])
    def test_of_several_that_tie_at_once_one_does(self, store: Store, who: str) -> None:
        start = Barrier(8)

        def tie(number: int) -> bool:
            subject, user_id = f"s{number}", f"usr_{number}"
            start.wait()
            with store.write() as rows:
                if who == "one account":
                    return rows.link_identity("https://one", subject, "usr_a", 7)
                return rows.link_identity("https://one", "s", user_id, 7)

        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(tie, range(8))) == 1


class UnheardOfRules(StoreSteps):
    """What no database can hold is found nowhere, and a transaction goes on after the question."""

    def test_what_is_asked_with_a_nul_character_is_found_nowhere(self, store: Store) -> None:
        batch = self.publish(store, 1, "a@x.org")
        for begin in (store.read, store.write):
            with begin() as rows:
                self._ask(rows)
                assert rows.account(email_key="a@x.org")
                assert rows.count_without_way_in(batch.batch_id, sso=False) == 1

    def test_no_session_is_ended_by_a_nul_character(self, store: Store) -> None:
        with store.write() as rows:
            rows.add_sessions([session_row(1, "usr_a")])
            assert rows.end_sessions("usr_a", only="ses_1\0") == 0
            assert rows.session(session_row(1, "").hash)

    def _ask(self, rows: Transaction) -> None:
        assert rows.account(user_id="usr_\0") is None
        assert rows.account(email_key="a@x.org\0") is None
        assert rows.identified("https://\0", "s") is None
        assert rows.identified("https://one", "\0") is None
        assert rows.without_way_in("bat_\0", sso=False, after="", limit=9) == []
        assert rows.without_way_in("bat_1", sso=False, after="\0", limit=9) == []
        assert rows.count_without_way_in("bat_\0", sso=False) == 0


class SignInRules(SessionRules, LinkRules, DeviceRules, IdentityRules, UnheardOfRules):
    """Every rule of what people sign in by."""
