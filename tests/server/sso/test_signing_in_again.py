"""Owners who sign in again at a hostile identity provider: only their own new sign-in counts."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.support.sign_in.sign_ins import let_time_pass
from tests.support.sign_in.tampered_login import SSO_COOKIE, TamperedLogin, new_tampered_login

from anyscale.server.core.callers import SessionCaller
from anyscale.server.core.time_units import MINUTE_MS

SESSION = "__Host-session"
GUARDED = "/console/tokens/new"


@pytest.fixture
def login(tmp_path: Path) -> Iterator[TamperedLogin]:
    """A browser in which jane, an owner, signed in by SSO more than 15 minutes ago."""
    with new_tampered_login(tmp_path) as login:
        for email in ("jane@example.com", "kate@example.com"):
            make_owner(login, email)
        login.start()
        login.assert_signed_in()
        let_time_pass(login.control_plane, 16 * MINUTE_MS)
        yield login


def make_owner(login: TamperedLogin, email: str) -> None:
    with login.control_plane.store.write() as tx:
        account = tx.accounts.find(email)
        assert account
        tx.accounts.set_role(account.user_id, "owner")


def start(login: TamperedLogin, guarded: str = GUARDED, **claims: object) -> dict[str, list[str]]:
    """Start to sign in again on the way to a page; give the query for the provider."""
    place = login.client.get(guarded).headers["location"]
    to = place.partition("?")[2]
    answer = login.client.get(f"/sign-in-again/sso?{to}")
    asked = parse_qs(urlsplit(answer.headers["location"]).query)
    login.provider.set_claims(asked["nonce"][0])
    login.provider.claims |= {"auth_time": int(time.time())} | claims
    code, state, issuer = "a code of the provider", asked["state"][0], login.provider.issuer
    login.query = [("code", code), ("state", state), ("iss", issuer)]
    return asked


def caller(login: TamperedLogin) -> SessionCaller:
    return login.control_plane.sessions.authenticate(login.client.cookies[SESSION])


def assert_refused(login: TamperedLogin, message: str, reason: str) -> None:
    before = login.client.cookies[SESSION]
    answer = login.return_to_callback()
    place = answer.headers["location"]
    assert answer.status_code == 303
    assert place.startswith("/sign-in-again?to=")
    assert parse_qs(place.partition("?")[2])["sso"] == [message]
    assert SSO_COOKIE not in login.client.cookies
    assert login.client.cookies[SESSION] == before
    assert not caller(login).has_recent_sign_in
    assert reason in login.denial_reasons()
    page = login.client.get(place).text
    assert "There is a problem" in page


def test_the_provider_asks_the_owner_and_the_owner_goes_on(login: TamperedLogin) -> None:
    before = caller(login).session
    asked = start(login)
    assert (asked["prompt"], asked["max_age"]) == (["login"], ["0"])
    answer = login.return_to_callback()
    assert (answer.status_code, answer.headers["location"]) == (303, GUARDED)
    assert SSO_COOKIE not in login.client.cookies
    assert caller(login).session.session_id == before.session_id
    assert caller(login).has_recent_sign_in
    assert login.client.get(GUARDED).status_code == 200


def test_the_clock_of_the_provider_may_be_ahead(login: TamperedLogin) -> None:
    start(login, auth_time=int(time.time()) + 60)
    assert login.return_to_callback().headers["location"] == GUARDED
    assert login.client.get(GUARDED).status_code == 200
    let_time_pass(login.control_plane, 16 * MINUTE_MS)
    assert not caller(login).has_recent_sign_in


def test_a_long_selection_does_not_make_the_cookie_too_large(login: TamperedLogin) -> None:
    selected = "&".join(f"user_id=usr_{at:026}" for at in range(50))
    start(login, f"/console/users/links?{selected}")
    assert len(login.client.cookies[SSO_COOKIE]) < 4_000
    assert login.return_to_callback().headers["location"] == "/console/users/links"


@pytest.mark.parametrize(
    "auth_time", [None, time.time() - 3_600, "now", True], ids=["none", "old", "a text", "a bool"]
)
def test_an_old_sign_in_at_the_provider_does_not_count(
    login: TamperedLogin, auth_time: object
) -> None:
    start(login, auth_time=auth_time)
    assert_refused(login, "not_recent", "auth_time")


def test_another_owner_who_signs_in_there_does_not_count(login: TamperedLogin) -> None:
    start(login, sub="kate", email="kate@example.com")
    assert_refused(login, "other_user", "other_user")


def test_a_user_without_an_account_does_not_count(login: TamperedLogin) -> None:
    start(login, sub="nobody", email="nobody@example.com")
    assert_refused(login, "other_user", "other_user")


def test_an_answer_counts_once(login: TamperedLogin) -> None:
    start(login)
    cookie = login.client.cookies[SSO_COOKIE]
    login.return_to_callback()
    let_time_pass(login.control_plane, 16 * MINUTE_MS)
    login.client.cookies.set(SSO_COOKIE, cookie, domain="127.0.0.1", path="/")
    assert_refused(login, "expired", "state_used")


def test_an_answer_for_another_session_does_not_count(login: TamperedLogin) -> None:
    start(login)
    cookie, query, claims = login.client.cookies[SSO_COOKIE], login.query, login.provider.claims
    login.start()  # jane signs in anew meanwhile, in another window
    login.assert_signed_in()
    let_time_pass(login.control_plane, 16 * MINUTE_MS)
    login.client.cookies.set(SSO_COOKIE, cookie, domain="127.0.0.1", path="/")
    login.query, login.provider.claims = query, claims
    assert_refused(login, "expired", "other_session")


def test_a_browser_that_is_signed_out_meanwhile_signs_in(login: TamperedLogin) -> None:
    start(login)
    del login.client.cookies[SESSION]
    answer = login.return_to_callback()
    assert answer.headers["location"] == "/sign-in?note=session_expired"
    assert SESSION not in login.client.cookies


def test_the_answer_to_another_state_does_not_count(login: TamperedLogin) -> None:
    start(login)
    login.set(state="x" * 43)
    assert_refused(login, "expired", "state")


def test_the_owner_who_cancels_may_try_again(login: TamperedLogin) -> None:
    start(login)
    login.set(code=None, error="access_denied")
    assert_refused(login, "cancelled", "cancelled")


def test_a_suspended_owner_is_refused(login: TamperedLogin) -> None:
    start(login)
    with login.control_plane.store.write() as tx:
        tx.accounts.set_suspended(caller(login).account.user_id, tx.now())
    answer = login.return_to_callback()
    assert answer.headers["location"] == "/sign-in?note=session_expired"


def test_the_sign_in_is_in_the_audit_log(login: TamperedLogin) -> None:
    start(login)
    login.return_to_callback()
    entry = login.control_plane.audit_log.list(0, 1, newest_first=True)[0]
    assert (entry.event, entry.actor) == ("session.renewed", caller(login).actor)
    assert json.loads(entry.data) == {"auth_method": "sso", "methods": ""}


def test_another_site_cannot_start_it(login: TamperedLogin) -> None:
    headers = {"Sec-Fetch-Site": "cross-site"}
    answer = login.client.get("/sign-in-again/sso", headers=headers)
    assert answer.headers["location"] == "/sign-in-again"
    assert SSO_COOKIE not in login.client.cookies


def test_without_a_sealed_path_the_owner_comes_to_the_overview(login: TamperedLogin) -> None:
    answer = login.client.get("/sign-in-again/sso?to=https://evil.example")
    asked = parse_qs(urlsplit(answer.headers["location"]).query)
    login.provider.set_claims(asked["nonce"][0])
    login.provider.claims["auth_time"] = int(time.time())
    login.query = [("code", "a code of the provider"), ("state", asked["state"][0])]
    login.query.append(("iss", login.provider.issuer))
    assert login.return_to_callback().headers["location"] == "/console"
