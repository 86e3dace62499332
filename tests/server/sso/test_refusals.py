"""What a user reads after a refused sign-in by SSO, and what the log says to the administrator."""

from collections.abc import Mapping
from typing import Any

import pytest
from tests.support.sign_in.tampered_login import (
    Tamper,
    TamperedLogin,
    change_claims,
    change_header,
    respond_with,
)

from anyscale.server.core.sso.id_token import loggable

#: a change, and what the log says of it
DETAILS: Mapping[str, tuple[Tamper, str]] = {
    "the algorithm": (change_header(alg="RS512"), "RS512"),
    "the issuer of the token": (change_claims(iss="https://evil.example"), "https://evil.example"),
    "the issuer of the response": (lambda login: login.set(iss="https://a.b"), "https://a.b"),
    "that email_verified is absent": (change_claims(email_verified=None), "absent"),
    "that email_verified is false": (change_claims(email_verified=False), "false"),
    "that email_verified is a text": (change_claims(email_verified="true"), "a text"),
    "that email_verified is a number": (
        change_claims(email_verified=1),
        "neither true nor false",
    ),
    "that the client is refused": (
        respond_with("/token", {"error": "invalid_client", "error_description": "eyJ"}, 401),
        "invalid_client (HTTP 401)",
    ),
    "no error that no specification knows": (
        respond_with("/token", {"error": "jane@example.com"}, 400),
        "other (HTTP 400)",
    ),
    "the status of a refusal without an error": (
        respond_with("/token", b"<html>", 403),
        "other (HTTP 403)",
    ),
    "the error of the redirect": (
        lambda login: login.set(code=None, error="invalid_scope"),
        "invalid_scope",
    ),
    "no unknown error of the redirect": (
        lambda login: login.set(code=None, error="eyJ"),
        "other",
    ),
}


@pytest.mark.parametrize("name", DETAILS)
def test_the_log_says(login: TamperedLogin, caplog: pytest.LogCaptureFixture, name: str) -> None:
    tamper, detail = DETAILS[name]
    login.start()
    tamper(login)
    login.assert_call_refused(login.return_to_callback, "refused")
    assert details(caplog) == [detail]
    assert "eyJ" not in str([vars(record) for record in caplog.records])


def details(caplog: pytest.LogCaptureFixture) -> list[Any]:
    return [
        vars(record).get("detail")
        for record in caplog.records
        if record.message == "sign-in refused"
    ]


def test_the_log_says_which_issuer_the_metadata_name(
    login: TamperedLogin, caplog: pytest.LogCaptureFixture
) -> None:
    named = f"{login.provider.issuer}/"
    login.provider.metadata["issuer"] = named
    for _ in range(2):  # the second time from the cache
        login.assert_call_refused(login.start, "refused")
    assert details(caplog) == [named, named]
    assert len(login.provider.requested_paths) == 1


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("RS512", "RS512"),
        (None, "absent"),
        (5, "no text"),
        ("a\nb", r"'a\nb'"),
        ("x" * 999, "x" * 200),
    ],
)
def test_a_value_of_a_provider_is_logged_as_visible_ascii(value: object, shown: str) -> None:
    assert loggable(value) == shown


def test_an_email_that_is_not_verified_says_nothing_about_an_account(
    login: TamperedLogin,
) -> None:
    answers = set()
    for email in ("jane@example.com", "nobody@example.com"):
        login.start()
        change_claims(email=email, email_verified=False)(login)
        answers.add(shown(login))
    assert len(answers) == 1
    assert "could not be accepted" in answers.pop()


def test_a_verified_email_of_any_account_or_none_gets_the_same_answer(
    login: TamperedLogin,
) -> None:
    with login.control_plane.store.write() as tx:
        account = tx.accounts.find("jane@example.com")
        assert account
        tx.accounts.set_suspended(account.user_id, tx.now())
    answers = set()
    for email in ("jane@example.com", "nobody@example.com"):
        login.start()
        change_claims(email=email)(login)
        answers.add(shown(login))
    assert len(answers) == 1
    assert "You have no account here that works with single sign-on" in answers.pop()


def shown(login: TamperedLogin) -> str:
    """Return to the callback; give the page that the user sees, without its number."""
    refused = login.return_to_callback()
    number = refused.headers["x-request-id"][:8]
    page = login.client.get(refused.headers["location"]).text
    assert page.count(number) == 1, "the log line is found by it"
    return page.replace(number, "...")
