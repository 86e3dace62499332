"""JupyterHub's GenericOAuthenticator signs our users in."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from tests.applications.conftest import Provider, enter_code, sign_in
from tests.support.applications.programs import run_jupyterhub
from tests.support.ports import free_port


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


def test_a_user_arrives_with_the_level_of_the_sign_in(
    page: Page, hub: str, folder: Path, provider: Provider
) -> None:
    email, code = provider.create_user_with_app("hub-jane")

    page.goto(f"{hub}/hub/home")
    expect(page.get_by_role("heading")).to_have_text("Sign in to JupyterHub")
    sign_in(page, email)
    enter_code(page, code)

    expect(page.locator("#logout")).to_be_visible()
    expect(page.locator("body")).to_contain_text(provider.user_id(email))
    assert (folder / provider.user_id(email)).read_text() == "2: pwd,otp,mfa"
