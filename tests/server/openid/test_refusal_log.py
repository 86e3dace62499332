"""A line of the log says why a request of an application was refused, without a secret."""

import base64
import logging
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from tests.support.servers.http_client import HttpClient
from tests.support.sign_in.application_browser import PAGE, Browser
from tests.support.sign_in.openid_provider import CALLBACK, VERIFIER

from anyscale.server.http.openid.refusal_log import origin_and_path

SECRET = "a-secret-in-the-wrong-place"

Line = tuple[str, str, str | None, str | None]


class Refusals:
    """The lines of the log about refused requests."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self._caplog = caplog

    def take(self) -> list[Line]:
        """Give the lines since the last call; none has a secret."""
        found = [one for one in self._caplog.records if "application refused" in one.getMessage()]
        self._caplog.clear()
        assert not any(SECRET in str(vars(one)) for one in found)
        fields = ("code", "detail", "client_id", "redirect_uri")
        return [tuple(vars(one)[name] for name in fields) for one in found]


@pytest.fixture
def refusals(caplog: pytest.LogCaptureFixture) -> Iterator[Refusals]:
    with caplog.at_level(logging.WARNING, "anyscale.server"):
        yield Refusals(caplog)


def test_the_page_of_a_refused_authorization_names_what_its_user_can_do(browser: Browser) -> None:
    for sent, which in (
        ({"redirect_uri": "https://hub.example.com/other"}, "The application Hub, which sent you"),
        ({"client_id": "app_" + "0" * 24}, "The application that sent you"),
    ):
        page = browser.authorize(**sent)
        assert page.status == 400
        assert which in page.text
        assert "Tell its administrator." in page.text
        assert "go back" not in page.text


def test_a_refused_authorization_is_logged(browser: Browser, refusals: Refusals) -> None:
    client_id = browser.site.client_id
    uri = f"https://user:{SECRET}@hub.example.com:8443/other?code={SECRET}#{SECRET}"
    unknown = "no application with this client_id is registered here"

    browser.authorize(redirect_uri=uri)
    detail = "this redirect_uri is not registered for the application"
    address = "https://hub.example.com:8443/other"
    assert refusals.take() == [("invalid_request", detail, client_id, address)]

    browser.authorize(client_id=SECRET)
    assert refusals.take() == [("invalid_request", unknown, None, CALLBACK)]
    browser.authorize(client_id="app_" + "0" * 24)
    assert refusals.take() == [("invalid_request", unknown, "app_" + "0" * 24, CALLBACK)]

    browser.authorize(code_challenge=None, code_challenge_method=None, state=SECRET)
    ((code, _, *named),) = refusals.take()
    assert (code, named) == ("invalid_request", [client_id, CALLBACK])

    # The usual answer to a silent request, and requests in order, add no line.
    browser.authorize(prompt="none", state=SECRET)
    browser.code()
    assert refusals.take() == []


def test_refused_tokens_are_logged(browser: Browser, refusals: Refusals) -> None:
    client_id, code = browser.site.client_id, browser.code()
    header = base64.b64encode(f"{client_id}:{SECRET}".encode()).decode()
    wrong_secret = ("invalid_client", "the application or its secret is unknown", client_id)

    browser.token(code, client_secret=SECRET)
    browser.token(code, basic=f"Basic {header}", client_id=None, client_secret=None)
    assert refusals.take() == [(*wrong_secret, CALLBACK)] * 2

    browser.token(code, code_verifier=SECRET + VERIFIER)
    ((error, _, *named),) = refusals.take()
    assert (error, named) == ("invalid_grant", [client_id, CALLBACK])


@pytest.mark.parametrize(
    ("path", "form", "code"),
    [
        ("/oauth2/revoke", {"token": SECRET}, "invalid_client"),
        ("/oauth2/userinfo", {"access_token": SECRET}, "invalid_token"),
        ("/oauth2/userinfo", {}, "invalid_request"),
    ],
)
def test_refusals_of_the_other_endpoints_are_logged(
    browser: Browser, refusals: Refusals, path: str, form: dict[str, Any], code: str
) -> None:
    HttpClient(f"http://{browser.host}").request("POST", path, form=form)

    ((logged, *_),) = refusals.take()
    assert logged == code


def test_an_address_after_a_sign_out_that_is_not_registered_is_logged(
    browser: Browser, refusals: Refusals
) -> None:
    client_id = browser.site.client_id
    uri = f"https://hub.example.com/bye?{SECRET}"
    query = urlencode({"client_id": client_id, "post_logout_redirect_uri": uri})
    browser.request("GET", f"/oauth2/logout?{query}", headers=PAGE)

    detail = "post_logout_redirect_uri is not registered for the application that was named"
    address = "https://hub.example.com/bye"
    assert refusals.take() == [("invalid_request", detail, client_id, address)]


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("http://[::1]:8000/cb?x=y", "http://[::1]:8000/cb"),
        ("http://[", ""),
        ("https://hub.example.com:x/cb", ""),
        ("javascript:alert(1)", ""),
        (SECRET, ""),
        ("https://hub.example.com/" + "a" * 1000, "https://hub.example.com/" + "a" * 276),
    ],
)
def test_an_address_is_logged_without_what_may_be_a_secret(uri: str, shown: str) -> None:
    assert origin_and_path(uri) == shown
