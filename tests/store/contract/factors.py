"""The rules of second factors, recovery codes and challenges: see `transaction.Transaction`."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from msgspec import structs
from tests.store.contract.steps import StoreSteps, list_users, session_row, user_id_of

from anyscale.server.store.records.factors import FactorRecord, FactorState
from anyscale.server.store.records.search import Filters
from anyscale.server.store.transaction import Store, Transaction

Use = Callable[[Transaction], bool]

#: transactions that use one thing at the same time
AT_ONCE = 8


def app_row(number: int, user_id: str, **fields: Any) -> FactorRecord:
    values: dict[str, Any] = {"kind": "totp", "name": "Phone", "seed": "ciphertext"}
    return _row(number, user_id, values | fields)


def passkey_row(number: int, user_id: str, **fields: Any) -> FactorRecord:
    values: dict[str, Any] = {
        "kind": "passkey",
        "name": "Key",
        "credential_id": number.to_bytes(32),
        "public_key": b"key",
        "counter": 0,
        "can_be_backed_up": True,
        "transports": "internal hybrid",
        "rp_id": "accounts.example.org",
    }
    return _row(number, user_id, values | fields)


def _row(number: int, user_id: str, values: dict[str, Any]) -> FactorRecord:
    common: dict[str, Any] = {
        "factor_id": f"fac_{number}",
        "created_at": 1_000,
        "confirmed_at": 1_000,
    }
    return FactorRecord(user_id=user_id, **(common | values))


class FactorRules(StoreSteps):
    """Each account has its own factors, and what is used once is used once."""

    def test_an_account_has_the_factors_that_were_added_to_it(self, store: Store) -> None:
        app, passkey = app_row(1, "usr_a"), passkey_row(2, "usr_a")
        with store.write() as tx:
            for factor in (app, passkey, app_row(3, "usr_b")):
                assert tx.factors.add(factor)
                assert "ciphertext" not in repr(factor)
        with store.read() as tx:
            assert tx.factors.list("usr_a") == [app, passkey]
            assert tx.factors.find_passkey((2).to_bytes(32)) == passkey
            assert tx.factors.find_passkey(b"") is None

    def test_a_factor_counts_once_its_first_code_was_shown(self, store: Store) -> None:
        with store.write() as tx:
            app = app_row(1, "usr_a", confirmed_at=None)
            tx.factors.add(app)
            assert tx.factors.kinds("usr_a") == frozenset()
            assert (tx.factors.list("usr_a"), tx.factors.pending_app("usr_a")) == ([], app)
            assert tx.factors.pending_app("usr_b") is None
            tx.factors.confirm("fac_1", "Phone", 2_000)
            assert tx.factors.kinds("usr_a") == {"totp"}
            assert tx.factors.list("usr_a") == [structs.replace(app, confirmed_at=2_000)]
            assert tx.factors.pending_app("usr_a") is None
            tx.factors.add(passkey_row(2, "usr_a"))
            assert tx.factors.kinds("usr_a") == {"totp", "passkey"}

    def test_a_passkey_belongs_to_one_account(self, store: Store) -> None:
        with store.write() as tx:
            assert tx.factors.add(passkey_row(1, "usr_a"))
            same = structs.replace(passkey_row(2, "usr_b"), credential_id=(1).to_bytes(32))
            assert not tx.factors.add(same)
            assert tx.factors.list("usr_b") == []

    def test_only_the_account_that_has_a_factor_can_delete_it(self, store: Store) -> None:
        with store.write() as tx:
            tx.factors.add(app_row(1, "usr_a"))
            tx.factors.add(app_row(2, "usr_a"))
            assert not tx.factors.delete("usr_b", "fac_1")
            assert tx.factors.delete("usr_a", "fac_1")
            assert not tx.factors.delete("usr_a", "fac_\0")
            tx.factors.delete_all("usr_a")
            assert tx.factors.list("usr_a") == []

    def test_accounts_are_counted_and_listed_by_whether_a_factor_of_them_counts(
        self, store: Store
    ) -> None:
        batch = self.publish(store, 1, *(f"{letter}@x.org" for letter in "abcdefg"))
        ids = [user_id_of(batch, at) for at in range(7)]
        with store.write() as tx:
            for number, letter in enumerate("aabc"):
                tx.factors.add(app_row(number, ids["abcdefg".index(letter)]))
            tx.factors.add(app_row(4, ids[3], confirmed_at=None))
            tx.factors.add(app_row(5, "usr_deleted"))
            for suspended in (ids[1], ids[6]):
                tx.accounts.set_suspended(suspended, 7)
            for owner in (ids[1], ids[2], ids[3], ids[4], ids[6]):
                tx.accounts.set_role(owner, "owner")
        without = Filters(without_second_factor=True)
        with store.read() as tx:
            assert tx.factors.count_accounts() == len("ac")
            assert tx.factors.count_owners_without() == len("de")
            listed = list_users(tx, filters=without, limit=9)
            assert [user.email[0] for user in listed] == ["d", "e", "f"]

    def test_a_time_step_is_used_once_and_no_older_one_after_it(self, store: Store) -> None:
        with store.write() as tx:
            tx.factors.add(app_row(1, "usr_a"))
            assert tx.factors.use_step("fac_1", 7, 5_000)
            assert not tx.factors.use_step("fac_1", 7, 6_000)
            assert not tx.factors.use_step("fac_1", 6, 6_000)
            assert tx.factors.use_step("fac_1", 8, 7_000)
            (found,) = tx.factors.list("usr_a")
        assert (found.last_step, found.used_at) == (8, 7_000)

    def test_a_recovery_code_is_of_one_account_and_used_once(self, store: Store) -> None:
        with store.write() as tx:
            tx.recovery_codes.replace("usr_a", [b"1", b"2"])
            assert not tx.recovery_codes.use("usr_b", b"1")
            assert tx.recovery_codes.exists("usr_a", b"1")
            assert not tx.recovery_codes.exists("usr_b", b"1")
            assert tx.recovery_codes.use("usr_a", b"1")
            assert not tx.recovery_codes.use("usr_a", b"1")
            assert tx.recovery_codes.count("usr_a") == 1
            tx.recovery_codes.replace("usr_a", [b"3"])
            assert not tx.recovery_codes.use("usr_a", b"2")

    def test_used_challenges_are_deleted_after_they_expire(self, store: Store) -> None:
        with store.write() as tx:
            assert tx.used_challenges.add(b"c", 5_000)
            tx.used_challenges.purge(4_999)
            assert not tx.used_challenges.add(b"c", 5_000)
            tx.used_challenges.purge(5_000)
            assert tx.used_challenges.add(b"c", 5_000)

    @pytest.mark.parametrize("what", ["step", "recovery code", "challenge", "counter"])
    def test_of_several_that_use_one_thing_one_succeeds(self, store: Store, what: str) -> None:
        passkey = passkey_row(2, "usr_a")
        uses: dict[str, Use] = {
            "step": lambda tx: tx.factors.use_step("fac_1", 7, 5_000),
            "recovery code": lambda tx: tx.recovery_codes.use("usr_a", b"1"),
            "challenge": lambda tx: tx.used_challenges.add(b"c", 5_000),
            "counter": lambda tx: tx.factors.use_passkey(passkey, 1, 5_000),
        }
        with store.write() as tx:
            tx.factors.add(app_row(1, "usr_a"))
            tx.factors.add(passkey)
            tx.recovery_codes.replace("usr_a", [b"1"])
        barrier = Barrier(AT_ONCE)

        def use(_: int) -> bool:
            barrier.wait()
            with store.write() as tx:
                return uses[what](tx)

        with ThreadPoolExecutor(AT_ONCE) as pool:
            assert sum(pool.map(use, range(AT_ONCE))) == 1

    def test_an_account_without_a_state_has_an_empty_one(self, store: Store) -> None:
        state = FactorState(user_id="usr_a", required_since=7, failures=3, window_failures=2)
        with store.write() as tx:
            assert tx.factor_states.get("usr_a") == FactorState(user_id="usr_a")
            tx.factor_states.save(state)
            tx.factor_states.save(structs.replace(state, failures=4))
            assert tx.factor_states.get("usr_a") == structs.replace(state, failures=4)

    def test_a_second_factor_is_due_in_all_sessions_of_an_account(self, store: Store) -> None:
        sessions = [session_row(1, "usr_a"), session_row(2, "usr_a"), session_row(3, "usr_b")]
        with store.write() as tx:
            for session in sessions:
                tx.sessions.add(session)
            tx.sessions.set_factor_due("usr_a", 7_000)
            due = [tx.sessions.get(session.hash) for session in sessions]
            assert [one and one.factor_due_at for one in due] == [7_000, 7_000, None]
            tx.sessions.set_factor_due("usr_a", None)
            assert tx.sessions.get(sessions[0].hash) == sessions[0]

    def test_the_sign_ins_of_the_other_sessions_are_forgotten(self, store: Store) -> None:
        sessions = [session_row(number, "usr_a", authenticated_at=5) for number in (1, 2)]
        sessions.append(session_row(3, "usr_b", authenticated_at=5))
        with store.write() as tx:
            for session in sessions:
                tx.sessions.add(session)
            tx.sessions.forget_sign_ins("usr_a", "ses_2")
            found = [tx.sessions.get(session.hash) for session in sessions]
        assert [one and one.authenticated_at for one in found] == [None, 5, 5]

    def test_deleting_an_account_deletes_its_factors_and_codes(self, store: Store) -> None:
        batch = self.publish(store, 1, "a@x.org", "b@x.org")
        gone, kept = user_id_of(batch, 0), user_id_of(batch, 1)
        with store.write() as tx:
            for number, user_id in enumerate((gone, kept)):
                tx.factors.add(app_row(number, user_id))
                tx.recovery_codes.replace(user_id, [number.to_bytes(32)])
                tx.factor_states.save(FactorState(user_id=user_id, failures=1))
            tx.accounts.lock([gone])
            tx.accounts.delete(gone)
        with store.read() as tx:
            found = [
                (
                    len(tx.factors.list(one)),
                    tx.recovery_codes.count(one),
                    tx.factor_states.get(one).failures,
                )
                for one in (gone, kept)
            ]
        assert found == [(0, 0, 0), (1, 1, 1)]
