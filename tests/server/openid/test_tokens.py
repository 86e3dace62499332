"""Codes, tokens and claims: each works once, for its application, until something ends it."""

import base64
import hashlib
from collections.abc import Callable
from typing import Any

import pytest
from msgspec import structs
from tests.support.callers import OPERATOR
from tests.support.databases.stored_data import execute_sql
from tests.support.sign_in.openid_provider import CALLBACK, VERIFIER, Site
from tests.support.sign_in.sign_ins import HOME, events_of, get_account, let_time_pass
from tests.support.users import NEW_PASSWORD, PASSWORD

from anyscale.domain.models.applications import ApplicationChanges
from anyscale.domain.models.users import UserChanges
from anyscale.errors import EmailFreed
from anyscale.server.core.openid.audience import end_excluded_grants
from anyscale.server.core.openid.protocol import OAuthError
from anyscale.server.core.openid.tokens import IssuedTokens, _derived_access_token
from anyscale.server.core.secrets import hash_of


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


def test_a_refresh_token_of_a_public_application_is_replaced_by_each_use(site: Site) -> None:
    with_refresh_tokens(site, is_public=True)
    first = site.exchange(site.code(site.sign_in()))
    second = refresh(site, first.refresh_token)
    third = refresh(site, second.refresh_token)
    assert len({one.refresh_token for one in (first, second, third)}) == 3

    with pytest.raises(OAuthError, match="invalid_grant"):
        refresh(site, second.refresh_token)

    assert not is_valid(site, third)
    with pytest.raises(OAuthError, match="invalid_grant"):
        refresh(site, third.refresh_token)
    assert ("authorization.revoked", f"user:{site.ids['jane']}") in events_of(site.control_plane)


def test_the_id_token_of_a_refresh_has_the_time_of_the_sign_in_and_no_nonce(site: Site) -> None:
    with_refresh_tokens(site)
    first = site.exchange(site.code(site.sign_in()))
    assert site.claims(first)["nonce"] == "the nonce"

    claims = site.claims(refresh(site, first.refresh_token))

    assert claims["auth_time"] == site.claims(first)["auth_time"]
    assert "nonce" not in claims


def test_a_repeated_refresh_of_a_confidential_application_has_the_same_result(site: Site) -> None:
    with_refresh_tokens(site)
    first = site.exchange(site.code(site.sign_in()))

    once, again = (refresh(site, first.refresh_token) for _ in range(2))

    assert once.refresh_token == first.refresh_token
    assert once.access_token != first.access_token
    assert (again.access_token, again.id_token) == (once.access_token, once.id_token)
    assert 540 < again.expires_in <= 600
    assert is_valid(site, once)
    narrower = refresh(site, first.refresh_token, "openid")
    assert narrower.access_token != once.access_token
    assert narrower.scope == "openid"


def test_a_later_refresh_of_a_confidential_application_has_a_new_access_token(site: Site) -> None:
    with_refresh_tokens(site)
    once = refresh(site, site.exchange(site.code(site.sign_in())).refresh_token)
    assert once.refresh_token
    let_time_pass(site.control_plane, 60_000)
    with site.control_plane.store.write() as tx:  # the token depends on the time that was moved
        grant = tx.grants.by_access_token(hash_of(once.access_token))
        assert grant
        access = _derived_access_token(
            site.application, once.refresh_token, grant.access_expires_at or 0
        )
        tx.grants.replace(structs.replace(grant, access_hash=hash_of(access)))
    once = structs.replace(once, access_token=access)
    assert is_valid(site, once)

    later = refresh(site, once.refresh_token)

    assert is_valid(site, later)
    assert not is_valid(site, once)
    assert later.expires_in == 600


@pytest.mark.parametrize("is_public", [True, False])
def test_a_stolen_refresh_token_computes_no_access_token(site: Site, *, is_public: bool) -> None:
    with_refresh_tokens(site, is_public=is_public)
    first = site.exchange(site.code(site.sign_in()))
    tokens = refresh(site, first.refresh_token)
    with site.control_plane.store.read() as tx:
        grant = tx.grants.by_access_token(hash_of(tokens.access_token))
    assert grant
    expires_at = grant.access_expires_at or 0  # its ID token has the second

    without_secret = structs.replace(site.application, secret_hash=None)
    computed = _derived_access_token(without_secret, tokens.refresh_token or "", expires_at)

    assert tokens.access_token != computed


def test_a_scope_that_gives_nothing_is_not_in_the_response(site: Site) -> None:
    request = {"scope": "openid offline_access openid"}
    assert site.exchange(site.code(site.sign_in(), **request)).scope == "openid"
    with_refresh_tokens(site)
    tokens = site.exchange(site.code(site.sign_in(), **request))
    assert tokens.scope == "openid offline_access"

    assert refresh(site, tokens.refresh_token, "openid openid").scope == "openid"
    with pytest.raises(OAuthError, match="invalid_scope"):
        refresh(site, tokens.refresh_token, " ")


def count_grants(site: Site) -> int:
    """Count the grants that an hourly clean-up leaves."""
    site.control_plane.clean_up()
    with site.control_plane.store.write() as tx:
        return int(execute_sql(tx, "select count(*) from grants").fetchone()[0])


@pytest.mark.parametrize("refreshable", [False, True])
def test_a_grant_is_stored_as_long_as_something_in_it_works(
    site: Site, *, refreshable: bool
) -> None:
    if refreshable:
        with_refresh_tokens(site)
    session = site.sign_in()
    site.code(session)
    tokens = site.exchange(site.code(session))
    assert count_grants(site) == 2

    let_time_pass(site.control_plane, 60_000)  # of the code that nobody has exchanged
    assert count_grants(site) == 1
    let_time_pass(site.control_plane, 540_000)
    assert count_grants(site) == refreshable
    if refreshable:
        refresh(site, tokens.refresh_token)
        let_time_pass(site.control_plane, 29 * 86_400_000)
        assert count_grants(site) == 1
        let_time_pass(site.control_plane, 86_400_000)
        assert count_grants(site) == 0


def test_a_session_loses_its_own_oldest_grants_at_an_application(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anyscale.server.core.openid.authorization._MOST_OPEN", 2)
    session = site.sign_in()
    other = site.exchange(site.code(site.sign_in("kim")))
    first, *later = [site.exchange(site.code(session)) for _ in range(3)]

    assert not is_valid(site, first)
    assert all(is_valid(site, one) for one in (*later, other))


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
    site.control_plane.applications.update(OPERATOR, site.client_id, changes)


def _undo(site: Site) -> None:
    batch_id = get_account(site.control_plane).batch_id
    site.control_plane.batches.undo(OPERATOR, batch_id, "", force=True, dry_run=False)


ENDS: dict[str, End] = {
    "suspend": lambda site: site.control_plane.lifecycle.suspend(OPERATOR, site.ids["jane"]),
    "delete": lambda site: site.control_plane.lifecycle.delete(OPERATOR, site.ids["jane"]),
    "role": lambda site: site.control_plane.lifecycle.set_role(OPERATOR, site.ids["jane"], "owner"),
    "no sso": lambda site: site.control_plane.updates.update(
        OPERATOR, site.ids["jane"], UserChanges(is_sso_user=False)
    ),
    "sign out": lambda site: site.control_plane.sessions.revoke(
        _caller(site), _caller(site).session.session_id
    ),
    "sign out everywhere": lambda site: site.control_plane.sessions.revoke_all(
        OPERATOR, site.ids["jane"]
    ),
    "password": lambda site: site.control_plane.password_changes.change_password(
        _caller(site), PASSWORD, NEW_PASSWORD, HOME
    ),
    "undo": _undo,
    "user revokes": lambda site: site.control_plane.user_grants.revoke(
        _caller(site), site.client_id
    ),
    "delete application": lambda site: site.control_plane.applications.delete(
        OPERATOR, site.client_id
    ),
    "narrow application": _narrow,
    "no refresh tokens": lambda site: site.control_plane.applications.update(
        OPERATOR, site.client_id, ApplicationChanges(refresh_tokens=False)
    ),
    "remove redirect URI": lambda site: site.control_plane.applications.update(
        OPERATOR, site.client_id, ApplicationChanges(redirect_uris=[f"{CALLBACK}/new"])
    ),
}


@pytest.mark.parametrize("end", ENDS)
def test_what_ends_a_sign_in_ends_its_code_and_tokens(site: Site, end: str) -> None:
    with_refresh_tokens(site)
    if end == "no sso":
        changes = UserChanges(is_sso_user=True)
        site.control_plane.updates.update(OPERATOR, site.ids["jane"], changes)
    application = site.application
    session = site.session = site.sign_in()  # type: ignore[attr-defined]  # for `_caller`
    code, tokens = site.code(session), site.exchange(site.code(session))

    ENDS[end](site)
    if end == "suspend":
        site.control_plane.lifecycle.restore(OPERATOR, site.ids["jane"])

    assert not is_valid(site, tokens)
    service = site.provider.tokens
    if end != "no refresh tokens":
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
    assert found == {"sub": site.ids["jane"], "groups": ["collaborators"], "acr": "1"}
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
    site.control_plane.batches.undo(OPERATOR, batch_id, "", force=False, dry_run=False)

    assert get_account(site.control_plane).user_id == site.ids["jane"]
    assert not is_valid(site, tokens)
    with pytest.raises(OAuthError, match="invalid_grant"):
        site.exchange(code)
    with pytest.raises(OAuthError, match="invalid_grant"):
        refresh(site, tokens.refresh_token)


def test_an_application_receives_a_changed_email_with_the_same_subject(site: Site) -> None:
    with_refresh_tokens(site)
    tokens = site.exchange(site.code(site.sign_in(), scope="openid email profile"))
    before = site.provider.tokens.user_claims(tokens.access_token)
    assert before

    changes = UserChanges(email="jane.roe@example.com")
    site.control_plane.updates.update(OPERATOR, site.ids["jane"], changes)

    changed = {"email": "jane.roe@example.com", "preferred_username": "jane.roe@example.com"}
    assert site.provider.tokens.user_claims(tokens.access_token) == before | changed
    refreshed = site.claims(refresh(site, tokens.refresh_token))
    assert (refreshed["sub"], refreshed["email"]) == (before["sub"], "jane.roe@example.com")


def test_an_application_for_a_domain_lets_no_user_in_whose_email_has_left_it(site: Site) -> None:
    with_refresh_tokens(site, audience=["example.com"])
    session = site.sign_in()
    code, tokens = site.code(session), site.exchange(site.code(session))

    changes = UserChanges(email="jane@example.org")
    site.control_plane.updates.update(OPERATOR, site.ids["jane"], changes)

    assert not is_valid(site, tokens)
    with pytest.raises(OAuthError, match="invalid_grant"):
        site.exchange(code)
    with pytest.raises(OAuthError, match="invalid_grant"):
        refresh(site, tokens.refresh_token)


def test_the_next_user_of_an_email_is_another_subject(site: Site) -> None:
    site.control_plane.updates.update(
        OPERATOR, site.ids["jane"], UserChanges(email="roe@example.com")
    )
    new = UserChanges(email="jane@example.com")
    with pytest.raises(EmailFreed):
        site.control_plane.updates.update(OPERATOR, site.ids["kim"], new)
    site.control_plane.updates.update(OPERATOR, site.ids["kim"], new, reuse_email=True)
    tokens = site.exchange(site.code(site.sign_in("kim"), scope="openid email"))
    claims = site.provider.tokens.user_claims(tokens.access_token)
    assert claims
    assert (claims["email"], claims["sub"]) == ("jane@example.com", site.ids["kim"])


def test_a_sign_in_and_its_end_are_in_the_audit_log(site: Site) -> None:
    site.provider.tokens.revoke(
        site.application, site.exchange(site.code(site.sign_in())).access_token
    )
    site.control_plane.applications.rotate_secret(OPERATOR, site.client_id, now=True)

    events = [event for event, _ in events_of(site.control_plane)]
    assert events[-3:] == [
        "authorization.created",
        "authorization.revoked",
        "application.secret_rotated",
    ]


KEPT: dict[str, ApplicationChanges] = {
    "name": ApplicationChanges(name="New"),
    "wider audience": ApplicationChanges(audience=["owners", "example.com"]),
    "another redirect URI": ApplicationChanges(redirect_uris=[f"{CALLBACK}/new", CALLBACK]),
    "PKCE": ApplicationChanges(requires_pkce=True),
}


@pytest.mark.parametrize("change", KEPT)
def test_a_change_that_excludes_nobody_ends_no_sign_in(site: Site, change: str) -> None:
    with_refresh_tokens(site, requires_pkce=False, audience=["example.com"])
    session = site.sign_in()
    code, tokens = site.code(session), site.exchange(site.code(session))

    site.control_plane.applications.update(OPERATOR, site.client_id, KEPT[change])

    assert is_valid(site, tokens)
    assert refresh(site, tokens.refresh_token).access_token
    assert site.exchange(code).access_token


AUDIENCES: dict[str, tuple[list[str], list[str]]] = {
    "a domain": (["example.com"], ["jane", "kim"]),
    "another domain": (["ample.com", "sub.example.com"], []),
    "owners": (["owners"], ["kim"]),
    "a batch": (["batch of jane"], ["jane"]),
    "an undone batch": (["undone batch of jane"], []),
    "owners and a batch": (["owners", "batch of jane"], ["jane", "kim"]),
}


@pytest.mark.parametrize("audience", AUDIENCES)
def test_a_new_audience_ends_the_sign_ins_of_all_others(site: Site, audience: str) -> None:
    entries, kept = AUDIENCES[audience]
    plane, batch_id = site.control_plane, get_account(site.control_plane).batch_id
    plane.lifecycle.set_role(OPERATOR, site.ids["kim"], "owner")
    tokens = {name: site.exchange(site.code(site.sign_in(name))) for name in site.ids}
    sent = [batch_id if entry.endswith("batch of jane") else entry for entry in entries]
    if "undone batch of jane" in entries:
        plane.applications.update(OPERATOR, site.client_id, ApplicationChanges(audience=sent))
        plane.batches.undo(OPERATOR, batch_id, "", force=False, dry_run=False)
        with plane.store.write() as tx:
            application = tx.applications.lock(site.client_id)
            assert application
            end_excluded_grants(tx, application)
    else:
        plane.applications.update(OPERATOR, site.client_id, ApplicationChanges(audience=sent))

    assert [name for name in tokens if is_valid(site, tokens[name])] == kept
    with plane.store.read() as tx:
        open_ones = [name for name in site.ids if tx.grants.last_used(site.ids[name], tx.now())]
    assert open_ones == kept


def test_a_code_without_pkce_ends_when_the_application_requires_it(site: Site) -> None:
    with_refresh_tokens(site, requires_pkce=False)
    request = {"code_challenge": None, "code_challenge_method": None}
    session = site.sign_in()
    code = site.code(session, **request)
    tokens = site.exchange(site.code(session, **request), verifier="")

    changes = ApplicationChanges(requires_pkce=True)
    site.control_plane.applications.update(OPERATOR, site.client_id, changes)

    with pytest.raises(OAuthError, match="invalid_grant"):
        site.exchange(code, verifier="")
    assert refresh(site, tokens.refresh_token).access_token


@pytest.mark.parametrize("verifier", ["v" * 42, "v" * 129, "v" * 42 + "+"], ids=len)
def test_a_verifier_has_43_to_128_characters_of_a_uri(site: Site, verifier: str) -> None:
    digest = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest())
    challenge = digest.rstrip(b"=").decode()
    code = site.code(site.sign_in(), code_challenge=challenge)

    with pytest.raises(OAuthError, match="invalid_grant"):
        site.exchange(code, verifier=verifier)
