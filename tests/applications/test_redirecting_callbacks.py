"""Chromium continues to an application whose callback redirects to another origin.

It applies `form-action` to all redirects that follow a form.
"""

import pytest
from playwright.sync_api import Page, expect
from tests.applications.conftest import Provider, name_of, sign_in, sign_in_by_sso
from tests.support.applications.redirecting import RedirectingApplication
from tests.support.sign_in.site import change_password, set_password_by_link
from tests.support.users import NEW_PASSWORD, PASSWORD


def expect_home(page: Page, application: RedirectingApplication, query: str) -> None:
    expect(page.locator("#query")).to_have_text(query)
    assert page.url.startswith(application.home)


@pytest.mark.parametrize("application", ["[::1]"], indirect=True)
def test_a_user_signs_in_and_out(
    page: Page, provider: Provider, application: RedirectingApplication, client_id: str
) -> None:
    messages: list[str] = []
    page.on("console", lambda message: messages.append(message.text))
    email = provider.create_user(name_of(client_id))
    page.goto(f"{application.home}?before")
    page.goto(application.start_url(provider.url, client_id))
    sign_in(page, email)
    expect_home(page, application, "from=cb")
    assert "code=" in application.queries[0]

    page.go_back()  # to the sign-in page; no form is sent again
    expect(page.get_by_text("The request of the application has expired")).to_be_visible()
    page.goto(application.logout_url(provider.url, client_id))
    page.get_by_role("button", name="Sign out", exact=True).last.click()
    expect_home(page, application, "from=bye")
    page.goto(provider.url)
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert messages == []


def test_a_user_chooses_the_first_password(
    page: Page, provider: Provider, application: RedirectingApplication, client_id: str
) -> None:
    email = provider.create_new_user(name_of(client_id))
    page.goto(application.start_url(provider.url, client_id))
    sign_in(page, email)
    change_password(page, PASSWORD, NEW_PASSWORD)
    expect_home(page, application, "from=cb")


def test_a_user_sets_a_password_by_a_link(
    page: Page, provider: Provider, application: RedirectingApplication, client_id: str
) -> None:
    link = provider.create_link(provider.create_new_user(name_of(client_id)))
    page.goto(application.start_url(provider.url, client_id))
    page.goto(link)
    set_password_by_link(page, NEW_PASSWORD)
    expect_home(page, application, "from=cb")


def test_a_user_of_another_provider_signs_in(
    page: Page, provider: Provider, application: RedirectingApplication, client_id: str
) -> None:
    name = name_of(client_id)
    provider.create_sso_user(name)
    page.goto(application.start_url(provider.url, client_id))
    sign_in_by_sso(page, name)
    expect_home(page, application, "from=cb")
