"""The rules of what is asked for several at once, as tests: see `testing.StoreContract`."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TypeVar

import pytest
from tests.store.contract.steps import (
    StoreSteps,
    rows_of,
    session_row,
    user_id_of,
    user_row,
)

from anyscale.server.store.interface import AuditRecord, Store

__all__ = ["TogetherRules"]

Item = TypeVar("Item")

_EMAILS = [f"u{at}@x.org" for at in range(4)]


def _in_order(items: Sequence[Item], number: int) -> list[Item]:
    """Give items in an order that differs from number to number."""
    first = number % len(items)
    turned = [*items[first:], *items[:first]]
    return turned[::-1] if number % 2 else turned


class SeveralAccountRules(StoreSteps):
    """Accounts are found and held together as they are one by one."""

    def test_those_that_there_are_are_found_by_their_emails_and_by_their_ids(
        self, store: Store
    ) -> None:
        ids = self._ids(store)
        others = ["none@x.org", "u0@x.org\0", ids[0]]
        for begin in (store.read, store.write):
            with begin() as rows:
                found = rows.accounts_with([*others, *_EMAILS[1:], *_EMAILS[1:]])
                assert found == {key: rows.account(email_key=key) for key in _EMAILS[1:]}
                assert rows.accounts_with([]) == {}
        with store.write() as rows:
            held = rows.hold_accounts([*ids[1:], "usr_none", f"{ids[0]}\0", _EMAILS[0]])
            assert held == {user_id: rows.account(user_id=user_id) for user_id in ids[1:]}
            assert rows.hold_accounts([]) == {}

    @pytest.mark.parametrize("state", ["open", "dropped", "expired"])
    def test_rows_of_batches_that_are_not_published_are_none(
        self, store: Store, state: str
    ) -> None:
        ids = self._ids(store)
        batch = self.add(store, 2)
        with store.write() as rows:
            rows.insert_users(batch.id, rows_of([user_row(batch, 0, "v@x.org")]))
        if state != "open":
            self.end(store, batch, state)
        with store.write() as rows:
            assert [*rows.accounts_with([_EMAILS[0], "v@x.org"])] == _EMAILS[:1]
            assert [*rows.hold_accounts([ids[0], user_id_of(batch, 0)])] == ids[:1]

    def test_whoever_holds_them_is_over_before_the_next_one_sees_them(self, store: Store) -> None:
        ids = self._ids(store)
        start = Barrier(8)

        def count_up(number: int) -> None:
            mine = _in_order(ids, number)[:3]
            start.wait()
            for _ in range(5):
                with store.write() as rows:
                    for user_id, account in rows.hold_accounts(mine).items():
                        rows.set_password(user_id, str(int(account.password_hash or 0) + 1), None)

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(count_up, range(8)))
        counts = [int(self.account(store, user_id).password_hash or 0) for user_id in ids]
        assert sum(counts) == 8 * 5 * 3

    def _ids(self, store: Store) -> list[str]:
        batch = self.publish(store, 1, *_EMAILS)
        return [user_id_of(batch, at) for at in range(len(_EMAILS))]


class SeveralSessionRules(StoreSteps):
    """Sessions are found and ended together, and no others are."""

    def test_sessions_are_found_by_their_hashes_whosever_they_are(self, store: Store) -> None:
        sessions = [session_row(number, f"usr_{number % 2}") for number in range(4)]
        with store.write() as rows:
            rows.add_sessions([])
            rows.add_sessions(sessions)
        with store.read() as rows:
            hashes = [bytes(31), *(session.hash for session in sessions[1:])]
            found = rows.sessions_with(hashes + hashes)
            assert sorted(found, key=lambda row: row.session_id) == sessions[1:]
            assert list(rows.sessions_with([])) == []

    def test_each_is_ended_once_and_who_ends_it_is_told(self, store: Store) -> None:
        sessions = [session_row(number, f"usr_{number % 2}") for number in range(4)]
        with store.write() as rows:
            rows.add_sessions(sessions)
            assert set(rows.end_each(["ses_1", "ses_2", "ses_1", "ses_none"])) == {"ses_1", "ses_2"}
            assert set(rows.end_each(["ses_1", "ses_3", "ses_0\0"])) == {"ses_3"}
            assert set(rows.end_each(["ses_0\0"])) == set()
            assert set(rows.end_each([])) == set()
        with store.read() as rows:
            assert list(rows.sessions_with([row.hash for row in sessions])) == sessions[:1]

    def test_of_several_who_end_the_same_ones_one_does(self, store: Store) -> None:
        numbers = range(6)
        with store.write() as rows:
            rows.add_sessions([session_row(number, "usr_a") for number in numbers])
        start = Barrier(8)

        def end(number: int) -> int:
            ids = [f"ses_{which}" for which in _in_order(numbers, number)]
            start.wait()
            with store.write() as rows:
                return len(rows.end_each(ids))

        with ThreadPoolExecutor(8) as pool:
            assert sorted(pool.map(end, range(8))) == [0] * 7 + [6]


class SeveralDeviceRules(StoreSteps):
    """Of browsers and accounts, those that belong together are known."""

    def test_a_pair_is_known_and_not_each_with_each(self, store: Store) -> None:
        pairs = {(b"one", "usr_a"), (b"two", "usr_b")}
        others = {(b"one", "usr_b"), (b"two", "usr_a"), (b"", ""), (b"one", "usr_a\0")}
        with store.write() as rows:
            rows.remember_devices([], 100)
            rows.remember_devices([*pairs, *pairs], 100)
            rows.remember_devices({(b"one", "usr_a")}, 200)
        with store.read() as rows:
            assert set(rows.known_devices(pairs | others, 100)) == pairs
            assert set(rows.known_devices(pairs | others, 101)) == {(b"one", "usr_a")}
            assert set(rows.known_devices(others, 0)) == set()
            assert set(rows.known_devices([], 0)) == set()


class SeveralEntryRules(StoreSteps):
    """Entries of the trail are appended together, in their order."""

    def test_entries_that_are_added_together_are_all_there(self, store: Store) -> None:
        entries = [AuditRecord(at, at, "a", "e", "s", "{}", bytes([at])) for at in range(1, 6)]
        with store.write() as rows:
            rows.add_audit(entries[:2])
            rows.add_audit([])
            rows.add_audit(entries[2:])
            assert rows.last_audit() == entries[-1]
        with store.read() as rows:
            assert list(rows.audit(0, 10)) == entries


class TogetherRules(
    SeveralAccountRules, SeveralSessionRules, SeveralDeviceRules, SeveralEntryRules
):
    """Every rule of what is asked for several at once."""
