"""openid-client, a certified client, signs our users in with all of its checks."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from tests.applications.conftest import Provider, create_user_with_passkey, use_passkey
from tests.support.applications.programs import SignIn, run_openid_client
from tests.support.applications.redirecting import RedirectingApplication
from tests.support.second_factor.virtual_authenticators import SYNCED, USB
from tests.support.users import PASSWORD

CALLBACK = "http://127.0.0.1:9/callback"


@pytest.fixture(scope="module")
def client() -> Iterator[SignIn]:
    with run_openid_client() as sign_in:
        yield sign_in


def run(
    client: SignIn,
    provider: Provider,
    method: str,
    login: str,
    password: str = PASSWORD,
    code: str = "",
    **fields: Any,
) -> dict[str, Any]:
    """Sign a user in by a new application; without a password, at the other provider."""
    client_id, secret = provider.create_application(
        name=f"{method} {login}",
        redirect_uris=[CALLBACK],
        post_logout_redirect_uris=[f"{CALLBACK}/bye"],
        is_public=method == "none",
        **fields,
    )
    return client(provider.url, CALLBACK, client_id, secret, method, login, password, code)


def run_in_browser(
    client: SignIn,
    provider: Provider,
    application: RedirectingApplication,
    visit: Callable[[str], None],
) -> dict[str, Any]:
    """Let a browser visit the address at which a sign-in begins; give what the client found."""

    def browse(url: str) -> str:
        visit(url)
        return "".join(f"{application.callback}?{query}" for query in application.queries)

    callback = application.callback
    client_id, secret = provider.create_application(name=callback, redirect_uris=[callback])
    return client(provider.url, callback, client_id, secret, "basic", "", browse=browse)


# These are the first, so that Chromium stays between the files before and after this one.
@pytest.mark.parametrize(
    ("options", "amr"),
    [(USB, ["hwk", "mfa"]), (SYNCED, ["swk", "mfa"])],
    ids=["usb", "synced"],
)
def test_a_user_arrives_by_a_passkey(
    client: SignIn,
    provider: Provider,
    application: RedirectingApplication,
    page: Page,
    options: dict[str, Any],
    amr: list[str],
    request: pytest.FixtureRequest,
) -> None:
    name = f"client-{request.node.callspec.id}"
    email = create_user_with_passkey(provider, page, name, options)

    def visit(url: str) -> None:
        page.goto(url)
        use_passkey(page)
        expect(page.locator("#query")).to_have_text("from=cb")

    found = run_in_browser(client, provider, application, visit)

    for claims in found["claims"], found["userinfo"]:
        assert (claims["email"], claims["acr"], claims["amr"]) == (email, "2", amr)


@pytest.mark.parametrize("method", ["basic", "post", "none"])
def test_a_user_signs_in(client: SignIn, provider: Provider, method: str) -> None:
    email = provider.create_user(f"{method}user")

    found = run(client, provider, method, email)

    assert found["claims"]["email"] == found["userinfo"]["email"] == email
    assert found["userinfo"]["groups"] == ["collaborators"]
    assert found["code_reuse"] == "invalid_grant"
    assert found["after_logout"] == f"{CALLBACK}/bye?state=bye"


def test_a_user_arrives_with_the_level_that_the_application_requires(
    client: SignIn, provider: Provider
) -> None:
    email, code = provider.create_user_with_app("client-app")

    found = run(client, provider, "basic", email, code=code, requires_second_factor=True)

    for claims in found["claims"], found["userinfo"]:
        assert (claims["acr"], claims["amr"]) == ("2", ["pwd", "otp", "mfa"])


def test_a_user_of_another_provider_signs_in(client: SignIn, provider: Provider) -> None:
    email = provider.create_sso_user("client-kim")

    assert run(client, provider, "basic", "client-kim", password="")["claims"]["email"] == email


def test_refresh_tokens_of_a_public_application_are_replaced_and_their_reuse_ends_the_family(
    client: SignIn,
    provider: Provider,
) -> None:
    found = run(client, provider, "none", provider.create_user("refreshing"), refresh_tokens=True)

    assert found["keeps_auth_time"]
    assert found["reuse"] == found["family"] == "invalid_grant"
    assert found["access"] == 401


def test_a_confidential_application_repeats_a_refresh(client: SignIn, provider: Provider) -> None:
    found = run(client, provider, "basic", provider.create_user("repeating"), refresh_tokens=True)

    assert found["keeps_auth_time"]
    assert found["reuse"] is found["family"] is True  # the same access token
    assert found["access"] == 200


def test_a_suspended_user_is_refused(client: SignIn, provider: Provider) -> None:
    email = provider.create_user("client-suspended")
    provider.suspend(email)

    assert run(client, provider, "basic", email) == {"refused": 401}
