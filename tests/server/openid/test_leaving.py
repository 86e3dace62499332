"""How a browser continues from our pages to an application, and what it sees where it cannot."""

import html
from urllib.parse import urlencode

import pytest
from tests.support.servers.http_client import HttpResponse
from tests.support.sign_in.application_browser import PAGE, Browser, link_of, parameters_of
from tests.support.sign_in.openid_provider import CALLBACK
from tests.support.users import NEW_PASSWORD

EXPIRED = "The request of the application has expired: open the application again."

#: of a program on the user's computer
LOOPBACK = "http://127.0.0.1:51000/cb"


def test_a_form_leads_to_a_page_of_ours_that_goes_on_to_the_application(browser: Browser) -> None:
    started = browser.authorize()
    submitted = browser.sign_in_at(started.headers["Location"])
    assert submitted.headers["Location"].startswith("/oauth2/continue?authorization=")

    page = browser.get(submitted.headers["Location"])

    assert "form-action 'self'" in page.headers["Content-Security-Policy"].split("; ")
    assert page.headers["Refresh"] == f"0; url={link_of(page)}"
    assert link_of(page).startswith("/oauth2/authorize?authorization=")
    assert "<script" not in page.text
    assert "Continue to Hub" in page.text
    assert "code" in parameters_of(browser.get(link_of(page)))


def test_the_page_of_an_answered_request_says_so(browser: Browser) -> None:
    submitted = browser.sign_in_at(browser.authorize().headers["Location"])
    browser.go_on(submitted)

    assert EXPIRED in follow(browser, browser.get(submitted.headers["Location"])).text
    assert EXPIRED in follow(browser, browser.get("/oauth2/continue")).text


@pytest.mark.parametrize("path", ["/oauth2/authorize", "/oauth2/continue"])
def test_a_request_without_an_id_answers_none_of_those_that_wait(
    desktop: Browser, path: str
) -> None:
    # A program on the computer can open any address, but it does not know the ids.
    desktop.authorize(redirect_uri=LOOPBACK)

    answer = desktop.get(f"{path}?authorization=")

    assert answer.headers["Location"] == "/sign-in?note=request_expired"


STATES = ["bye", '"><script>alert(1)</script>', "0; url=https://evil.example.com", "\r\nX: y", "ü"]


@pytest.mark.parametrize("state", STATES)
def test_a_logout_that_the_user_confirms_goes_on_by_a_page(browser: Browser, state: str) -> None:
    site = browser.site
    uri = f"{CALLBACK}/bye?a=1&b=;2"
    site.client_id, _ = site.create_application(name="Wiki", post_logout_redirect_uris=[uri])
    browser.code()
    pairs = {"client_id": site.client_id, "post_logout_redirect_uri": uri, "state": state}
    asked = browser.get(f"/oauth2/logout?{urlencode(pairs)}")
    assert "form-action 'self'" in asked.headers["Content-Security-Policy"].split("; ")

    submitted = browser.request("POST", "/oauth2/logout/confirm", form=pairs, headers=PAGE)
    assert browser.get("/").status == 303
    page = browser.get(submitted.headers["Location"])

    expected = f"{uri}&{urlencode({'state': state})}"
    assert page.headers["Refresh"] == f"0; url={expected}"
    assert f'href="{html.escape(expected)}"' in page.text
    assert "<script" not in page.text
    assert "X" not in page.headers


@pytest.mark.parametrize("uri", ["https://evil.example.com", f"{CALLBACK}/", "//evil.example.com"])
def test_the_page_after_a_logout_leads_to_registered_addresses_alone(
    browser: Browser, uri: str
) -> None:
    site = browser.site
    client_id, _ = site.create_application(name="Wiki", post_logout_redirect_uris=[CALLBACK])
    pairs = {"client_id": client_id, "post_logout_redirect_uri": uri}

    page = browser.get(f"/oauth2/logout/confirm?{urlencode(pairs)}")

    assert page.headers["Location"] == "/sign-in?note=signed_out"


def follow(browser: Browser, response: HttpResponse) -> HttpResponse:
    """Follow redirects on our server."""
    while response.status == 303:
        response = browser.get(response.headers["Location"])
    return response


def expire(browser: Browser) -> None:
    """Remove the request of the application, as a browser does after ten minutes."""
    del browser.cookies["__Host-authorization"]


def test_the_sign_in_page_says_that_a_request_has_expired(browser: Browser) -> None:
    location = browser.authorize().headers["Location"]
    expire(browser)

    page = browser.get(location)

    assert page.status == 200
    assert EXPIRED in page.text


def test_the_account_page_says_that_a_request_expired_during_the_sign_in(browser: Browser) -> None:
    page = browser.get(browser.authorize().headers["Location"])
    assert EXPIRED not in page.text
    expire(browser)

    shown = follow(browser, browser.submit(page))

    assert "Your account" in shown.text
    assert EXPIRED in shown.text
    again = follow(browser, browser.get("/oauth2/authorize?authorization=x"))
    assert "Your account" in again.text
    assert EXPIRED in again.text


def test_the_password_page_says_that_a_request_expired(browser: Browser) -> None:
    location = browser.authorize().headers["Location"]
    expire(browser)
    browser.cookies["__Host-session"] = browser.site.sign_in("kim", "password")

    page = browser.get(location.replace("/sign-in", "/password"))
    lost = follow(browser, browser.get("/password?note=request_expired"))

    for shown in (page, lost):
        assert "Choose your own password" in shown.text
        assert EXPIRED in shown.text


def test_a_request_that_expired_leaves_the_filters_of_a_page_of_ours_as_they_are(
    browser: Browser,
) -> None:
    page = "/console/users?role=owner"
    form = {"email": "jane@example.com", "password": NEW_PASSWORD, "authorization": "x", "to": page}
    signed_in = browser.request("POST", "/sign-in", form=form, headers=PAGE)

    assert signed_in.headers["Location"] == f"{page}&note=request_expired"
    del form["authorization"]
    signed_in = browser.request("POST", "/sign-in", form=form, headers=PAGE)
    assert signed_in.headers["Location"] == page


@pytest.fixture
def desktop(browser: Browser) -> Browser:
    """The browser of a signed-in user, and a program without a secret on the same computer."""
    site = browser.site
    site.client_id, site.secret = site.create_application(
        name="Desktop", redirect_uris=["http://127.0.0.1/cb"], is_public=True
    )
    browser.cookies["__Host-session"] = site.sign_in()
    return browser


def test_a_program_on_the_users_computer_is_confirmed_once_in_a_session(desktop: Browser) -> None:
    started = desktop.authorize(redirect_uri=LOOPBACK)
    page = desktop.get(started.headers["Location"])

    assert started.headers["Location"].startswith("/oauth2/continue?")
    assert "<h1>Continue to Desktop?</h1>" in page.text
    assert "Refresh" not in page.headers
    confirmed = desktop.get(link_of(page))
    assert confirmed.headers["Location"].startswith(f"{LOOPBACK}?code=")
    again = desktop.authorize(redirect_uri="http://127.0.0.1:51001/cb")
    assert again.headers["Location"].startswith("http://127.0.0.1:51001/cb?code=")


def test_a_confirmation_is_for_its_session_and_application(desktop: Browser) -> None:
    desktop.get(link_of(desktop.get(desktop.authorize(redirect_uri=LOOPBACK).headers["Location"])))
    site = desktop.site
    first, confirmed = site.client_id, desktop.cookies["__Host-confirmed"]
    other, _ = site.create_application(name="CLI", redirect_uris=[LOOPBACK], is_public=True)

    def is_asked(client_id: str) -> bool:
        started = desktop.authorize(redirect_uri=LOOPBACK, client_id=client_id)
        return started.headers["Location"].startswith("/oauth2/continue?")

    assert (is_asked(first), is_asked(other)) == (False, True)
    desktop.get(
        link_of(
            desktop.get(
                desktop.authorize(redirect_uri=LOOPBACK, client_id=other).headers["Location"]
            )
        )
    )
    assert (is_asked(first), is_asked(other)) == (False, False)
    desktop.cookies["__Host-session"] = site.sign_in()
    assert (is_asked(first), is_asked(other)) == (True, True)
    desktop.cookies["__Host-confirmed"] = confirmed[:-1]
    assert is_asked(first)


def test_a_program_on_the_users_computer_is_confirmed_after_a_sign_in_too(
    desktop: Browser,
) -> None:
    del desktop.cookies["__Host-session"]
    started = desktop.authorize(redirect_uri=LOOPBACK)

    submitted = desktop.sign_in_at(started.headers["Location"])
    page = desktop.get(submitted.headers["Location"])

    assert "<h1>Continue to Desktop?</h1>" in page.text
    assert "Refresh" not in page.headers


def test_a_silent_request_of_a_program_that_is_not_confirmed_is_an_error(desktop: Browser) -> None:
    silent = desktop.authorize(redirect_uri=LOOPBACK, prompt="none")
    assert "error=interaction_required" in silent.headers["Location"]

    started = desktop.authorize(redirect_uri=LOOPBACK)
    desktop.get(link_of(desktop.get(started.headers["Location"])))

    silent = desktop.authorize(redirect_uri=LOOPBACK, prompt="none")
    assert silent.headers["Location"].startswith(f"{LOOPBACK}?code=")


@pytest.mark.parametrize("is_public", [True, False])
def test_other_applications_need_no_confirmation(browser: Browser, *, is_public: bool) -> None:
    uri = CALLBACK if is_public else LOOPBACK
    browser.site.client_id, _ = browser.site.create_application(
        name="Wiki", redirect_uris=[uri], is_public=is_public
    )
    browser.cookies["__Host-session"] = browser.site.sign_in()

    done = browser.authorize(redirect_uri=uri)

    assert done.headers["Location"].startswith(f"{uri}?code=")
    assert "Set-Cookie" not in done.headers
