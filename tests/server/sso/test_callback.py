"""People who are not who they say, and browsers that come back with what is not theirs."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.support.tampering import Attempt, Tamper, attempted, claims

AWAY = 3600


def of_another_issuer(attempt: Attempt) -> None:
    attempt.link("https://other.example", "jane")
    claims(email="stranger@example.com")(attempt)


PEOPLE: Mapping[str, tuple[Tamper, str]] = {
    "the address is not verified": (claims(email_verified=False), "email_unverified"),
    "the address is verified as a text": (claims(email_verified="true"), "email_unverified"),
    "the address is verified as a number": (claims(email_verified=1), "email_unverified"),
    "nothing says that the address is verified": (claims(email_verified=None), "email_unverified"),
    "there is no address": (claims(email=None), "email_missing"),
    "the address is a list": (claims(email=["jane@example.com"]), "email_missing"),
    "the address is empty": (claims(email=""), "email_invalid"),
    "the domain is another one": (claims(email="jane@example.org"), "email_domain"),
    "the domain is below ours": (claims(email="jane@sub.example.com"), "email_domain"),
    "the domain ends like ours": (claims(email="jane@myexample.com"), "email_domain"),
    "the domain has a Cyrillic e": (claims(email="jane@еxample.com"), "email_domain"),  # noqa: RUF001
    "the address has two domains": (claims(email="jane@example.com@evil.example"), "email_invalid"),
    "the other domain is in the name": (
        claims(email="jane@evil.example@example.com"),
        "email_invalid",
    ),
    "the address ends with a line": (claims(email="jane@example.com\n"), "email_invalid"),
    "the address begins with a blank": (claims(email=" jane@example.com"), "email_invalid"),
    "the address holds a NUL": (claims(email="jane@example.com\0"), "email_invalid"),
    "the address is quoted": (claims(email='"jane"@example.com'), "email_invalid"),
    "the address has a comment": (claims(email="jane(x)@example.com"), "email_invalid"),
    "the address has a name": (claims(email="Jane <jane@example.com>"), "email_invalid"),
    "the address has a tag": (claims(email="jane+x@example.com"), "no_account"),
    "the name begins with a Kelvin sign": (claims(email="\u212aate@example.com"), "email_spelling"),
    "the name is in wide letters": (claims(email="ｊane@example.com"), "no_account"),  # noqa: RUF001
    "another subject is tied to the account": (
        lambda attempt: attempt.link(attempt.idp.issuer, "mary"),
        "other_subject",
    ),
    "the subject is tied, but of another issuer": (
        of_another_issuer,
        "no_account",
    ),
}


@pytest.mark.parametrize("name", PEOPLE)
def test_a_person_is_not_signed_in_when(
    attempt: Attempt, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    tamper, reason = PEOPLE[name]
    attempt.start()
    tamper(attempt)
    attempt.is_refused("refused", reason, caplog.records)


def cookie(**changes: Any) -> Tamper:
    def tamper(attempt: Attempt) -> None:
        attempt.cookie = attempt.cookie | changes

    return tamper


def begun(**changes: Any) -> Tamper:
    def tamper(attempt: Attempt) -> None:
        attempt.cookie = attempt.cookie | {"begun": attempt.cookie["begun"] | changes}

    return tamper


def garbled(text: str) -> Tamper:
    def tamper(attempt: Attempt) -> None:
        attempt.cookie = text

    return tamper


def of_another_browser(attempt: Attempt) -> None:
    mine = attempt.query
    attempt.client.cookies.clear()
    attempt.start()
    attempt.query = mine


def query(**changes: str | None) -> Tamper:
    return lambda attempt: attempt.set(**changes)


def twice(name: str) -> Tamper:
    def tamper(attempt: Attempt) -> None:
        attempt.query.append((name, dict(attempt.query)[name]))

    return tamper


BROWSERS: Mapping[str, tuple[Tamper, str, str]] = {
    "without a state": (query(state=None), "expired", "state"),
    "with another state": (query(state="x" * 43), "expired", "state"),
    "with an empty state": (query(state=""), "expired", "state"),
    "with a state that is no ASCII": (query(state="é"), "expired", "state"),
    "with two states": (twice("state"), "refused", "response_malformed"),
    "without its cookie": (lambda at: at.client.cookies.clear(), "expired", "cookie_missing"),
    "with the cookie of another browser": (of_another_browser, "expired", "state"),
    "with a cookie that is too old": (cookie(at=time.time() - 601), "expired", "cookie_expired"),
    "with a cookie from the future": (cookie(at=time.time() + AWAY), "expired", "cookie_expired"),
    "with a cookie from no time": (cookie(at=None), "expired", "cookie_garbled"),
    "with a cookie of another kind": (cookie(begun=None), "expired", "cookie_garbled"),
    "with a cookie that is garbled": (garbled("%%%"), "expired", "cookie_garbled"),
    "with a cookie that is a number": (garbled("MQ"), "expired", "cookie_garbled"),
    "with the cookie of another provider": (
        begun(issuer="https://x.example"),
        "refused",
        "other_provider",
    ),
    "with the nonce of another sign-in": (begun(nonce="x" * 43), "refused", "nonce"),
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
def test_a_browser_is_not_signed_in_that_comes_back(
    attempt: Attempt, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    tamper, code, reason = BROWSERS[name]
    attempt.start()
    tamper(attempt)
    attempt.is_refused(code, reason, caplog.records)
    if reason != "nonce":
        assert "/token" not in attempt.idp.asked, "no code was to be exchanged"


def test_a_state_is_good_once(attempt: Attempt) -> None:
    attempt.start()
    attempt.signs_in()
    answer = attempt.back()
    assert answer.headers["location"] == "/sign-in?sso=expired"
    assert attempt.count("sessions") == 1


def test_a_state_is_good_once_also_when_it_was_no_good(attempt: Attempt) -> None:
    attempt.start()
    right = attempt.query
    attempt.set(state="x")
    attempt.found_refused(attempt.back, "expired")
    attempt.query = right
    attempt.found_refused(attempt.back, "expired")


def test_a_provider_that_does_not_promise_to_name_itself_need_not(attempt: Attempt) -> None:
    del attempt.idp.metadata["authorization_response_iss_parameter_supported"]
    attempt.start()
    attempt.set(iss=None)
    attempt.signs_in()


def test_a_provider_that_does_not_promise_to_name_itself_names_no_other(
    attempt: Attempt, caplog: pytest.LogCaptureFixture
) -> None:
    del attempt.idp.metadata["authorization_response_iss_parameter_supported"]
    attempt.start()
    attempt.set(iss="https://evil.example")
    attempt.is_refused("refused", "response_issuer", caplog.records)


def test_two_sign_ins_never_share_what_is_secret(attempt: Attempt) -> None:
    attempt.start()
    first, kept = attempt.sent, attempt.cookie["begun"]
    attempt.start()
    for name in ("state", "nonce", "code_challenge"):
        assert len(attempt.sent[name]) == 43
        assert attempt.sent[name] != first[name]
    assert kept["verifier"] not in str(first)
    assert attempt.sent["code_challenge_method"] == "S256"
    assert attempt.sent["scope"] == "openid email profile"


def test_where_there_is_no_provider_there_is_no_sign_in_at_one(tmp_path: Path) -> None:
    with attempted(tmp_path, provider=None) as attempt:
        assert not attempt.plane.settings.sso
        for path in ("/sso/start", "/sso/callback"):
            assert attempt.client.get(path).status_code == 404
