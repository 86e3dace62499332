"""Apache's mod_auth_openidc signs our users in."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from tests.applications.conftest import (
    Provider,
    create_user_with_passkey,
    enter_code,
    sign_in,
    sign_in_by_sso,
    use_passkey,
)
from tests.support.applications.programs import run_apache
from tests.support.ports import free_port
from tests.support.second_factor.virtual_authenticators import SYNCED


@pytest.fixture(scope="module")
def apache(provider: Provider) -> Iterator[str]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    pasted = provider.text_for(
        "apache",
        name="Wiki",
        redirect_uris=[f"{url}/oidc/cb"],
        post_logout_redirect_uris=[f"{url}/bye.html"],
    )
    # Not in pytest's folder: each pytest that starts, also beside this one, closes that to others.
    with (
        tempfile.TemporaryDirectory() as folder,
        run_apache(Path(folder), port, pasted) as url,
    ):
        yield url


def test_a_user_signs_in_and_out(page: Page, apache: str, provider: Provider) -> None:
    email = provider.create_user("wiki-jane")

    page.goto(f"{apache}/private/")
    expect(page.get_by_role("heading")).to_have_text("Sign in to Wiki")
    sign_in(page, email)
    expect(page.locator("#user")).to_have_text(provider.user_id(email))
    expect(page.locator("#email")).to_have_text(email)

    page.goto(f"{apache}/oidc/cb?logout={apache}/bye.html")
    expect(page.locator("#bye")).to_have_text("Bye")
    page.goto(f"{apache}/private/")
    expect(page.get_by_role("heading")).to_have_text("Sign in to Wiki")


def test_a_user_arrives_with_the_level_of_the_sign_in(
    page: Page, apache: str, provider: Provider
) -> None:
    email, code = provider.create_user_with_app("wiki-app")

    page.goto(f"{apache}/private/")
    sign_in(page, email)
    enter_code(page, code)

    expect(page.locator("#level")).to_have_text("2: pwd,otp,mfa")


def test_a_user_arrives_by_a_synced_passkey(page: Page, apache: str, provider: Provider) -> None:
    email, _ = create_user_with_passkey(provider, page, "wiki-passkey", SYNCED)

    page.goto(f"{apache}/private/")
    use_passkey(page)

    expect(page.locator("#user")).to_have_text(provider.user_id(email))
    expect(page.locator("#level")).to_have_text("2: swk,mfa")


def test_a_suspended_user_is_refused(page: Page, apache: str, provider: Provider) -> None:
    email = provider.create_user("wiki-suspended")
    provider.suspend(email)

    page.goto(f"{apache}/private/")
    sign_in(page, email)

    expect(page.locator("#problem")).to_contain_text("suspended")
    assert page.url.startswith(provider.url)


def test_a_user_of_another_provider_signs_in(page: Page, apache: str, provider: Provider) -> None:
    email = provider.create_sso_user("wiki-kim")

    page.goto(f"{apache}/private/")
    sign_in_by_sso(page, "wiki-kim")

    expect(page.locator("#user")).to_have_text(provider.user_id(email))
