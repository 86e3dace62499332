"""Over HTTP: a user adds or shows the second factor that an application requires, and continues."""

import re
from base64 import b32decode
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.callers import OPERATOR
from tests.support.second_factor.authenticator_apps import (
    add_app,
    code_shown,
    seed_keys_folder,
)
from tests.support.servers.http_client import HttpResponse
from tests.support.sign_in.application_browser import (
    PAGE,
    Browser,
    link_of,
    open_browser,
    parameters_of,
)
from tests.support.users import NEW_PASSWORD

from anyscale.domain.models.applications import ApplicationChanges

ADD = "/account/second-factor"


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    """The browser of a user whose application requires a second factor."""
    with open_browser(tmp_path, second_factor_keys=seed_keys_folder()) as browser:
        site = browser.site
        changes = ApplicationChanges(requires_second_factor=True)
        site.control_plane.applications.update(OPERATOR, site.client_id, changes)
        yield browser


def send(browser: Browser, path: str, **form: str) -> HttpResponse:
    return browser.request("POST", path, form=form, headers=PAGE)


def level(browser: Browser, response: HttpResponse) -> str:
    tokens = browser.token(parameters_of(response)["code"])
    claims = browser.site.provider.keys.verify(tokens.json["id_token"])
    assert claims
    level: str = claims["acr"]
    return level


def test_a_user_without_one_adds_it_and_arrives(browser: Browser) -> None:
    signed_in = browser.sign_in_at(browser.authorize().headers["Location"])
    place = browser.go_on(signed_in).headers["Location"]
    assert place.startswith(f"{ADD}?authorization=req_")
    assert "Hub lets you in only if you confirm" in browser.get(place).text
    page = browser.get(send(browser, f"{ADD}/app").headers["Location"])
    (secret,) = re.findall(r'id="secret">([A-Z2-7 ]+)<', page.text)
    code = code_shown(b32decode(secret.replace(" ", "")))
    codes = send(browser, f"{ADD}/app/confirm", code=code, name="Phone")
    (path,) = re.findall(r'href="([^"]+)">I have kept them', codes.text)

    assert level(browser, browser.get(link_of(browser.get(path)))) == "2"
    assert "code" in parameters_of(browser.authorize())  # and from now on without a page


def test_a_user_with_one_shows_it_and_arrives(browser: Browser) -> None:
    site = browser.site
    browser.sign_in("jane", NEW_PASSWORD)
    seed = add_app(site.control_plane, site.ids["jane"])
    started = browser.authorize()  # in a session from before the factor
    half = browser.sign_in_at(started.headers["Location"])
    assert half.headers["Location"] == "/sign-in/second-factor"
    page = browser.get("/sign-in/second-factor")
    (other,) = re.findall(r'href="([^"]+)">Sign in as somebody else', page.text)
    assert "Sign in to Hub" in browser.get(other).text
    complete = send(browser, "/sign-in/second-factor", code=code_shown(seed))

    assert level(browser, browser.go_on(complete)) == "2"
