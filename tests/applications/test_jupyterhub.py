"""JupyterHub's GenericOAuthenticator signs our users in."""

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
from tests.support.applications.programs import run_jupyterhub
from tests.support.ports import free_port
from tests.support.second_factor.virtual_authenticators import SYNCED


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hub")


@pytest.fixture(scope="module")
def hub(provider: Provider, folder: Path) -> Iterator[str]:
    port = free_port()
    callback = f"http://127.0.0.1:{port}/hub/oauth_callback"
    pasted = provider.text_for("jupyterhub", name="JupyterHub", redirect_uris=[callback])
    with run_jupyterhub(folder, port, pasted) as url:
        yield url


def test_a_user_signs_in(page: Page, hub: str, provider: Provider) -> None:
    email = provider.create_user("hub-jane")

    page.goto(f"{hub}/hub/home")
    expect(page.get_by_role("heading")).to_have_text("Sign in to JupyterHub")
    sign_in(page, email)

    expect(page.locator("#logout")).to_be_visible()
    expect(page.locator("body")).to_contain_text(provider.user_id(email))


def test_a_user_arrives_with_the_level_of_the_sign_in(
    page: Page, hub: str, folder: Path, provider: Provider
) -> None:
    email, code = provider.create_user_with_app("hub-app")

    page.goto(f"{hub}/hub/home")
    sign_in(page, email)
    enter_code(page, code)

    expect(page.locator("#logout")).to_be_visible()
    assert (folder / provider.user_id(email)).read_text() == "2: pwd,otp,mfa"


def test_a_user_arrives_by_a_synced_passkey(
    page: Page, hub: str, folder: Path, provider: Provider
) -> None:
    email, _ = create_user_with_passkey(provider, page, "hub-passkey", SYNCED)

    page.goto(f"{hub}/hub/home")
    use_passkey(page)

    expect(page.locator("#logout")).to_be_visible()
    assert (folder / provider.user_id(email)).read_text() == "2: swk,mfa"


def test_a_suspended_user_is_refused(page: Page, hub: str, provider: Provider) -> None:
    email = provider.create_user("hub-suspended")
    provider.suspend(email)

    page.goto(f"{hub}/hub/home")
    sign_in(page, email)

    expect(page.locator("#problem")).to_contain_text("suspended")


def test_a_user_of_another_provider_signs_in(page: Page, hub: str, provider: Provider) -> None:
    email = provider.create_sso_user("hub-kim")

    page.goto(f"{hub}/hub/home")
    sign_in_by_sso(page, "hub-kim")

    expect(page.locator("body")).to_contain_text(provider.user_id(email))
