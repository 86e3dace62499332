"""The authorization endpoint decides: an error, a sign-in, or a code."""

import time
from typing import Any

import pytest
from tests.support.callers import OPERATOR
from tests.support.databases.stored_data import execute_sql
from tests.support.sign_in.openid_provider import CALLBACK, Site
from tests.support.sign_in.sign_ins import get_account
from tests.support.waiting import wait_until

from anyscale.domain.models.applications import ApplicationChanges
from anyscale.errors import NotFound, RequestInvalid
from anyscale.server.core.openid.authorization import Redirection, SignInNeeded
from anyscale.server.core.openid.stored_requests import StoredRequests
from anyscale.server.core.secrets import new_secret
from anyscale.server.core.signer import Signer
from anyscale.server.core.steps import Step
from anyscale.server.core.transactions import Transactions
from anyscale.server.store.sqlite import connection

WITHOUT_REDIRECT: list[dict[str, Any]] = [
    {"client_id": "app_none"},
    {"client_id": None},
    {"redirect_uri": None},
    {"redirect_uri": "https://evil.example.com/callback"},
    {"redirect_uri": f"{CALLBACK}/"},
    {"redirect_uri": f"{CALLBACK}?x=1"},
    {"redirect_uri": f"{CALLBACK}#x"},
    {"redirect_uri": "https://hub.example.com/Callback"},
    {"redirect_uri": "https://hub.example.com:443/callback"},
    {"redirect_uri": "https://hub.example.com/x/../callback"},
    {"redirect_uri": "https://hub.example.com/%63allback"},
    {"redirect_uri": "https://hub.example.com@evil.example.com/callback"},
    {"redirect_uri": "https://user@hub.example.com/callback"},
    {"redirect_uri": "http://hub.example.com/callback"},
    {"redirect_uri": "//hub.example.com/callback"},
    {"redirect_uri": "javascript:alert(1)"},
    {"redirect_uri": "https://hub.example.com/callback\n"},
    {"redirect_uri": "https://hub.example.com.evil.example/callback"},
]


@pytest.mark.parametrize("changes", WITHOUT_REDIRECT, ids=str)
def test_an_unknown_application_or_address_is_not_redirected_to(
    site: Site, changes: dict[str, Any]
) -> None:
    with pytest.raises(RequestInvalid, match=r"registered|once each"):
        site.start(site.sign_in(), **changes)


@pytest.mark.parametrize("name", ["client_id", "redirect_uri"])
def test_a_repeated_application_or_address_is_not_redirected_to(site: Site, name: str) -> None:
    values = {"client_id": site.client_id, "redirect_uri": CALLBACK}
    pairs = [*values.items(), (name, values[name])]

    with pytest.raises(RequestInvalid):
        site.provider.authorization.start(pairs, "", "")


ERRORS: list[tuple[dict[str, Any], str]] = [
    ({"response_type": None}, "invalid_request"),
    ({"response_type": "token"}, "unsupported_response_type"),
    ({"response_type": "id_token"}, "unsupported_response_type"),
    ({"response_type": "code id_token"}, "unsupported_response_type"),
    ({"response_mode": "fragment"}, "invalid_request"),
    ({"response_mode": "form_post"}, "invalid_request"),
    ({"scope": None}, "invalid_scope"),
    ({"scope": "profile email"}, "invalid_scope"),
    ({"request": "eyJ"}, "request_not_supported"),
    ({"request_uri": "https://evil.example.com"}, "request_uri_not_supported"),
    ({"registration": "{}"}, "registration_not_supported"),
    ({"code_challenge": None}, "invalid_request"),
    ({"code_challenge_method": None}, "invalid_request"),
    ({"code_challenge_method": "plain"}, "invalid_request"),
    ({"code_challenge": "short"}, "invalid_request"),
    ({"code_challenge": None, "code_challenge_method": None}, "invalid_request"),
    ({"prompt": "none login"}, "invalid_request"),
    ({"prompt": "create"}, "invalid_request"),
    ({"max_age": "-1"}, "invalid_request"),
    ({"max_age": "soon"}, "invalid_request"),
    ({"id_token_hint": "garbage"}, "invalid_request"),
    ({"login_hint": "x" * 3000}, "invalid_request"),
    ({"nonce": "\0"}, "invalid_request"),
]


@pytest.mark.parametrize(("changes", "error"), ERRORS, ids=str)
def test_an_invalid_request_is_answered_to_the_application(
    site: Site, changes: dict[str, Any], error: str
) -> None:
    decision = site.start(site.sign_in(), **changes)

    assert isinstance(decision, Redirection)
    assert decision.redirect_uri == CALLBACK
    assert decision.parameters["error"] == error
    assert decision.parameters["state"] == "the state"
    assert "code" not in decision.parameters


@pytest.mark.parametrize("method", ["S256", "plain"])
def test_a_method_without_a_challenge_is_an_error(site: Site, method: str) -> None:
    site.client_id, _ = site.create_application(name="Wiki", requires_pkce=False)
    without: dict[str, Any] = {"code_challenge": None, "code_challenge_method": None}
    assert site.code(site.sign_in(), **without)

    decision = site.start(site.sign_in(), **(without | {"code_challenge_method": method}))

    assert isinstance(decision, Redirection)
    assert decision.parameters["error"] == "invalid_request"


def test_a_repeated_parameter_is_an_error(site: Site) -> None:
    pairs = [("client_id", site.client_id), ("redirect_uri", CALLBACK), ("state", "a")]
    decision = site.provider.authorization.start([*pairs, ("state", "b")], "", "")

    assert isinstance(decision, Redirection)
    assert decision.parameters["error"] == "invalid_request"
    assert "state" not in decision.parameters


def test_a_signed_in_user_gets_a_code_at_once(site: Site) -> None:
    decision = site.start(site.sign_in())

    assert isinstance(decision, Redirection)
    assert set(decision.parameters) == {"code", "state"}
    assert len(decision.parameters["code"]) == 43


UNKNOWN_PARAMETERS = {"display": "popup", "ui_locales": "de", "foo": "bar"}


def test_unknown_parameters_and_scopes_are_ignored(site: Site) -> None:
    decision = site.start(site.sign_in(), scope="email openid unknown", **UNKNOWN_PARAMETERS)

    assert isinstance(decision, Redirection)
    assert "code" in decision.parameters


def test_a_browser_without_a_session_signs_in_and_comes_back(site: Site) -> None:
    needed = site.start()
    assert isinstance(needed, SignInNeeded)
    assert needed.step is None

    again = site.provider.authorization.resume(needed.request_id, "", needed.browser)
    assert isinstance(again, SignInNeeded)
    decision = site.provider.authorization.resume(needed.request_id, site.sign_in(), needed.browser)

    assert isinstance(decision, Redirection)
    assert decision.parameters["state"] == "the state"
    assert site.exchange(decision.parameters["code"]).access_token


def test_a_stored_request_is_answered_once(site: Site) -> None:
    needed = site.start()
    assert isinstance(needed, SignInNeeded)
    session = site.sign_in()
    answered = site.provider.authorization.resume(needed.request_id, session, needed.browser)

    assert isinstance(answered, Redirection)
    assert answered.browser == ""  # the browser deletes the cookie
    with pytest.raises(NotFound, match="expired"):
        site.provider.authorization.resume(needed.request_id, session, answered.browser)


def test_a_stored_request_of_a_deleted_application_is_over(site: Site) -> None:
    needed = site.start()
    assert isinstance(needed, SignInNeeded)
    site.control_plane.applications.delete(OPERATOR, site.client_id)

    with pytest.raises(NotFound):
        site.provider.authorization.resume(needed.request_id, site.sign_in(), needed.browser)


def test_a_session_that_has_ended_is_none(site: Site) -> None:
    session = site.sign_in()
    site.control_plane.lifecycle.suspend(OPERATOR, site.ids["jane"])

    assert isinstance(site.start(session), SignInNeeded)


@pytest.mark.parametrize("browser", ["", "x", "x" * 200, "\u00e9"])
def test_another_browser_cannot_go_on_with_a_stored_request(site: Site, browser: str) -> None:
    needed = site.start()
    assert isinstance(needed, SignInNeeded)

    with pytest.raises(NotFound):
        site.provider.authorization.resume(needed.request_id, site.sign_in(), browser)


def test_a_cookie_that_no_server_has_sealed_for_requests_has_none(site: Site) -> None:
    needed, store = site.start(), site.control_plane.store
    assert isinstance(needed, SignInNeeded)
    content = Signer(Transactions(store), "authorization_requests").unsign(needed.browser)

    with pytest.raises(NotFound):
        site.provider.authorization.stored(
            needed.request_id, Signer(Transactions(store), "return_path").sign(content)
        )


def test_a_stored_request_expires_after_ten_minutes(site: Site) -> None:
    needed = site.start()
    assert isinstance(needed, SignInNeeded)
    stored = site.provider.authorization.stored(needed.request_id, needed.browser)
    requests, minutes = StoredRequests(site.control_plane.transactions), 60_000

    assert requests.find(needed.browser, needed.request_id, stored.at + 9 * minutes)
    assert not requests.find(needed.browser, needed.request_id, stored.at + 10 * minutes)


def test_two_windows_of_a_browser_have_a_request_each(site: Site) -> None:
    first = site.start()
    assert isinstance(first, SignInNeeded)
    second = site.start(browser=first.browser, state="the second")
    assert isinstance(second, SignInNeeded)
    session = site.sign_in()

    cookie = second.browser
    for needed, state in ((first, "the state"), (second, "the second")):
        decision = site.provider.authorization.resume(needed.request_id, session, cookie)
        assert isinstance(decision, Redirection)
        assert decision.parameters["state"] == state
        assert decision.browser is not None
        cookie = decision.browser


@pytest.mark.parametrize(
    "changes", [{"prompt": "login"}, {"prompt": "select_account"}, {"max_age": "0"}], ids=str
)
def test_a_new_sign_in_is_required_in_a_session(site: Site, changes: dict[str, str]) -> None:
    old = site.sign_in(ago=120)
    needed = site.start(old, **changes)
    assert isinstance(needed, SignInNeeded)
    resume = site.provider.authorization.resume

    assert isinstance(resume(needed.request_id, old, needed.browser), SignInNeeded)
    _wait_for_another_millisecond(site)
    assert isinstance(resume(needed.request_id, site.sign_in(), needed.browser), Redirection)


@pytest.mark.parametrize("method", ["link", "sso"])
@pytest.mark.parametrize("wish", ["a new sign-in", "another user"])
def test_only_a_sign_in_after_the_millisecond_of_a_request_answers_it(
    site: Site, monkeypatch: pytest.MonkeyPatch, method: str, wish: str
) -> None:
    hint = site.exchange(site.code(site.sign_in("kim"))).id_token
    at = int(time.time() * 1_000)
    monkeypatch.setattr(connection, "_now", lambda: at)
    session = site.sign_in(method=method)
    changes = {"prompt": "login"} if wish == "a new sign-in" else {"id_token_hint": hint}
    needed = site.start(session, **changes)
    assert isinstance(needed, SignInNeeded)

    resume = site.provider.authorization.resume
    assert isinstance(resume(needed.request_id, session, needed.browser), SignInNeeded)
    monkeypatch.setattr(connection, "_now", lambda: at + 1)
    answer = resume(needed.request_id, site.sign_in("kim", method), needed.browser)
    assert isinstance(answer, Redirection)
    assert "code" in answer.parameters


@pytest.mark.parametrize("changes", [{"prompt": "login"}, {"max_age": "1"}], ids=str)
@pytest.mark.parametrize("method", ["link", "sso"])
def test_a_new_sign_in_cannot_be_left_out_a_moment_after_the_last_one(
    site: Site, method: str, changes: dict[str, str]
) -> None:
    recent = site.sign_in(method=method, ago=30)
    needed = site.start(recent, **changes)
    assert isinstance(needed, SignInNeeded)
    created_at = site.provider.authorization.stored(needed.request_id, needed.browser).created_at
    with site.control_plane.store.write() as tx:  # that of the request
        execute_sql(tx, f"update sessions set created_at = {created_at}")

    skipped = site.provider.authorization.resume(needed.request_id, recent, needed.browser)

    assert isinstance(skipped, SignInNeeded)


def test_the_clock_of_an_identity_provider_may_be_a_minute_slow(site: Site) -> None:
    resume = site.provider.authorization.resume
    for method, ago, is_accepted in (("sso", 50, True), ("sso", 70, False), ("link", 50, False)):
        needed = site.start(site.sign_in(ago=120), prompt="login")
        assert isinstance(needed, SignInNeeded)
        _wait_for_another_millisecond(site)
        session = site.sign_in(method=method, ago=ago)
        decision = resume(needed.request_id, session, needed.browser)
        assert isinstance(decision, Redirection) is is_accepted


def test_max_age_accepts_a_sign_in_that_is_new_enough(site: Site) -> None:
    session = site.sign_in(ago=120)

    assert isinstance(site.start(session, max_age="60"), SignInNeeded)
    assert isinstance(site.start(session, max_age="600"), Redirection)


def test_a_sign_in_whose_time_is_to_come_is_not_new(site: Site) -> None:
    later = site.sign_in()
    with site.control_plane.store.write() as tx:
        execute_sql(tx, "update sessions set authenticated_at = authenticated_at + 120000")
    needed = site.start(later, max_age="600")
    assert isinstance(needed, SignInNeeded)

    resume = site.provider.authorization.resume
    assert isinstance(resume(needed.request_id, later, needed.browser), SignInNeeded)
    assert isinstance(resume(needed.request_id, site.sign_in(), needed.browser), Redirection)


def test_consent_is_accepted_without_a_page(site: Site) -> None:
    assert isinstance(site.start(site.sign_in(), prompt="consent"), Redirection)


@pytest.mark.parametrize("changes", [{}, {"max_age": "0"}], ids=str)
def test_a_silent_request_shows_no_page(site: Site, changes: dict[str, str]) -> None:
    for session in ("", site.sign_in(ago=120)):
        decision = site.start(session, prompt="none", **changes)
        assert isinstance(decision, Redirection)
        is_silent_success = bool(session) and not changes
        assert ("code" in decision.parameters) is is_silent_success
        if not is_silent_success:
            assert decision.parameters["error"] == "login_required"


def test_a_user_with_an_initial_password_changes_it_first(site: Site) -> None:
    session = site.sign_in(method="password")
    needed = site.start(session)

    assert isinstance(needed, SignInNeeded)
    assert needed.step is Step.PASSWORD
    assert site.provider.authorization.resume(needed.request_id, session, needed.browser) == needed
    silent = site.start(site.sign_in(method="password"), prompt="none")
    assert isinstance(silent, Redirection)
    assert silent.parameters["error"] == "login_required"
    # The password is a matter for the new sign-in.
    old = site.start(site.sign_in(method="password", ago=120), max_age="60")
    assert isinstance(old, SignInNeeded)
    assert old.step is None


def test_a_hint_of_another_user_requires_a_sign_in(site: Site) -> None:
    hint = site.exchange(site.code(site.sign_in("kim"))).id_token
    session = site.sign_in("jane")

    needed = site.start(session, id_token_hint=hint)
    assert isinstance(needed, SignInNeeded)
    _wait_for_another_millisecond(site)
    as_jane = site.provider.authorization.resume(
        needed.request_id, site.sign_in("jane"), needed.browser
    )
    assert isinstance(as_jane, Redirection)
    assert as_jane.parameters["error"] == "login_required"
    own = site.exchange(site.code(session)).id_token
    assert isinstance(site.start(session, prompt="none", id_token_hint=own), Redirection)


@pytest.mark.parametrize(
    ("audience", "is_allowed"),
    [
        ([], True),
        (["owners"], False),
        (["EXAMPLE.com"], True),
        (["example.org"], False),
        (["owners", "example.com"], True),
        (["corp.example.com"], False),
        (["ample.com"], False),
    ],
)
def test_an_application_signs_in_its_audience_alone(
    site: Site, audience: list[str], *, is_allowed: bool
) -> None:
    site.client_id, site.secret = site.create_application(name="Wiki", audience=audience)
    decision = site.start(site.sign_in())

    assert isinstance(decision, Redirection)
    assert ("code" in decision.parameters) is is_allowed
    if not is_allowed:
        assert decision.parameters["error"] == "access_denied"
        assert decision.denied == "Wiki"
        silent = site.start(site.sign_in(), prompt="none")
        assert isinstance(silent, Redirection)
        assert (silent.parameters["error"], silent.denied) == ("access_denied", "")


def test_an_undone_batch_matches_nobody(site: Site) -> None:
    batch_id = get_account(site.control_plane, "jane@example.com").batch_id
    site.client_id, site.secret = site.create_application(name="Wiki", audience=[batch_id])
    session = site.sign_in()
    decision = site.start(session)
    assert isinstance(decision, Redirection)
    assert "code" in decision.parameters

    site.control_plane.batches.undo(OPERATOR, batch_id, "", force=False, dry_run=False)

    decision = site.start(session)
    assert not isinstance(decision, Redirection) or "code" not in decision.parameters


def test_a_browser_keeps_its_latest_requests_in_one_cookie(site: Site) -> None:
    cookie, ids = "", list[str]()
    for _ in range(60):
        needed = site.start(browser=cookie, state=new_secret())
        assert isinstance(needed, SignInNeeded)
        cookie = needed.browser
        ids.append(needed.request_id)

    assert len(cookie) <= 2_000
    requests = StoredRequests(site.control_plane.transactions)
    kept = [one for one in ids if requests.find(cookie, one, 0)]
    assert 4 <= len(kept) < 60
    assert kept == ids[-len(kept) :]
    newest = site.provider.authorization.stored(None, cookie)
    assert newest.request_id == ids[-1]


def test_a_long_request_waits_and_one_that_no_cookie_can_have_is_refused(site: Site) -> None:
    long = "".join(new_secret() for _ in range(46))[:1_950]
    needed = site.start(state=long)
    assert isinstance(needed, SignInNeeded)
    assert len(needed.browser) <= 3_900
    decision = site.provider.authorization.resume(needed.request_id, site.sign_in(), needed.browser)
    assert isinstance(decision, Redirection)
    assert decision.parameters["state"] == long

    refused = site.start(state=long, nonce=long[::-1])
    assert isinstance(refused, Redirection)
    assert refused.parameters["error"] == "invalid_request"
    assert "too long" in refused.parameters["error_description"]
    at_once = site.start(site.sign_in(), state=long, nonce=long[::-1])
    assert isinstance(at_once, Redirection)
    assert "code" in at_once.parameters


CHANGES: dict[str, tuple[ApplicationChanges, str]] = {
    "redirect URI": (ApplicationChanges(redirect_uris=[f"{CALLBACK}/new"]), ""),
    "PKCE": (ApplicationChanges(requires_pkce=True), "invalid_request"),
    "audience": (ApplicationChanges(audience=["owners"]), "access_denied"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_stored_request_is_checked_against_the_application_as_it_is_now(
    site: Site, change: str
) -> None:
    site.client_id, site.secret = site.create_application(name="Old", requires_pkce=False)
    needed = site.start(code_challenge=None, code_challenge_method=None)
    assert isinstance(needed, SignInNeeded)
    changes, error = CHANGES[change]
    site.control_plane.applications.update(OPERATOR, site.client_id, changes)

    resumed = needed.request_id, site.sign_in(), needed.browser
    if error:
        decision = site.provider.authorization.resume(*resumed)
        assert isinstance(decision, Redirection)
        assert decision.parameters["error"] == error
    else:
        with pytest.raises(NotFound, match="changed"):
            site.provider.authorization.resume(*resumed)


def test_a_request_of_a_deleted_application_is_not_answered(site: Site) -> None:
    needed = site.start()
    assert isinstance(needed, SignInNeeded)
    site.control_plane.applications.delete(OPERATOR, site.client_id)

    with pytest.raises(NotFound, match="does not exist"):
        site.provider.authorization.resume(needed.request_id, site.sign_in(), needed.browser)


@pytest.mark.parametrize("claims", [{"aud": "app_other"}, {"iss": "https://old.example.com"}])
def test_a_hint_for_another_application_or_of_another_issuer_is_refused(
    site: Site, claims: dict[str, str]
) -> None:
    keys, session = site.provider.keys, site.sign_in()
    own = site.claims(site.exchange(site.code(session)))
    assert isinstance(site.start(session, id_token_hint=keys.sign(own)), Redirection)

    decision = site.start(session, prompt="none", id_token_hint=keys.sign(own | claims))

    assert isinstance(decision, Redirection)
    assert decision.parameters["error"] == "invalid_request"


def test_a_hint_may_be_as_long_as_our_id_tokens(site: Site) -> None:
    session, nonce = site.sign_in(), "n" * 2_000
    hint = site.exchange(site.code(session, nonce=nonce)).id_token
    assert len(hint) > 2_000

    decision = site.start(session, prompt="none", id_token_hint=hint)

    assert isinstance(decision, Redirection)
    assert "code" in decision.parameters


def _wait_for_another_millisecond(site: Site) -> None:
    """Wait for the clock of the database: no user signs in within a millisecond of a request."""

    def now() -> int:
        with site.control_plane.transactions.read() as tx:
            return tx.now()

    begin = now()
    wait_until(lambda: now() > begin)
