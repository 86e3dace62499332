"""The level of a sign-in: its claims, and applications that require a second factor."""

from pathlib import Path
from typing import Any

import pytest
from msgspec import structs
from tests.support.callers import OPERATOR
from tests.support.second_factor.authenticator_apps import add_app
from tests.support.servers.control_planes import Deployment
from tests.support.sign_in.openid_provider import Site, open_site

from anyscale.domain.models.applications import ApplicationChanges
from anyscale.errors import ConfigError
from anyscale.server.core.openid.authorization import Redirection, SignInNeeded
from anyscale.server.core.second_factor.policy import SecondFactorPolicy
from anyscale.server.core.secrets import hash_of
from anyscale.server.core.steps import Step

TWO = "pwd otp mfa"


def add_factor(site: Site, name: str = "jane") -> None:
    add_app(site.control_plane, site.ids[name])


def require_factor(site: Site, *, required: bool = True) -> None:
    changes = ApplicationChanges(requires_second_factor=required)
    site.control_plane.applications.update(OPERATOR, site.client_id, changes)


def level(claims: dict[str, Any]) -> tuple[str, list[str] | None]:
    return claims["acr"], claims.get("amr")


def refresh(site: Site, token: str | None) -> dict[str, Any]:
    assert token
    return site.claims(site.provider.tokens.refresh(site.application, token, None))


@pytest.mark.parametrize(
    ("methods", "expected"),
    [
        ("pwd", ("1", ["pwd"])),
        (TWO, ("2", ["pwd", "otp", "mfa"])),
        ("swk mfa", ("2", ["swk", "mfa"])),
        ("", ("1", None)),  # SSO
    ],
)
def test_both_claims_say_what_the_user_has_shown(
    site: Site, methods: str, expected: tuple[str, list[str] | None]
) -> None:
    tokens = site.exchange(site.code(site.sign_in(methods=methods)))

    found = site.provider.tokens.user_claims(tokens.access_token)
    assert found
    assert level(found) == level(site.claims(tokens)) == expected


def test_a_raised_session_raises_later_sign_ins_and_no_earlier_one(site: Site) -> None:
    site.client_id, site.secret = site.create_application(name="Wiki", refresh_tokens=True)
    session = site.sign_in(methods="pwd")
    before = site.exchange(site.code(session))
    with site.control_plane.store.write() as tx:
        found = tx.sessions.get(hash_of(session))
        assert found
        tx.sessions.renew(found.session_id, tx.now(), TWO)

    assert level(site.claims(site.exchange(site.code(session))))[0] == "2"
    assert level(refresh(site, before.refresh_token)) == ("1", ["pwd"])


def needed(site: Site, session: str, **changes: Any) -> Step | str | None:
    """Return what a user has to do for a code: a step, `sign in`, or nothing."""
    decision = site.start(session, **changes)
    if isinstance(decision, Redirection):
        return decision.parameters.get("error")
    assert isinstance(decision, SignInNeeded)
    return decision.step or "sign in"


@pytest.mark.parametrize("wish", [None, "2"])
def test_a_second_factor_is_shown_by_who_has_one_and_added_by_who_has_none(
    site: Site, wish: str | None
) -> None:
    require_factor(site, required=wish is None)
    add_factor(site)
    one, two, none = (
        site.sign_in(methods="pwd"),
        site.sign_in(methods=TWO),
        site.sign_in("kim", methods="pwd"),
    )

    assert needed(site, one, acr_values=wish) == "sign in"
    assert needed(site, two, acr_values=wish) is None
    assert needed(site, none, acr_values=wish) is Step.SECOND_FACTOR
    for session in one, none:
        assert needed(site, session, acr_values=wish, prompt="none") == "login_required"


@pytest.mark.parametrize("wish", ["1", "0 1", "urn:other"])
def test_the_wish_of_a_request_lowers_nothing(site: Site, wish: str) -> None:
    session = site.sign_in(methods="pwd")
    assert needed(site, session, acr_values=wish) is None
    require_factor(site)

    assert needed(site, session, acr_values=wish) is Step.SECOND_FACTOR


def test_a_waiting_request_goes_on_only_with_the_factor(site: Site) -> None:
    require_factor(site)
    waiting = site.start()
    assert isinstance(waiting, SignInNeeded)

    def resume(session: str) -> Redirection | SignInNeeded:
        return site.provider.authorization.resume(waiting.request_id, session, waiting.browser)

    first = resume(site.sign_in(methods="pwd"))
    add_factor(site)
    second = resume(site.sign_in(methods="pwd"))
    assert isinstance(first, SignInNeeded)
    assert isinstance(second, SignInNeeded)
    assert (first.step, second.step) == (Step.SECOND_FACTOR, None)

    granted = resume(site.sign_in(methods=TWO))
    assert isinstance(granted, Redirection)
    assert "code" in granted.parameters


def test_requiring_it_ends_the_sign_ins_without_it(site: Site) -> None:
    one = site.exchange(site.code(site.sign_in(methods="pwd")))
    two = site.exchange(site.code(site.sign_in("kim", methods=TWO)))
    require_factor(site)

    assert site.provider.tokens.user_claims(one.access_token) is None
    assert site.provider.tokens.user_claims(two.access_token)


def test_a_server_that_asks_nobody_lets_no_application_require_it(
    deployment: Deployment, tmp_path: Path
) -> None:
    with open_site(deployment, tmp_path, second_factor=SecondFactorPolicy("off")) as site:
        session = site.sign_in(methods="pwd")
        assert needed(site, session, acr_values="2") is None
        for call in (
            lambda: require_factor(site),
            lambda: site.create_application(name="Wiki", requires_second_factor=True),
        ):
            with pytest.raises(ConfigError, match="ANYSCALE_SECOND_FACTOR is off") as refused:
                call()
            assert refused.value.fields == ("requires_second_factor",)

        with site.control_plane.store.write() as tx:  # required before it was switched off
            tx.applications.replace(structs.replace(site.application, requires_second_factor=True))
        assert needed(site, session) == "access_denied"
