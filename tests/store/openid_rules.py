"""The rules of applications, grants and public keys."""

from typing import Any

import pytest
from msgspec import json
from tests.store.contract.steps import StoreSteps, batch_row, rows_of, user_id_of, user_row
from tests.support.databases.stored_data import execute_sql

from anyscale.server.store.records.openid import (
    ApplicationRecord,
    Audience,
    FormerSecret,
    GrantRecord,
    PublicKeyRecord,
)
from anyscale.server.store.sql import allowed_users
from anyscale.server.store.transaction import Store, Transaction


def _application(number: int, **fields: Any) -> ApplicationRecord:
    values: dict[str, Any] = {
        "client_id": f"app_{number}",
        "name": f"Application {number}",
        "secret_hash": b"secret",
        "redirect_uris": '["https://a.example"]',
        "post_logout_redirect_uris": "[]",
        "refresh_tokens": True,
        "requires_pkce": False,
        "audience": '["owners"]',
        "created_by": "test",
        "created_at": 5,
    }
    return ApplicationRecord(**(values | fields))


def grant_row(name: str, **fields: Any) -> GrantRecord:
    values: dict[str, Any] = {
        "grant_id": name,
        "client_id": "app_1",
        "user_id": "usr_1",
        "session_id": "ses_1",
        "scope": "openid",
        "redirect_uri": "https://a.example",
        "nonce": None,
        "code_challenge": None,
        "authenticated_at": None,
        "created_at": 1,
        "expires_at": 100,
        "code_hash": name.encode(),
        "code_expires_at": 2,
    }
    return GrantRecord(**(values | fields))


def _grants(tx: Transaction) -> list[str]:
    """List the ids of all grants."""
    return [row[0] for row in execute_sql(tx, "select grant_id from grants order by grant_id")]


def _open_grants(tx: Transaction) -> list[str]:
    """List the ids of the grants that have not ended."""
    return [one for one in _grants(tx) if tx.grants.lock(one)]


class OpenIdRules(StoreSteps):
    """Applications have unique names, and grants are found and deleted by what they belong to."""

    def test_an_application_is_stored_as_it_is(self, store: Store) -> None:
        former = FormerSecret(b"\0\xff", 9)
        formers = json.encode([former]).decode()
        one = _application(1, former_secrets=formers, address="https://a.example", used_at=7)
        with store.write() as tx:
            assert tx.applications.add(one)
            assert tx.applications.lock("app_1") == one
        with store.read() as tx:
            found = tx.applications.get("app_1")
            assert found == one
            assert found.refresh_tokens is True  # and not 1
            assert found.allowed == ["owners"]
            assert found.formers == [former]
            assert tx.applications.get("app_none") is None

    def test_the_accounts_of_an_audience_are_counted_once_each(self, store: Store) -> None:
        self.publish(store, 1, "Jane@A.example", "joe@b.example", "kim@sub.a.example")
        batch = self.publish(store, 2, "ann@a.example", "bob@c.example")
        reserved = self.add(store, 3)
        with store.write() as tx:
            tx.users.insert(reserved.id, rows_of([user_row(reserved, 0, "x@d.example")]))
            for number, at in ((1, 0), (1, 1), (2, 1)):
                tx.accounts.set_role(user_id_of(batch_row(number), at), "owner")
        everything = Audience(True, ["a.example", "d.example", "e.example"], [batch.batch_id])
        with store.read() as tx:
            counts = [
                tx.allowed_users.count(audience, most)
                for audience, most in (
                    (Audience(), 9),
                    (Audience(domains=["a.example"]), 9),
                    (Audience(domains=["a.example"]), 1),
                    (Audience(domains=["d.example", "example"]), 9),
                    (Audience(batch_ids=[batch.batch_id, reserved.batch_id]), 9),
                    (Audience(owners=True), 9),
                    (everything, 9),
                    (everything, 3),
                )
            ]
            used = tx.allowed_users.domains_in_use([*everything.domains, "example"])
        assert counts == [(count, True) for count in (0, 2, 1, 0, 2, 3, 4, 3)]
        assert used == {"a.example", "d.example"}

    def test_the_emails_whose_domains_are_looked_at_are_limited(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.publish(store, 1, "a@a.example", "b@a.example", "c@a.example", "d@b.example")
        monkeypatch.setattr(allowed_users, "_MOST_EMAILS", 1)
        with store.read() as tx:
            assert tx.allowed_users.count(Audience(domains=["a.example"]), 9) == (2, False)
            assert tx.allowed_users.count(Audience(domains=["b.example"]), 9) == (0, False)
            assert tx.allowed_users.domains_in_use(["a.example", "b.example"]) == {"a.example"}

    def test_no_two_applications_have_one_name(self, store: Store) -> None:
        with store.write() as tx:
            assert tx.applications.add(_application(1))
            assert not tx.applications.add(_application(2, name="Application 1"))
            assert tx.applications.add(_application(3))
            assert tx.applications.named("Application 3") == _application(3)
            changed = _application(3, name="New", secret_hash=None, used_at=7)
            tx.applications.replace(changed)
            tx.applications.touch("app_3", 7)
            tx.applications.delete("app_1")
        with store.read() as tx:
            assert list(tx.applications.list()) == [changed]

    def test_a_grant_is_found_by_each_of_its_secrets(self, store: Store) -> None:
        one = grant_row("a", access_hash=b"access", family_hash=b"family", access_expires_at=7)
        with store.write() as tx:
            tx.grants.add(one)
            tx.grants.add(grant_row("b"))
            assert tx.grants.by_code(b"a") == one
            assert tx.grants.by_access_token(b"access") == one
            assert tx.grants.by_family(b"family") == one
            assert tx.grants.lock("a") == one
            changed = grant_row("a", code_used=True, access_hash=b"other")
            tx.grants.replace(changed)
        with store.read() as tx:
            assert tx.grants.by_access_token(b"access") is None
            found = tx.grants.by_access_token(b"other")
            assert found == changed
            assert found.code_used is True

    def test_grants_are_deleted_by_what_they_belong_to(self, store: Store) -> None:
        with store.write() as tx:
            tx.grants.add(grant_row("a"))
            tx.grants.add(grant_row("b", session_id="ses_2"))
            tx.grants.add(grant_row("c", user_id="usr_2"))
            tx.grants.add(grant_row("d", client_id="app_2", expires_at=50))
            assert tx.grants.delete_all(user_id="usr_1", client_id="app_2") == 1
            assert tx.grants.delete_all(session_id="ses_2") == 1
            assert _grants(tx) == ["a", "c"]
            tx.grants.move("ses_1", "ses_9")
            assert tx.grants.delete_all(session_id="ses_9") == 2

    def test_the_oldest_grants_of_a_session_at_an_application_are_deleted(
        self, store: Store
    ) -> None:
        with store.write() as tx:
            for number in range(1, 5):
                tx.grants.add(grant_row(f"a{number}", created_at=number))
            tx.grants.add(grant_row("b", session_id="ses_2"))
            tx.grants.add(grant_row("c", client_id="app_2"))
            tx.grants.delete_oldest("ses_1", "app_1", 2)
            assert _grants(tx) == ["a3", "a4", "b", "c"]
            tx.grants.delete_oldest("ses_1", "app_1", 2)
            assert _grants(tx) == ["a3", "a4", "b", "c"]

    def test_grants_end_that_an_application_gives_no_more(self, store: Store) -> None:
        with store.write() as tx:
            tx.grants.add(grant_row("a", redirect_uri="https://b.example", code_challenge="c"))
            tx.grants.add(grant_row("b", family_hash=b"family", code_used=True))
            tx.grants.add(grant_row("c"))
            tx.grants.add(grant_row("d", client_id="app_2", family_hash=b"other"))
            assert sorted(tx.grants.redirect_uris("app_1")) == [
                "https://a.example",
                "https://b.example",
            ]
            tx.grants.end_unproved("app_1")
            assert _open_grants(tx) == ["a", "b", "d"]
            tx.grants.end_at("app_1", ["https://b.example"])
            assert _open_grants(tx) == ["b", "d"]
            tx.grants.end_refreshable("app_1")
            assert _open_grants(tx) == ["d"]

    def test_grants_without_a_second_factor_end(self, store: Store) -> None:
        with store.write() as tx:
            tx.grants.add(grant_row("a", methods="pwd"))
            tx.grants.add(grant_row("b", methods="pwd otp mfa"))
            tx.grants.add(grant_row("c"))
            tx.grants.add(grant_row("d", client_id="app_2"))
            tx.grants.end_one_factor("app_1")
            assert _open_grants(tx) == ["b", "d"]

    def test_an_ended_grant_is_found_by_nothing_and_purged(self, store: Store) -> None:
        with store.write() as tx:
            tx.grants.add(grant_row("a", access_hash=b"access", family_hash=b"family"))
            tx.grants.end_all("app_1")
            assert tx.grants.by_code(b"a") is None
            assert tx.grants.by_access_token(b"access") is None
            assert tx.grants.by_family(b"family") is None
            assert tx.grants.lock("a") is None
            assert not tx.grants.last_used("usr_1", 1)
            assert _grants(tx) == ["a"]
            assert tx.grants.purge(1, 10) == 1
            assert _grants(tx) == []

    def test_the_last_use_of_an_application_counts_what_still_works(self, store: Store) -> None:
        with store.write() as tx:
            tx.grants.add(grant_row("a", created_at=1))
            tx.grants.add(grant_row("b", created_at=3, client_id="app_2"))
            tx.grants.add(grant_row("c", created_at=2))
            tx.grants.add(grant_row("d", created_at=9, client_id="app_3", expires_at=50))
            tx.grants.add(grant_row("e", user_id="usr_2"))
            assert list(tx.grants.last_used("usr_1", 50).items()) == [("app_2", 3), ("app_1", 2)]

    def test_deleting_sessions_deletes_their_grants(self, store: Store) -> None:
        with store.write() as tx:
            for number in range(1, 4):
                tx.grants.add(grant_row(f"{number}", session_id=f"ses_{number}"))
            tx.sessions.delete("usr_1", only="ses_1")
            assert _grants(tx) == ["2", "3"]
            tx.sessions.delete("usr_1", keep="ses_2")
            assert _grants(tx) == ["2"]
            tx.sessions.delete("usr_1")
            assert _grants(tx) == []

    def test_expired_grants_are_purged(self, store: Store) -> None:
        with store.write() as tx:
            tx.grants.add(grant_row("a", expires_at=50))
            tx.grants.add(grant_row("b", expires_at=51))
            tx.grants.add(grant_row("c", expires_at=49))
            assert tx.grants.purge(50, 1) == 1
            assert tx.grants.purge(50, 2) == 1
            assert _grants(tx) == ["b"]

    def test_a_revoked_key_is_not_brought_back(self, store: Store) -> None:
        old, new = PublicKeyRecord("old", "{}", 1), PublicKeyRecord("new", "{}", 2)
        with store.write() as tx:
            tx.public_keys.add(old)
            tx.public_keys.add(new)
            for at in (9, 10):  # it was revoked at 9
                tx.public_keys.revoke_others("new", at)
            tx.public_keys.add(old)
        with store.read() as tx:
            assert list(tx.public_keys.list()) == [PublicKeyRecord("old", "{}", 1, 9), new]
