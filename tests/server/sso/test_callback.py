"""Callbacks with wrong identities, states, codes and issuers."""

import hmac
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.support.databases.stored_data import execute_sql
from tests.support.sign_in.tampered_login import (
    SSO_COOKIE,
    Tamper,
    TamperedLogin,
    change_claims,
    new_tampered_login,
    respond_with,
)

from anyscale.server.control_plane import ControlPlane

AWAY = 3600


def of_another_issuer(login: TamperedLogin) -> None:
    login.link("https://other.example", "jane")
    change_claims(email="stranger@example.com")(login)


PEOPLE: Mapping[str, tuple[Tamper, str]] = {
    "the address is not verified": (change_claims(email_verified=False), "email_unverified"),
    "the address is verified as a text": (change_claims(email_verified="true"), "email_unverified"),
    "the address is verified as a number": (change_claims(email_verified=1), "email_unverified"),
    "nothing says that the address is verified": (
        change_claims(email_verified=None),
        "email_unverified",
    ),
    "there is no address": (change_claims(email=None), "email_missing"),
    "the address is a list": (change_claims(email=["jane@example.com"]), "email_missing"),
    "the address is empty": (change_claims(email=""), "email_invalid"),
    "the domain is another one": (change_claims(email="jane@example.org"), "email_domain"),
    "the domain is below ours": (change_claims(email="jane@sub.example.com"), "email_domain"),
    "the domain ends like ours": (change_claims(email="jane@myexample.com"), "email_domain"),
    "the domain has a Cyrillic e": (change_claims(email="jane@еxample.com"), "email_domain"),  # noqa: RUF001 - the letter is the attack
    "the address has two domains": (
        change_claims(email="jane@example.com@evil.example"),
        "email_invalid",
    ),
    "the other domain is in the name": (
        change_claims(email="jane@evil.example@example.com"),
        "email_invalid",
    ),
    "the address ends with a line": (change_claims(email="jane@example.com\n"), "email_invalid"),
    "the address begins with a blank": (change_claims(email=" jane@example.com"), "email_invalid"),
    "the address holds a NUL": (change_claims(email="jane@example.com\0"), "email_invalid"),
    "the address is quoted": (change_claims(email='"jane"@example.com'), "email_invalid"),
    "the address has a comment": (change_claims(email="jane(x)@example.com"), "email_invalid"),
    "the address has a name": (change_claims(email="Jane <jane@example.com>"), "email_invalid"),
    "the address has a tag": (change_claims(email="jane+x@example.com"), "no_account"),
    "the name begins with a Kelvin sign": (
        change_claims(email="\u212aate@example.com"),
        "email_spelling",
    ),
    "the name is in wide letters": (change_claims(email="ｊane@example.com"), "no_account"),  # noqa: RUF001 - the letter is the attack
    "another subject is tied to the account": (
        lambda login: login.link(login.provider.issuer, "mary"),
        "other_subject",
    ),
    "the subject is tied, but of another issuer": (
        of_another_issuer,
        "no_account",
    ),
}


#: What tells of accounts: it follows a verified address of our domain alone.
OF_ACCOUNTS = {"no_account", "other_subject", "email_spelling"}


@pytest.mark.parametrize("name", PEOPLE)
def test_no_session_is_created_if(
    login: TamperedLogin, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    tamper, reason = PEOPLE[name]
    login.start()
    tamper(login)
    code = "not_set_up" if reason in OF_ACCOUNTS else "refused"
    login.assert_refused(code, reason, caplog.records)


def cookie(**changes: Any) -> Tamper:
    def tamper(login: TamperedLogin) -> None:
        login.cookie = login.cookie | changes

    return tamper


def with_request(**changes: Any) -> Tamper:
    def tamper(login: TamperedLogin) -> None:
        login.cookie = login.cookie | {"attempt": login.cookie["attempt"] | changes}

    return tamper


def garbled(text: str) -> Tamper:
    def tamper(login: TamperedLogin) -> None:
        login.cookie = text

    return tamper


def with_changed_octet(login: TamperedLogin) -> None:
    """Change the cookie without the key of its HMAC."""
    value = bytearray(urlsafe_b64decode(login.client.cookies[SSO_COOKIE] + "=="))
    value[value.index(b'"at":') + 6] ^= 1
    login.cookie = urlsafe_b64encode(value).decode().rstrip("=")


def of_another_control_plane(login: TamperedLogin) -> None:
    content = urlsafe_b64decode(login.client.cookies[SSO_COOKIE] + "==")[:-32]
    signed = content + hmac.digest(b"a key of another database", content, "sha256")
    login.cookie = urlsafe_b64encode(signed).decode().rstrip("=")


def of_another_browser(login: TamperedLogin) -> None:
    mine = login.query
    login.client.cookies.clear()
    login.start()
    login.query = mine


def query(**changes: str | None) -> Tamper:
    return lambda login: login.set(**changes)


def twice(name: str) -> Tamper:
    def tamper(login: TamperedLogin) -> None:
        login.query.append((name, dict(login.query)[name]))

    return tamper


BROWSERS: Mapping[str, tuple[Tamper, str, str]] = {
    "without a state": (query(state=None), "expired", "state"),
    "with another state": (query(state="x" * 43), "expired", "state"),
    "with an empty state": (query(state=""), "expired", "state"),
    "with a state that is not ASCII": (query(state="é"), "expired", "state"),
    "with two states": (twice("state"), "refused", "response_malformed"),
    "without its cookie": (lambda at: at.client.cookies.clear(), "expired", "cookie_missing"),
    "with the cookie of another browser": (of_another_browser, "expired", "state"),
    "with a cookie that is too old": (cookie(at=time.time() - 601), "expired", "cookie_expired"),
    "with a cookie from the future": (cookie(at=time.time() + AWAY), "expired", "cookie_expired"),
    "with a cookie from no time": (cookie(at=None), "expired", "cookie_garbled"),
    "with a cookie of another kind": (cookie(attempt=None), "expired", "cookie_garbled"),
    "with a cookie that is garbled": (garbled("%%%"), "expired", "cookie_garbled"),
    "with a cookie that is a number": (garbled("MQ"), "expired", "cookie_garbled"),
    "with a changed cookie": (with_changed_octet, "expired", "cookie_garbled"),
    "with a cookie without an HMAC": (
        lambda login: garbled(login.client.cookies[SSO_COOKIE][:-44])(login),
        "expired",
        "cookie_garbled",
    ),
    "with the cookie of another control plane": (
        of_another_control_plane,
        "expired",
        "cookie_garbled",
    ),
    "with the cookie of another provider": (
        with_request(issuer="https://x.example"),
        "refused",
        "other_provider",
    ),
    "with the nonce of another sign-in": (with_request(nonce="x" * 43), "refused", "nonce"),
    "sent by another provider": (query(iss="https://evil.example"), "refused", "response_issuer"),
    "sent by nobody, though it is promised": (query(iss=None), "refused", "response_issuer"),
    "sent by two": (twice("iss"), "refused", "response_malformed"),
    "without a code": (query(code=None), "refused", "response_malformed"),
    "with an empty code": (query(code=""), "refused", "response_malformed"),
    "with two codes": (twice("code"), "refused", "response_malformed"),
    "having cancelled": (query(code=None, error="access_denied"), "cancelled", "cancelled"),
    "with an error beside the code": (query(error="access_denied"), "cancelled", "cancelled"),
    "with an unknown error": (query(code=None, error="<b>"), "refused", "provider_error"),
    "since the provider is busy": (
        query(code=None, error="server_error"),
        "unavailable",
        "server_",
    ),
    "with an error of another provider": (
        query(code=None, error="access_denied", iss="https://evil.example"),
        "refused",
        "response_issuer",
    ),
    "with an error and another state": (
        query(code=None, error="access_denied", state="x"),
        "expired",
        "state",
    ),
}


@pytest.mark.parametrize("name", BROWSERS)
def test_no_session_is_created_for_a_callback(
    login: TamperedLogin, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    tamper, code, reason = BROWSERS[name]
    login.start()
    tamper(login)
    login.assert_refused(code, reason, caplog.records)
    if reason != "nonce":
        assert "/token" not in login.provider.requested_paths, "no code was to be exchanged"


def test_a_state_is_valid_once(login: TamperedLogin) -> None:
    login.start()
    login.assert_signed_in()
    answer = login.return_to_callback()
    assert "?sso=expired&" in answer.headers["location"]
    assert login.count("sessions") == 1


def test_a_state_is_valid_once_also_after_a_refusal(login: TamperedLogin) -> None:
    login.start()
    right = login.query
    login.set(state="x")
    login.assert_call_refused(login.return_to_callback, "expired")
    login.query = right
    login.assert_call_refused(login.return_to_callback, "expired")


def test_iss_is_optional_if_the_metadata_do_not_announce_it(login: TamperedLogin) -> None:
    del login.provider.metadata["authorization_response_iss_parameter_supported"]
    login.start()
    login.set(iss=None)
    login.assert_signed_in()


def test_a_wrong_iss_is_refused_if_the_metadata_do_not_announce_it(
    login: TamperedLogin, caplog: pytest.LogCaptureFixture
) -> None:
    del login.provider.metadata["authorization_response_iss_parameter_supported"]
    login.start()
    login.set(iss="https://evil.example")
    login.assert_refused("refused", "response_issuer", caplog.records)


def test_ten_codes_that_the_provider_refuses_stop_a_network(login: TamperedLogin) -> None:
    for expected in ["refused"] * 10 + ["unavailable"] * 3:
        login.start()
        respond_with("/token", {"error": "invalid_grant"}, 400)(login)
        assert f"?sso={expected}&" in login.return_to_callback().headers["location"]
    assert login.provider.requested_paths.count("/token") == 10
    login.start()
    assert "?sso=unavailable&" in login.return_to_callback().headers["location"]


def test_two_servers_of_one_database_accept_the_cookies_of_each_other(
    login: TamperedLogin,
) -> None:
    first = login.control_plane
    assert first.sso_login
    with closing(ControlPlane(first.settings)) as second:
        assert second.sso_login
        one, other = first.sso_login.signer, second.sso_login.signer
        assert other.signature(b"x") == one.signature(b"x") != one.signature(b"y")


def test_the_key_of_the_cookie_is_random_and_depends_on_no_batch(login: TamperedLogin) -> None:
    """It was derived from the first batch, whose id is a part of each `user_id`."""
    control_plane = login.control_plane
    assert control_plane.sso_login
    mac = control_plane.sso_login.signer.signature(b"x")
    with control_plane.store.write() as tx:
        execute_sql(tx, "update batches set idempotency_key = 'another' where id = 1")
        key = tx.server_keys.get("sso_cookie")
    assert key
    assert mac == hmac.digest(key, b"x", "sha256")
    with closing(ControlPlane(control_plane.settings)) as second:
        assert second.sso_login
        assert second.sso_login.signer.signature(b"x") == mac


def test_two_logins_share_no_secret(login: TamperedLogin) -> None:
    login.start()
    first, kept = login.authorization_params, login.cookie["attempt"]
    login.start()
    for name in ("state", "nonce", "code_challenge"):
        assert len(login.authorization_params[name]) == 43
        assert login.authorization_params[name] != first[name]
    assert kept["verifier"] not in str(first)
    assert login.authorization_params["code_challenge_method"] == "S256"
    assert login.authorization_params["scope"] == "openid email profile"


def test_the_sso_routes_do_not_exist_without_a_provider(tmp_path: Path) -> None:
    with new_tampered_login(tmp_path, provider=None) as login:
        assert not login.control_plane.settings.has_provider
        for path in ("/sso/start", "/sso/callback"):
            assert login.client.get(path).status_code == 404
