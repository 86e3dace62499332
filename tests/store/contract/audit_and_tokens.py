"""The rules of the trail, of tokens and of what is kept, as tests: see `testing.StoreContract`."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from msgspec import structs
from tests.store.contract.steps import StoreSteps, page_row, token_row

from anyscale.errors import StoreUnavailable
from anyscale.server.store.interface import AuditRecord, ConflictRecord, Store

__all__ = ["KeyRules"]


def _entry(number: int) -> AuditRecord:
    return AuditRecord(number, number, "a", "e", "s", "{}", bytes([number]))


class KeyRules(StoreSteps):
    """An entry is never replaced, a name has one live token, and old reports go."""

    def test_the_trail_is_read_in_its_order(self, store: Store) -> None:
        entries = [AuditRecord(at, at, "a", "e", "s", "{}", bytes([at])) for at in range(1, 6)]
        for entry in entries:
            with store.write() as rows:
                rows.add_audit([entry])
        with store.read() as rows:
            assert rows.last_audit() == entries[-1]
            assert list(rows.audit(0, 10)) == entries
            assert list(rows.audit(2, 2)) == entries[2:4]

    def test_a_transaction_sees_the_entries_that_it_adds(self, store: Store) -> None:
        for first in (1, 3):
            with store.write() as rows:
                for number in (first, first + 1):
                    rows.add_audit([_entry(number)])
                    assert rows.last_audit() == _entry(number)
        with store.read() as rows:
            assert rows.last_audit() == _entry(4)

    def test_an_entry_of_the_trail_is_never_replaced(self, store: Store) -> None:
        with store.write() as rows:
            rows.add_audit([AuditRecord(1, 1, "a", "e", "s", "{}", b"first")])
        with pytest.raises(StoreUnavailable), store.write() as rows:
            rows.add_audit([AuditRecord(1, 1, "a", "e", "s", "{}", b"second")])
        with store.read() as rows:
            last = rows.last_audit()
        assert last
        assert last.hash == b"first"

    def test_nobody_appends_before_the_last_entry_is_there(self, store: Store) -> None:
        def append(_: int) -> None:
            with store.write() as rows:
                last = rows.last_audit()
                rows.add_audit([_entry(last.number + 1 if last else 1)])

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(append, range(24)))
        with store.read() as rows:
            assert [entry.number for entry in rows.audit(0, 100)] == list(range(1, 25))

    def test_old_entries_go_but_for_the_one_that_the_others_chain_to(self, store: Store) -> None:
        with store.write() as rows:
            assert rows.forget_audit(100) == 0
            for number in range(1, 7):
                rows.add_audit([_entry(number)])
            assert rows.forget_audit(1) == 0
            assert rows.forget_audit(4) == 3
            assert rows.forget_audit(4) == 0
            assert [entry.number for entry in rows.audit(0, 10)] == [3, 4, 5, 6]
            assert rows.forget_audit(100) == 6

    def test_a_token_is_found_by_its_hash(self, store: Store) -> None:
        token = token_row(1, expires_at=5_000)
        with store.write() as rows:
            assert rows.add_token(token)
            assert rows.add_token(token_row(2))
        with store.read() as rows:
            assert rows.token(token.hash) == token
            assert rows.token(bytes(32)) is None
            assert list(rows.tokens()) == [token, token_row(2)]

    def test_a_name_has_one_token_until_it_is_revoked(self, store: Store) -> None:
        with store.write() as rows:
            assert rows.add_token(token_row(1, "jane"))
            assert not rows.add_token(token_row(2, "jane"))
            rows.revoke_token("tok_1", "local:joe", 7)
            assert rows.add_token(token_row(2, "jane"))
            assert [token.token_id for token in rows.tokens()] == ["tok_1", "tok_2"]

    def test_two_persons_and_nobody_may_each_have_a_token_of_one_name(self, store: Store) -> None:
        owners = ["usr_a", "usr_b", None]
        with store.write() as rows:
            for number, user_id in enumerate(owners):
                assert rows.add_token(token_row(number, "laptop", user_id=user_id))
                assert not rows.add_token(token_row(number + 10, "laptop", user_id=user_id))
        with store.read() as rows:
            assert [token.user_id for token in rows.tokens()] == owners

    @pytest.mark.parametrize("user_id", ["usr_a", None])
    def test_a_token_that_is_revoked_frees_its_name_for_the_same_person(
        self, store: Store, user_id: str | None
    ) -> None:
        first = token_row(1, "laptop", user_id=user_id)
        other = token_row(2, "laptop", user_id="usr_b")
        with store.write() as rows:
            assert rows.add_token(first)
            assert rows.add_token(other)
            rows.revoke_token("tok_1", "local:joe", 7)
            assert rows.add_token(token_row(3, "laptop", user_id=user_id))
            assert not rows.add_token(token_row(4, "laptop", user_id=user_id))
            assert not rows.add_token(token_row(4, "laptop", user_id="usr_b"))
        with store.read() as rows:
            assert rows.token(first.hash) == structs.replace(
                first, revoked_by="local:joe", revoked_at=7
            )
            assert rows.token(other.hash) == other

    def test_a_token_that_is_revoked_stays_as_it_was_revoked(self, store: Store) -> None:
        token = token_row(1)
        with store.write() as rows:
            rows.add_token(token)
            rows.use_token("tok_1", 6)
            rows.revoke_token("tok_1", "local:joe", 7)
            rows.revoke_token("tok_1", "local:eve", 8)
            rows.revoke_token("tok_none", "local:eve", 8)
        with store.read() as rows:
            expected = structs.replace(token, used_at=6, revoked_by="local:joe", revoked_at=7)
            assert rows.token(token.hash) == expected

    @pytest.mark.parametrize("state", ["published", "dropped", "expired"])
    def test_old_reports_go_and_users_and_open_batches_stay(
        self, store: Store, claim: Any, state: str
    ) -> None:
        batch, live = self.add(store, 1, at=100), self.add(store, 2, at=100)
        exists = ConflictRecord(1, "b@x.org", "exists", None, None)
        with store.write() as rows:
            for one in (batch, live):
                rows.save_page(one.id, page_row(0), [exists])
        claim(batch, "a@x.org")
        self.end(store, batch, state)
        for before in (100, 6_000):
            with store.write() as rows:
                if state != "published":
                    rows.remove_page(batch.id, 0, "usr_", "usr_g")
                rows.forget_reports(before)
                kept = bool(rows.conflicts(batch.id, -1, 10)) if state == "published" else None
                assert kept in (before == 100, None)
                assert rows.conflicts(live.id, -1, 10) == [exists]
        with store.read() as rows:
            left = [live.batch_id] + [batch.batch_id] * (state == "published")
            assert [one.batch_id for one in self.batches(rows)] == left
            assert self.live(rows) == ["a@x.org"] * (state == "published")
