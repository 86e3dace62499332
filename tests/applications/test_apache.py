"""Apache's mod_auth_openidc signs our users in."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from tests.applications.conftest import Provider, enter_code, sign_in
from tests.support.applications.programs import run_apache
from tests.support.ports import free_port


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
    email, code = provider.create_user_with_app("wiki-jane")

    page.goto(f"{apache}/private/")
    expect(page.get_by_role("heading")).to_have_text("Sign in to Wiki")
    sign_in(page, email)
    enter_code(page, code)
    expect(page.locator("#user")).to_have_text(provider.user_id(email))
    expect(page.locator("#email")).to_have_text(email)
    expect(page.locator("#level")).to_have_text("2: pwd,otp,mfa")

    page.goto(f"{apache}/oidc/cb?logout={apache}/bye.html")
    expect(page.locator("#bye")).to_have_text("Bye")
    page.goto(f"{apache}/private/")
    expect(page.get_by_role("heading")).to_have_text("Sign in to Wiki")
