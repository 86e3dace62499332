"""The rules of deleting an account: see `interface.Transaction`."""

from concurrent.futures import ThreadPoolExecutor
from time import sleep
from typing import Any

import pytest
from tests.store.contract.steps import (
    StoreSteps,
    chunk_row,
    link_row,
    session_row,
    token_row,
    user_id_of,
)

from anyscale.domain.emails import email_key
from anyscale.server.store.records.batches import BatchRecord, ConflictRecord
from anyscale.server.store.transaction import Store, Transaction

_JUERGEN = "j\u00fcrgen@xn--bcher-kva.org"


class DeletionRules(StoreSteps):
    """All rows of the account are deleted, and none of others."""

    @pytest.mark.parametrize("several", [False, True])
    def test_all_rows_of_an_account_are_deleted_with_it(self, store: Store, several: bool) -> None:
        batch = self.publish(store, 1, "a@x.org", "b@x.org")
        for position in range(2):
            self._keep(store, batch, position)
        gone, stays = (user_id_of(batch, at) for at in range(2))
        with store.write() as tx:
            if several:
                tx.accounts.delete_range(gone, gone)
            else:
                tx.accounts.delete(gone)
        with store.read() as tx:
            assert self.live(tx) == ["b@x.org"]
            assert tx.accounts.get(gone) is None
            assert self._kept(tx, 0, gone) == [False] * 5
            assert self._kept(tx, 1, stays) == [True] * 5

    def test_an_account_that_stays_between_deleted_ones_keeps_its_rows(self, store: Store) -> None:
        batch = self.publish(store, 1, "a@x.org", "b@x.org", "c@x.org")
        ids = [user_id_of(batch, position) for position in range(3)]
        for position in range(3):
            self._keep(store, batch, position)
        with store.write() as tx:
            tx.accounts.delete_range(ids[0], ids[2], keep=[ids[1]])
        with store.read() as tx:
            assert self.live(tx) == ["b@x.org"]
            kept = [self._kept(tx, position, user_id) for position, user_id in enumerate(ids)]
        assert kept == [[False] * 5, [True] * 5, [False] * 5]

    def test_the_email_of_a_deleted_account_is_free(self, store: Store, reserve: Any) -> None:
        first = self.publish(store, 1, "a@x.org")
        with store.write() as tx:
            tx.accounts.delete(user_id_of(first, 0))
            assert tx.users.find_holders(["a@x.org"]) == []
        second = self.add(store, 2)
        assert reserve(second, "A@x.org") == []
        self.end(store, second, "published")
        assert self.account(store, user_id_of(second, 0)).email == "A@x.org"

    def test_a_sign_in_during_the_deletion_leaves_no_session(self, store: Store) -> None:
        batch = self.publish(store, 1, "a@x.org")
        user_id = user_id_of(batch, 0)

        def delete() -> None:
            with store.write() as tx:
                tx.accounts.delete(user_id)

        with ThreadPoolExecutor(1) as pool:
            with store.write() as tx:
                assert tx.accounts.lock([user_id])
                deleting = pool.submit(delete)
                sleep(0.1)
                tx.sessions.add(session_row(0, user_id))
            deleting.result()
        with store.read() as tx:
            assert tx.sessions.get(session_row(0, user_id).hash) is None

    @pytest.mark.parametrize("kind", ["exists", "reserved", "duplicate"])
    @pytest.mark.parametrize(
        ("key", "spellings", "others"),
        [
            (
                "jane@x.org",
                ["jane@x.org", "JANE@X.ORG"],
                ["jane@x.orga", "jan@x.org", "ajane@x.org"],
            ),
            (
                _JUERGEN,
                [
                    _JUERGEN,
                    "j\u00fcrgen@b\u00fccher.org",
                    "J\u00dcRGEN@B\u00dccher.org",
                    "ju\u0308rgen@XN--bcher-KVA.org",
                ],
                ["j\u00fcrgen@b\u00fccher.com", "jurgen@b\u00fccher.org", "no address \u00fc"],
            ),
            ("stra\u00dfe@x.org", ["STRA\u00dfE@x.org"], ["strasse@x.org"]),
            ("jane@xn--bcher-kva.org", ["Jane@b\u00fccher.org"], ["joe@b\u00fccher.org"]),
        ],
        ids=["ascii", "local part and domain", "sharp s", "domain"],
    )
    def test_no_conflict_has_the_email_of_a_deleted_account_in_any_spelling(
        self, store: Store, kind: str, key: str, spellings: list[str], others: list[str]
    ) -> None:
        batch = self.publish(store, 1, spellings[0], email_key=key)
        reports = [self._report(store, number, kind, [*spellings, *others]) for number in (2, 3)]
        with store.write() as tx:
            tx.accounts.delete(user_id_of(batch, 0))
        with store.read() as tx:
            for report in reports:
                left = [conflict.email for conflict in tx.chunks.list_conflicts(report.id, -1, 99)]
                assert left == [""] * len(spellings) + others

    def _report(self, store: Store, number: int, kind: str, emails: list[str]) -> BatchRecord:
        batch = self.add(store, number)
        rest = [
            ConflictRecord(at, email, _key(email), kind, None, None)
            for at, email in enumerate(emails)
        ]
        with store.write() as tx:
            tx.chunks.save(batch.id, chunk_row(0, conflicts=len(rest)), rest)
        return batch

    def _keep(self, store: Store, batch: BatchRecord, number: int) -> None:
        user_id = user_id_of(batch, number)
        with store.write() as tx:
            tx.sessions.add(session_row(number, user_id))
            tx.links.replace(link_row(number, user_id))
            tx.devices.save(bytes([number]), user_id, 7)
            assert tx.identities.link("https://idp", f"subject {number}", user_id, 7)
            assert tx.tokens.add(token_row(number, user_id=user_id))

    def _kept(self, tx: Transaction, number: int, user_id: str) -> list[bool]:
        return [
            tx.sessions.get(session_row(number, user_id).hash) is not None,
            tx.links.get(link_row(number, user_id).hash) is not None,
            bool(tx.devices.is_known(bytes([number]), user_id, 0)),
            tx.identities.find("https://idp", f"subject {number}") is not None,
            tx.tokens.get(token_row(number).hash) is not None,
        ]


def _key(text: str) -> str:
    try:
        return email_key(text)
    except ValueError:
        return text
