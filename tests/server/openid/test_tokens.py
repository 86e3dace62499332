"""Codes, tokens and claims: each works once, for its application, until something ends it."""

from collections.abc import Callable
from typing import Any

import pytest
from tests.support.callers import OPERATOR
from tests.support.sign_in.openid_provider import CALLBACK, VERIFIER, Site
from tests.support.sign_in.sign_ins import HOME, events_of, get_account, let_time_pass
from tests.support.users import NEW_PASSWORD, PASSWORD

from anyscale.domain.models.applications import ApplicationChanges
from anyscale.domain.models.users import UserChanges
from anyscale.server.core.openid.protocol import OAuthError
from anyscale.server.core.openid.tokens import IssuedTokens


def with_refresh_tokens(site: Site, **fields: Any) -> None:
    site.client_id, site.secret = site.create_application(
        name="Grafana", refresh_tokens=True, **fields
    )


def refresh(site: Site, token: str | None, scope: str | None = None) -> IssuedTokens:
    assert token
    return site.provider.tokens.refresh(site.application, token, scope)


def is_valid(site: Site, tokens: IssuedTokens) -> bool:
    return site.provider.tokens.user_claims(tokens.access_token) is not None


WRONG: list[dict[str, str]] = [
    {"redirect_uri": f"{CALLBACK}/"},
    {"redirect_uri": ""},
    {"verifier": ""},
    {"verifier": "w" * 43},
    {"verifier": VERIFIER[:-1]},
]


@pytest.mark.parametrize("changes", WRONG, ids=str)
def test_a_code_is_lost_after_one_wrong_attempt(site: Site, changes: dict[str, str]) -> None:
    code = site.code(site.sign_in())

    for attempt in (changes, {}):
        with pytest.raises(OAuthError, match="invalid_grant"):
            site.exchange(code, **attempt)


def test_a_second_use_of_a_code_ends_what_the_first_one_bought(site: Site) -> None:
    with_refresh_tokens(site)
    code = site.code(site.sign_in())
    tokens = site.exchange(code)
    assert is_valid(site, tokens)

    with pytest.raises(OAuthError, match="invalid_grant"):
        site.exchange(code)

    assert not is_valid(site, tokens)
    with pytest.raises(OAuthError, match="invalid_grant"):
        refresh(site, tokens.refresh_token)


def test_a_code_works_for_a_minute(site: Site) -> None:
    code = site.code(site.sign_in())
    let_time_pass(site.control_plane, 60_000)

    with pytest.raises(OAuthError, match="invalid_grant"):
        site.exchange(code)


def test_an_attempt_of_another_application_changes_nothing(site: Site) -> None:
    with_refresh_tokens(site)
    code = site.code(site.sign_in())
    own = site.client_id, site.secret
    site.client_id, site.secret = site.create_application(name="Other")
    with pytest.raises(OAuthError, match="invalid_grant"):
        site.exchange(code)
    other = site.client_id, site.secret

    site.client_id, site.secret = own
    tokens = site.exchange(code)
    site.client_id, site.secret = other
    with pytest.raises(OAuthError, match="invalid_grant"):
        refresh(site, tokens.refresh_token)
    site.provider.tokens.revoke(site.application, tokens.access_token)
    assert is_valid(site, tokens)


def test_a_code_without_pkce_takes_no_verifier(site: Site) -> None:
    site.client_id, site.secret = site.create_application(name="Old", requires_pkce=False)
    request = {"code_challenge": None, "code_challenge_method": None}
    session = site.sign_in()

    assert site.exchange(site.code(session, **request), verifier="").access_token
    with pytest.raises(OAuthError, match="invalid_grant"):
        site.exchange(site.code(session, **request))
    with pytest.raises(OAuthError, match="invalid_grant"):
        site.exchange(site.code(session), verifier="")


def test_only_applications_created_with_them_receive_refresh_tokens(site: Site) -> None:
    assert site.exchange(site.code(site.sign_in())).refresh_token is None
    with_refresh_tokens(site)
    assert site.exchange(site.code(site.sign_in())).refresh_token


def test_a_refresh_token_is_replaced_by_each_use(site: Site) -> None:
    with_refresh_tokens(site)
    first = site.exchange(site.code(site.sign_in()))
    second = refresh(site, first.refresh_token)
    third = refresh(site, second.refresh_token)
    assert len({one.refresh_token for one in (first, second, third)}) == 3
    claims = site.claims(third)
    assert claims["auth_time"] == site.claims(first)["auth_time"]
    assert claims["nonce"] == "the nonce"

    with pytest.raises(OAuthError, match="invalid_grant"):
        refresh(site, second.refresh_token)

    assert not is_valid(site, third)
    with pytest.raises(OAuthError, match="invalid_grant"):
        refresh(site, third.refresh_token)
    assert ("authorization.revoked", f"user:{site.ids['jane']}") in events_of(site.control_plane)


def test_a_narrower_scope_is_for_the_access_token_alone(site: Site) -> None:
    with_refresh_tokens(site)
    first = site.exchange(site.code(site.sign_in()))

    narrow = refresh(site, first.refresh_token, "openid email")
    found = site.provider.tokens.user_claims(narrow.access_token)
    assert found
    assert "name" not in found
    with pytest.raises(OAuthError, match="invalid_scope"):
        refresh(site, narrow.refresh_token, "openid groups")
    assert refresh(site, narrow.refresh_token).scope == "openid profile email"


@pytest.mark.parametrize(("days", "works"), [(29, True), (31, False)])
def test_a_refresh_token_may_be_unused_for_30_days(site: Site, days: int, *, works: bool) -> None:
    with_refresh_tokens(site)
    tokens = site.exchange(site.code(site.sign_in()))
    let_time_pass(site.control_plane, days * 86_400_000)

    if works:
        assert refresh(site, tokens.refresh_token).refresh_token
    else:
        with pytest.raises(OAuthError, match="invalid_grant"):
            refresh(site, tokens.refresh_token)


def test_refresh_tokens_work_for_90_days_in_all(site: Site) -> None:
    with_refresh_tokens(site)
    tokens = site.exchange(site.code(site.sign_in()))
    for _ in range(4):
        let_time_pass(site.control_plane, 22 * 86_400_000)
        tokens = refresh(site, tokens.refresh_token)
    let_time_pass(site.control_plane, 3 * 86_400_000)

    with pytest.raises(OAuthError, match="invalid_grant"):
        refresh(site, tokens.refresh_token)


def test_an_access_token_works_for_ten_minutes(site: Site) -> None:
    tokens = site.exchange(site.code(site.sign_in()))
    let_time_pass(site.control_plane, 599_000)
    assert is_valid(site, tokens)
    let_time_pass(site.control_plane, 1_000)
    assert not is_valid(site, tokens)


End = Callable[[Site], object]


def _caller(site: Site) -> Any:
    return site.control_plane.sessions.authenticate(site.session)  # type: ignore[attr-defined]  # set by the test


def _narrow(site: Site) -> None:
    changes = ApplicationChanges(audience=["owners"])
    site.control_plane.applications.update(site.client_id, changes, OPERATOR)


def _undo(site: Site) -> None:
    batch_id = get_account(site.control_plane).batch_id
    site.control_plane.batches.undo(batch_id, "", OPERATOR, force=True, dry_run=False)


ENDS: dict[str, End] = {
    "suspend": lambda site: site.control_plane.lifecycle.suspend(site.ids["jane"], OPERATOR),
    "delete": lambda site: site.control_plane.lifecycle.delete(site.ids["jane"], OPERATOR),
    "role": lambda site: site.control_plane.lifecycle.set_role(site.ids["jane"], "owner", OPERATOR),
    "no sso": lambda site: site.control_plane.updates.update(
        site.ids["jane"], UserChanges(is_sso_user=False), OPERATOR
    ),
    "sign out": lambda site: site.control_plane.sessions.revoke(
        _caller(site), _caller(site).session.session_id
    ),
    "sign out everywhere": lambda site: site.control_plane.sessions.revoke_all(
        site.ids["jane"], OPERATOR
    ),
    "password": lambda site: site.control_plane.password_changes.change_password(
        _caller(site), PASSWORD, NEW_PASSWORD, HOME
    ),
    "undo": _undo,
    "user revokes": lambda site: site.control_plane.user_grants.revoke(
        _caller(site), site.client_id
    ),
    "delete application": lambda site: site.control_plane.applications.delete(
        site.client_id, OPERATOR
    ),
    "narrow application": _narrow,
    "remove redirect URI": lambda site: site.control_plane.applications.update(
        site.client_id, ApplicationChanges(redirect_uris=[f"{CALLBACK}/new"]), OPERATOR
    ),
}


@pytest.mark.parametrize("end", ENDS)
def test_what_ends_a_sign_in_ends_its_code_and_tokens(site: Site, end: str) -> None:
    with_refresh_tokens(site)
    if end == "no sso":
        changes = UserChanges(is_sso_user=True)
        site.control_plane.updates.update(site.ids["jane"], changes, OPERATOR)
    application = site.application
    session = site.session = site.sign_in()  # type: ignore[attr-defined]  # for `_caller`
    code, tokens = site.code(session), site.exchange(site.code(session))

    ENDS[end](site)
    if end == "suspend":
        site.control_plane.lifecycle.restore(site.ids["jane"], OPERATOR)

    assert not is_valid(site, tokens)
    service = site.provider.tokens
    with pytest.raises(OAuthError, match="invalid_grant"):
        service.exchange(application, code, CALLBACK, VERIFIER)
    assert tokens.refresh_token
    with pytest.raises(OAuthError, match="invalid_grant"):
        service.refresh(application, tokens.refresh_token, None)


def test_signing_out_elsewhere_ends_the_sign_ins_of_that_browser_alone(site: Site) -> None:
    here, there = site.sign_in(), site.sign_in()
    kept, ended = site.exchange(site.code(here)), site.exchange(site.code(there))
    caller = site.control_plane.sessions.authenticate(here)

    site.control_plane.sessions.revoke_others(caller)

    assert is_valid(site, kept)
    assert not is_valid(site, ended)


@pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
def test_an_application_revokes_a_token_with_its_grant(site: Site, kind: str) -> None:
    with_refresh_tokens(site)
    tokens = site.exchange(site.code(site.sign_in()))

    site.provider.tokens.revoke(site.application, getattr(tokens, kind))

    assert not is_valid(site, tokens)
    with pytest.raises(OAuthError, match="invalid_grant"):
        refresh(site, tokens.refresh_token)


def test_claims_follow_the_scope(site: Site) -> None:
    tokens = site.exchange(site.code(site.sign_in(), scope="openid groups"))

    found = site.provider.tokens.user_claims(tokens.access_token)
    assert found == {"sub": site.ids["jane"], "groups": ["collaborators"]}
    claims = site.claims(tokens)
    assert {"name", "email"}.isdisjoint(claims)
    assert claims["groups"] == ["collaborators"]
    assert claims["exp"] - claims["iat"] == 600


def test_an_audience_is_checked_again_for_each_code_and_token(site: Site) -> None:
    batch_id = get_account(site.control_plane).batch_id
    with_refresh_tokens(site, audience=[batch_id])
    session = site.sign_in()
    code, tokens = site.code(session), site.exchange(site.code(session))
    assert is_valid(site, tokens)

    # The account stays, since its user has signed in: nothing else ends its sign-ins.
    site.control_plane.batches.undo(batch_id, "", OPERATOR, force=False, dry_run=False)

    assert get_account(site.control_plane).user_id == site.ids["jane"]
    assert not is_valid(site, tokens)
    with pytest.raises(OAuthError, match="invalid_grant"):
        site.exchange(code)
    with pytest.raises(OAuthError, match="invalid_grant"):
        refresh(site, tokens.refresh_token)


def test_a_sign_in_and_its_end_are_in_the_audit_log(site: Site) -> None:
    site.provider.tokens.revoke(
        site.application, site.exchange(site.code(site.sign_in())).access_token
    )
    site.control_plane.applications.rotate_secret(site.client_id, OPERATOR, now=True)

    events = [event for event, _ in events_of(site.control_plane)]
    assert events[-3:] == [
        "authorization.created",
        "authorization.revoked",
        "application.secret_rotated",
    ]
