"""The rules of removing an account, as tests: see `testing.StoreContract`."""

from concurrent.futures import ThreadPoolExecutor
from time import sleep
from typing import Any

import pytest
from tests.store.contract.steps import (
    StoreSteps,
    link_row,
    page_row,
    session_row,
    token_row,
    user_id_of,
)

from anyscale.server.store.interface import BatchRecord, ConflictRecord, Store, Transaction

__all__ = ["RemovalRules"]

_JUERGEN = "j\u00fcrgen@xn--bcher-kva.org"


class RemovalRules(StoreSteps):
    """Of a person who is removed nothing is left, and of nobody else anything is missing."""

    def test_all_that_is_kept_of_a_person_goes_with_the_account(self, store: Store) -> None:
        batch = self.publish(store, 1, "a@x.org", "b@x.org")
        for position in range(2):
            self._keep(store, batch, position)
        gone, stays = (user_id_of(batch, at) for at in range(2))
        with store.write() as rows:
            rows.remove_account(gone)
        with store.read() as rows:
            assert self.live(rows) == ["b@x.org"]
            assert rows.account(user_id=gone) is None
            assert self._kept(rows, 0, gone) == [False] * 5
            assert self._kept(rows, 1, stays) == [True] * 5

    def test_the_email_of_a_removed_account_is_free(self, store: Store, claim: Any) -> None:
        first = self.publish(store, 1, "a@x.org")
        with store.write() as rows:
            rows.remove_account(user_id_of(first, 0))
            assert rows.owners(["a@x.org"]) == []
        second = self.add(store, 2)
        assert claim(second, "A@x.org") == []
        self.end(store, second, "published")
        assert self.account(store, user_id_of(second, 0)).email == "A@x.org"

    def test_whoever_signs_in_while_the_account_is_removed_leaves_nothing(
        self, store: Store
    ) -> None:
        batch = self.publish(store, 1, "a@x.org")
        user_id = user_id_of(batch, 0)

        def remove() -> None:
            with store.write() as rows:
                rows.remove_account(user_id)

        with ThreadPoolExecutor(1) as pool:
            with store.write() as rows:
                assert rows.account(user_id=user_id)
                removing = pool.submit(remove)
                sleep(0.1)
                rows.add_sessions([session_row(0, user_id)])
            removing.result()
        with store.read() as rows:
            assert rows.session(session_row(0, user_id).hash) is None

    @pytest.mark.parametrize("kind", ["exists", "held", "duplicate"])
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
    def test_no_report_names_a_removed_account_in_any_spelling(
        self, store: Store, kind: str, key: str, spellings: list[str], others: list[str]
    ) -> None:
        batch = self.publish(store, 1, spellings[0], email_key=key)
        reports = [self._report(store, number, kind, [*spellings, *others]) for number in (2, 3)]
        with store.write() as rows:
            rows.remove_account(user_id_of(batch, 0))
        with store.read() as rows:
            for report in reports:
                left = [conflict.email for conflict in rows.conflicts(report.id, -1, 99)]
                assert left == [""] * len(spellings) + others

    def _report(self, store: Store, number: int, kind: str, emails: list[str]) -> BatchRecord:
        batch = self.add(store, number)
        rest = [ConflictRecord(at, email, kind, None, None) for at, email in enumerate(emails)]
        with store.write() as rows:
            rows.save_page(batch.id, page_row(0, conflicts=len(rest)), rest)
        return batch

    def _keep(self, store: Store, batch: BatchRecord, number: int) -> None:
        user_id = user_id_of(batch, number)
        with store.write() as rows:
            rows.add_sessions([session_row(number, user_id)])
            rows.put_link(link_row(number, user_id))
            rows.remember_devices([(bytes([number]), user_id)], 7)
            assert rows.link_identity("https://idp", f"subject {number}", user_id, 7)
            assert rows.add_token(token_row(number, user_id=user_id))

    def _kept(self, rows: Transaction, number: int, user_id: str) -> list[bool]:
        return [
            rows.session(session_row(number, user_id).hash) is not None,
            rows.link(link_row(number, user_id).hash) is not None,
            bool(rows.known_devices([(bytes([number]), user_id)], 0)),
            rows.identified("https://idp", f"subject {number}") is not None,
            rows.token(token_row(number).hash) is not None,
        ]
