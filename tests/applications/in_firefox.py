"""Debian's Firefox continues from our forms to applications: `./dev firefox`; CI does not run it.

It does with a form what `test_redirecting_callbacks.py` shows for Chromium.
"""

from collections.abc import Iterator

import pytest
from tests.applications.conftest import Provider, name_of
from tests.support.applications.redirecting import RedirectingApplication
from tests.support.sign_in.firefox import Firefox, FirefoxPage, run_firefox
from tests.support.users import NEW_PASSWORD, PASSWORD

EXPIRED = "The request of the application has expired"


@pytest.fixture(scope="module")
def firefox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Firefox]:
    with run_firefox(tmp_path_factory.mktemp("firefox")) as firefox:
        yield firefox


@pytest.fixture
def page(firefox: Firefox) -> FirefoxPage:
    return firefox.new_page()


def sign_in(page: FirefoxPage, email: str) -> None:
    page.fill("Email", email)
    page.fill("Password", PASSWORD)
    page.click("Sign in")


def choose_password(page: FirefoxPage, button: str) -> None:
    page.fill("New password", NEW_PASSWORD)
    page.fill("New password, once more", NEW_PASSWORD)
    page.click(button)


def expect_home(page: FirefoxPage, application: RedirectingApplication, query: str) -> None:
    page.wait_for_text(query)
    assert page.url == f"{application.home}?{query}"


@pytest.mark.parametrize("application", ["127.0.0.1", "[::1]"], indirect=True)
def test_a_user_signs_in_and_out(
    page: FirefoxPage, provider: Provider, application: RedirectingApplication, client_id: str
) -> None:
    email = provider.create_user(name_of(client_id))
    page.goto(f"{application.home}?before")
    page.goto(application.start_url(provider.url, client_id))
    sign_in(page, email)
    expect_home(page, application, "from=cb")
    assert "code=" in application.queries[0]

    page.back()  # to the sign-in page; no form is sent again
    page.wait_for(f"() => location.origin === '{provider.url}'")
    page.goto(application.logout_url(provider.url, client_id))
    page.click("Sign out")
    expect_home(page, application, "from=bye")
    page.goto(provider.url)
    page.wait_for_text("Password")


def test_a_user_chooses_the_first_password(
    page: FirefoxPage, provider: Provider, application: RedirectingApplication, client_id: str
) -> None:
    page.goto(application.start_url(provider.url, client_id))
    sign_in(page, provider.create_new_user(name_of(client_id)))
    choose_password(page, "Save and continue")
    expect_home(page, application, "from=cb")


def test_a_user_sets_a_password_by_a_link(
    page: FirefoxPage, provider: Provider, application: RedirectingApplication, client_id: str
) -> None:
    link = provider.create_link(provider.create_new_user(name_of(client_id)))
    page.goto(application.start_url(provider.url, client_id))
    page.goto(link)
    choose_password(page, "Set password and sign in")
    expect_home(page, application, "from=cb")


def test_a_user_of_another_provider_signs_in(
    page: FirefoxPage, provider: Provider, application: RedirectingApplication, client_id: str
) -> None:
    name = name_of(client_id)
    provider.create_sso_user(name)
    page.goto(application.start_url(provider.url, client_id))
    page.click("Sign in with single sign-on (SSO)")
    page.wait_for("() => Boolean(document.querySelector('input[name=login]'))")
    page.evaluate(
        "(name) => { document.querySelector('input[name=login]').value = name;"
        " document.querySelector('input[name=password]').value = 'any';"
        " document.querySelector('button').click(); }",
        name,
    )
    page.click("Continue")
    expect_home(page, application, "from=cb")


def test_a_program_on_the_users_computer_is_confirmed(
    page: FirefoxPage, provider: Provider, application: RedirectingApplication
) -> None:
    client_id, _ = provider.create_application(
        name="Desktop", redirect_uris=[application.callback], is_public=True
    )
    page.goto(application.start_url(provider.url, client_id))
    sign_in(page, provider.create_user(name_of(client_id)))
    page.wait_for_text("Continue to Desktop?")
    assert application.queries == []
    page.click("Continue to Desktop")
    expect_home(page, application, "from=cb")


def test_a_lost_request_says_so(
    page: FirefoxPage, provider: Provider, application: RedirectingApplication, client_id: str
) -> None:
    page.goto(application.start_url(provider.url, client_id))
    sign_in(page, provider.create_user(name_of(client_id)))
    expect_home(page, application, "from=cb")
    page.goto(f"{provider.url}/oauth2/authorize?authorization=x")
    page.wait_for_text(EXPIRED)
