"""The rules of the audit log, tokens, purges and server keys: see `transaction.Transaction`."""

import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby, product
from typing import Any

import pytest
from msgspec import structs
from tests.store.contract.steps import StoreSteps, chunk_row, delete_chunk, token_row
from tests.support.databases.locks import wait_until_blocked

from anyscale.domain.models.audit import AuditFilter
from anyscale.errors import StoreUnavailable
from anyscale.server.core.key_replacement import replace_server_keys, what_ends
from anyscale.server.core.server_keys import server_key
from anyscale.server.core.transactions import Transactions
from anyscale.server.store.records.audit import AuditRecord
from anyscale.server.store.records.batches import ConflictRecord
from anyscale.server.store.sql import audit
from anyscale.server.store.transaction import Store
from anyscale.server.store.user_ids import user_ids


def _entry(number: int) -> AuditRecord:
    return AuditRecord(number, number, "a", "e", "s", "{}", bytes([number]))


def _done(entry: AuditRecord) -> tuple[str, str]:
    return entry.actor, entry.event


class AuditAndTokenRules(StoreSteps):
    """An entry is never replaced, a name has one live token, old conflicts are deleted."""

    def test_the_audit_log_is_read_in_its_order(self, store: Store) -> None:
        entries = [AuditRecord(at, at, "a", "e", "s", "{}", bytes([at])) for at in range(1, 6)]
        for entry in entries:
            with store.write() as tx:
                tx.audit.add(entry)
        with store.read() as tx:
            assert tx.audit.get_last() == entries[-1]
            assert list(tx.audit.list(0, 10)) == entries
            assert list(tx.audit.list(2, 2)) == entries[2:4]

    def test_the_audit_log_is_listed_in_either_order_between_two_numbers(
        self, store: Store
    ) -> None:
        with store.write() as tx:
            tx.audit.add(*map(_entry, range(1, 5)))
        with store.read() as tx:
            for after, before, limit in product(range(6), [None, *range(1, 7)], range(1, 6)):
                between = [n for n in range(1, 5) if after < n < (before or 9)]
                listed = tx.audit.list(after, limit, before=before)
                newest = tx.audit.list(after, limit, before=before, newest_first=True)
                assert [entry.number for entry in listed] == between[:limit]
                assert [entry.number for entry in newest] == between[::-1][:limit]

    def test_the_audit_log_is_listed_by_actor_event_and_subject(self, store: Store) -> None:
        entries = [
            AuditRecord(
                at, at, f"a{at % 2}", f"e{at % 3}", "s" if at % 5 else "", "{}", bytes([at])
            )
            for at in range(1, 41)
        ]
        with store.write() as tx:
            assert list(tx.audit.list_events()) == []
            tx.audit.add(*entries)
        with store.read() as tx:
            assert list(tx.audit.list_events()) == ["e0", "e1", "e2"]
            for actor, event, subject in product(["", "a1", "\0"], ["", "e2", "no"], ["", "s"]):
                only = AuditFilter(actor, event, subject)
                wanted = [
                    entry
                    for entry in entries
                    if actor in ("", entry.actor)
                    and event in ("", entry.event)
                    and subject in ("", entry.subject)
                ]
                assert list(tx.audit.list(0, 50, only=only)) == wanted
                newest = tx.audit.list(3, 2, before=30, newest_first=True, only=only)
                between = [entry for entry in wanted if 3 < entry.number < 30]
                assert list(newest) == between[::-1][:2]

    def test_the_audit_log_is_listed_by_period(self, store: Store) -> None:
        with store.write() as tx:
            tx.audit.add(*map(_entry, range(1, 8)))
        with store.read() as tx:
            for since, until in product([None, *range(9)], repeat=2):
                within = [
                    n for n in range(1, 8) if (since or 0) <= n < (9 if until is None else until)
                ]
                only = AuditFilter(since=since, until=until)
                newest = tx.audit.list(0, 9, newest_first=True, only=only)
                assert [entry.number for entry in newest] == within[::-1]
                listed = tx.audit.list(2, 2, before=6, only=structs.replace(only, actor="a"))
                between = [n for n in within if 2 < n < 6]
                assert [entry.number for entry in listed] == between[:2]

    def test_the_end_of_a_run_is_the_last_entry_before_another_actor_or_event(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # The number of the first entry is not 1, as after a purge.
        done = ["ae", "ae", "ae", "ae", "be", "ae", "ae", "af", "af", "af", "a", "ae"]
        entries = [
            structs.replace(_entry(number), actor=one[:1], event=one[1:])
            for number, one in enumerate(done, start=3)
        ]
        with store.write() as tx:
            tx.audit.add(*entries)
        with store.read() as tx:
            for since, until, most in product([None, 5, 10], [None, 6, 13], [2, 3, 100]):
                monkeypatch.setattr(audit, "_MAX_RUN", most)
                only = AuditFilter(since=since, until=until)
                listed = [one for one in entries if (since or 0) <= one.at < (until or 99)]
                for in_order in (listed, listed[::-1]):
                    for at, first in enumerate(in_order):
                        _, run = next(groupby(in_order[at : at + most], _done))
                        end = tx.audit.end_of_run(
                            first, newest_first=in_order is not listed, only=only
                        )
                        assert end == [*run][-1]

    def test_if_the_clock_was_set_back_each_entry_is_in_one_of_two_periods(
        self, store: Store
    ) -> None:
        times = [10, 20, 30, 15, 25, 35]
        with store.write() as tx:
            for number, at in enumerate(times, start=1):
                tx.audit.add(structs.replace(_entry(number), at=at))
        with store.read() as tx:
            for day in range(5, 40):
                periods = AuditFilter(until=day), AuditFilter(since=day)
                first, second = (tx.audit.list(0, 9, only=only) for only in periods)
                assert [entry.number for entry in [*first, *second]] == [1, 2, 3, 4, 5, 6]

    def test_if_the_clock_was_set_back_a_period_up_to_now_has_the_newest_entries(
        self, store: Store
    ) -> None:
        with store.write() as tx:
            for number, at in enumerate([10, 20, 30, 15, 25], start=1):
                tx.audit.add(structs.replace(_entry(number), at=at))
        with store.read() as tx:
            for now in range(26, 40):
                assert tx.audit.list(0, 9, only=AuditFilter(until=now))[-1].number == 5
                assert tx.audit.list(0, 9, only=AuditFilter(since=now)) == []

    def test_the_audit_log_is_listed_by_what_happened_to_an_account(self, store: Store) -> None:
        batch_id = "bat_" + "ab" * 12
        ann, bob, cid = user_ids(batch_id, [7, 8, 10])
        own = '{"user_id":"%s"}'
        entries = [
            ("token:x", "batch.published", "bat_other", "{}"),
            ("token:x", "mailing.requested", "", "{}"),
            ("token:x", "batch.published", batch_id, "{}"),  # 3
            ("token:x", "batch.dropped", batch_id, "{}"),
            ("token:x", "mailing.requested", "", "{}"),  # 5
            ("token:x", "account.suspended", bob, "{}"),
            ("token:x", "account.suspended", ann, "{}"),  # 7
            (f"user:{ann}", "session.created", "ses_1", "{}"),
            (f"user:{ann}", "password.changed", ann, "{}"),  # 9
            (f"user:{ann}", "token.created", "tok_1", own % ann),
            (f"user:{ann}", "token.created", "tok_2", '{"name":"robot"}'),  # 11
            (f"user:{bob}", "token.created", "tok_3", own % bob),
            ("token:x", "token.revoked", "tok_1", own % ann),  # 13
            ("token:x", "token.revoked", "tok_2", '{"name":"robot"}'),
            ("token:x", "batch.accounts_deleted", batch_id, '{"positions":"0-6,8"}'),  # 15
            ("token:x", "batch.accounts_deleted", batch_id, '{"positions":"9,4-7"}'),
            ("token:x", "mailing.requested", "", "{}"),  # 17
            ("token:x", "mailing.requested", batch_id, "{}"),
            ("token:x", "account.deleted", cid, "{}"),  # 19
            ("token:x", "mailing.stopped", batch_id, "{}"),
        ]
        with store.write() as tx:
            for number, fields in enumerate(entries, start=1):
                tx.audit.add(AuditRecord(number, number, *fields, bytes([number])))
        of_ann = [3, 5, 7, 8, 9, 10, 11, 13, 16]
        with store.read() as tx:
            listed = tx.audit.list(0, 50, only=AuditFilter(account=ann))
            assert [entry.number for entry in listed] == of_ann
            listed = tx.audit.list(0, 50, only=AuditFilter(account=cid))
            assert [entry.number for entry in listed] == [3, 5, 17, 18, 19]
            only = AuditFilter(account=ann, since=5, until=16)
            newest = tx.audit.list(5, 3, newest_first=True, only=only)
            assert [entry.number for entry in newest] == [13, 11, 10]
            by_ann = AuditFilter(account=ann, actor=f"user:{ann}", event="token.created")
            assert [entry.number for entry in tx.audit.list(0, 50, only=by_ann)] == [10, 11]
            for nobody in ("usr_", "x", "\0", "usr_%"):
                found = tx.audit.list(0, 50, only=AuditFilter(account=nobody))
                assert {entry.event for entry in found} <= {"mailing.requested"}

    def test_a_transaction_sees_the_entries_that_it_adds(self, store: Store) -> None:
        for first in (1, 3):
            with store.write() as tx:
                for number in (first, first + 1):
                    tx.audit.add(_entry(number))
                    assert tx.audit.lock() == _entry(number)
        with store.read() as tx:
            assert tx.audit.get_last() == _entry(4)

    def test_an_entry_is_never_replaced(self, store: Store) -> None:
        with store.write() as tx:
            tx.audit.add(AuditRecord(1, 1, "a", "e", "s", "{}", b"first"))
        with pytest.raises(StoreUnavailable), store.write() as tx:
            tx.audit.add(AuditRecord(1, 1, "a", "e", "s", "{}", b"second"))
        with store.read() as tx:
            last = tx.audit.get_last()
        assert last
        assert last.hash == b"first"

    def test_transactions_that_append_entries_run_one_after_the_other(self, store: Store) -> None:
        def append(_: int) -> None:
            with store.write() as tx:
                last = tx.audit.lock()
                tx.audit.add(_entry(last.number + 1 if last else 1))

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(append, range(24)))
        with store.read() as tx:
            assert [entry.number for entry in tx.audit.list(0, 100)] == list(range(1, 25))

    def test_old_entries_are_purged_except_the_one_to_which_others_chain(
        self, store: Store
    ) -> None:
        with store.write() as tx:
            assert tx.audit.purge(100) is None
            for number in range(1, 7):
                tx.audit.add(_entry(number))
            assert tx.audit.purge(1) is None
            assert tx.audit.purge(4) == _entry(2)
            assert tx.audit.purge(4) is None
            assert [entry.number for entry in tx.audit.list(0, 10)] == [3, 4, 5, 6]
            assert tx.audit.purge(100) == _entry(5)

    def test_a_token_is_found_by_its_hash(self, store: Store) -> None:
        token = token_row(1, expires_at=5_000)
        with store.write() as tx:
            assert tx.tokens.add(token)
            assert tx.tokens.add(token_row(2))
        with store.read() as tx:
            assert tx.tokens.get(token.hash) == token
            assert tx.tokens.get(bytes(32)) is None
            assert list(tx.tokens.list()) == [token, token_row(2)]

    def test_a_name_has_one_token_until_it_is_revoked(self, store: Store) -> None:
        with store.write() as tx:
            assert tx.tokens.add(token_row(1, "jane"))
            assert not tx.tokens.add(token_row(2, "jane"))
            tx.tokens.revoke("tok_1", "local:joe", 7)
            assert tx.tokens.add(token_row(2, "jane"))
            assert [token.token_id for token in tx.tokens.list()] == ["tok_1", "tok_2"]

    def test_two_users_and_no_user_may_each_have_a_token_of_one_name(self, store: Store) -> None:
        owners = ["usr_a", "usr_b", None]
        with store.write() as tx:
            for number, user_id in enumerate(owners):
                assert tx.tokens.add(token_row(number, "laptop", user_id=user_id))
                assert not tx.tokens.add(token_row(number + 10, "laptop", user_id=user_id))
        with store.read() as tx:
            assert [token.user_id for token in tx.tokens.list()] == owners

    @pytest.mark.parametrize("user_id", ["usr_a", None])
    def test_a_revoked_token_frees_its_name_for_the_same_user(
        self, store: Store, user_id: str | None
    ) -> None:
        first = token_row(1, "laptop", user_id=user_id)
        other = token_row(2, "laptop", user_id="usr_b")
        with store.write() as tx:
            assert tx.tokens.add(first)
            assert tx.tokens.add(other)
            tx.tokens.revoke("tok_1", "local:joe", 7)
            assert tx.tokens.add(token_row(3, "laptop", user_id=user_id))
            assert not tx.tokens.add(token_row(4, "laptop", user_id=user_id))
            assert not tx.tokens.add(token_row(4, "laptop", user_id="usr_b"))
        with store.read() as tx:
            assert tx.tokens.get(first.hash) == structs.replace(
                first, revoked_by="local:joe", revoked_at=7
            )
            assert tx.tokens.get(other.hash) == other

    def test_an_exclusive_lock_on_a_token_waits_for_shared_ones(self, store: Store) -> None:
        happened = []

        def revoke() -> None:
            with store.write() as tx:
                tx.tokens.lock(token_row(1).hash, exclusive=True)
                happened.append("exclusive")

        with ThreadPoolExecutor(1) as pool:
            with store.write() as tx:
                tx.tokens.lock(token_row(1).hash, exclusive=False)
                revoking = pool.submit(revoke)
                wait_until_blocked(store, tx)
                happened.append("shared")
            revoking.result(30)
        assert happened == ["shared", "exclusive"]

    def test_a_revoked_token_stays_as_it_was_revoked(self, store: Store) -> None:
        token = token_row(1)
        with store.write() as tx:
            tx.tokens.add(token)
            tx.tokens.touch("tok_1", 6)
            tx.tokens.revoke("tok_1", "local:joe", 7)
            tx.tokens.revoke("tok_1", "local:eve", 8)
            tx.tokens.revoke("tok_none", "local:eve", 8)
        with store.read() as tx:
            expected = structs.replace(token, used_at=6, revoked_by="local:joe", revoked_at=7)
            assert tx.tokens.get(token.hash) == expected

    def test_tokens_revoked_or_expired_before_a_time_are_purged(self, store: Store) -> None:
        expiries = {1: 100, 2: 101, 3: None, 4: None, 5: None}
        with store.write() as tx:
            for number, expires_at in expiries.items():
                assert tx.tokens.add(token_row(number, f"name-{number}", expires_at=expires_at))
            tx.tokens.revoke("tok_3", "local:joe", 100)
            tx.tokens.revoke("tok_4", "local:joe", 101)
            tx.tokens.purge(101)
            assert [token.token_id for token in tx.tokens.list()] == ["tok_2", "tok_4", "tok_5"]

    @pytest.mark.parametrize("state", ["published", "dropped", "expired"])
    def test_old_conflicts_and_dropped_batches_are_purged_and_users_stay(
        self, store: Store, reserve: Any, state: str
    ) -> None:
        batch, live = self.add(store, 1, at=100), self.add(store, 2, at=100)
        exists = ConflictRecord(1, "b@x.org", "b@x.org", "exists", None, None)
        with store.write() as tx:
            for one in (batch, live):
                tx.chunks.save(one.id, chunk_row(0), [exists])
        reserve(batch, "a@x.org")
        self.end(store, batch, state)
        for before in (100, 6_000):
            with store.write() as tx:
                if state != "published":
                    delete_chunk(tx, batch.id, 0, "usr_", "usr_g")
                tx.chunks.purge_conflicts(before)
                tx.batches.purge(before)
                conflicts = tx.chunks.list_conflicts(batch.id, -1, 10)
                kept = bool(conflicts) if state == "published" else None
                assert kept in (before == 100, None)
                assert tx.chunks.list_conflicts(live.id, -1, 10) == [exists]
        with store.read() as tx:
            left = [live.batch_id] + [batch.batch_id] * (state == "published")
            assert [one.batch_id for one in self.batches(tx)] == left
            assert self.live(tx) == ["a@x.org"] * (state == "published")


class ServerKeyRules(StoreSteps):
    """A key is created once, and stays as it is."""

    def test_a_key_has_256_bits_and_stays_as_it_is(self, store: Store) -> None:
        key = server_key(Transactions(store), "one")
        assert len(key) == 32
        assert server_key(Transactions(store), "one") == key
        assert server_key(Transactions(store), "other") != key

    def test_a_key_that_is_stored_is_not_replaced(self, store: Store) -> None:
        with store.read() as tx:
            assert tx.server_keys.get("one") is None
        for key in (b"first", b"second"):
            with store.write() as tx:
                tx.server_keys.add("one", key)
                assert tx.server_keys.get("one") == b"first"

    def test_all_keys_are_replaced_at_once_and_by_name(self, store: Store) -> None:
        transactions = Transactions(store)
        before = {name: server_key(transactions, name) for name in ("one", "sso_cookie")}
        assert what_ends(transactions) == [
            "one: a key of another version",
            "sso_cookie: users at the identity provider begin their sign-in again",
        ]
        assert replace_server_keys(transactions, "local:root") == 2
        after = {name: server_key(transactions, name) for name in before}
        assert all(len(after[name]) == 32 and after[name] != before[name] for name in before)

    def test_several_servers_that_need_a_key_at_once_get_the_same_one(self, store: Store) -> None:
        start = threading.Barrier(8)

        def created(_: int) -> bytes:
            start.wait()
            return server_key(Transactions(store), "one")

        with ThreadPoolExecutor(8) as pool:
            assert len(set(pool.map(created, range(8)))) == 1
