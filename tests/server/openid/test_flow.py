"""The whole flow over HTTP: authorize, sign in, come back, exchange the code, read the claims."""

import base64
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from tests.support.databases.empty_sqlite import cheap_control_plane
from tests.support.servers.http_client import HttpClient, HttpResponse
from tests.support.servers.server_in_process import serve_in_process
from tests.support.sign_in.openid_provider import (
    CALLBACK,
    ISSUER,
    REQUEST,
    VERIFIER,
    Site,
    keys_folder,
)
from tests.support.users import NEW_PASSWORD, PASSWORD

from anyscale.server.settings import Settings

PAGE = {"Accept": "text/html"}


class Browser(HttpClient):
    """A browser in which the user of an application signs in."""

    site: Site

    def get(self, path: str, **headers: str) -> HttpResponse:
        return self.request("GET", path, headers=PAGE | headers)

    def authorize(self, **changes: Any) -> HttpResponse:
        values = REQUEST | {"client_id": self.site.client_id} | changes
        query = {name: text for name, text in values.items() if text is not None}
        return self.get(f"/oauth2/authorize?{urlencode(query)}")

    def sign_in_at(self, path: str, password: str = NEW_PASSWORD) -> HttpResponse:
        return self.submit(self.get(path), password)

    def submit(self, page: HttpResponse, password: str = NEW_PASSWORD) -> HttpResponse:
        """Send the form of a sign-in page."""
        assert page.status == 200, page.text
        hidden = re.search(r'name="authorization" value="([^"]+)"', page.text)
        form = {"email": "jane@example.com", "password": password}
        if hidden:
            form["authorization"] = hidden[1]
        return self.request("POST", "/sign-in", form=form, headers=PAGE)

    def code(self) -> str:
        """Sign in for the application, and give the code."""
        response = self.authorize()
        if not response.headers["Location"].startswith(CALLBACK):
            response = self.sign_in_at(response.headers["Location"])
            response = self.get(response.headers["Location"])
        return parameters_of(response)["code"]

    def token(self, code: str, **changes: Any) -> HttpResponse:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": CALLBACK,
            "code_verifier": VERIFIER,
            "client_id": self.site.client_id,
            "client_secret": self.site.secret,
        } | changes
        sent = {name: text for name, text in form.items() if text is not None}
        headers = {"Authorization": sent.pop("basic")} if "basic" in sent else {}
        client = HttpClient(f"http://{self.host}")
        return client.request("POST", "/oauth2/token", form=sent, headers=headers)


def parameters_of(response: HttpResponse) -> dict[str, str]:
    """Give the parameters of a redirect to the application."""
    location = response.headers["Location"]
    assert response.status == 303
    assert location.startswith(f"{CALLBACK}?"), location
    return {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    settings = Settings(
        database=tmp_path / "anyscale.db",
        public_url=ISSUER,
        signing_keys=keys_folder(tmp_path / "keys"),
    )
    with ExitStack() as stack:
        control_plane = cheap_control_plane(settings)
        url = stack.enter_context(serve_in_process(control_plane))
        browser = Browser(url)
        browser.site = Site(control_plane)
        first = Browser(url)
        first.sign_in()
        first.change_password()
        yield browser


def test_a_user_signs_in_to_an_application(browser: Browser) -> None:
    started = browser.authorize()
    assert started.status == 303
    assert started.headers["Location"].startswith("/sign-in?authorization=")
    page = browser.get(started.headers["Location"])
    assert "Sign in to Hub" in page.text
    assert (
        "form-action 'self' https://hub.example.com;"
        in page.headers["Content-Security-Policy"] + ";"
    )

    signed_in = browser.sign_in_at(started.headers["Location"])
    assert signed_in.headers["Location"].startswith("/oauth2/authorize?authorization=")
    found = parameters_of(browser.get(signed_in.headers["Location"]))
    assert (found["state"], found["iss"]) == ("the state", ISSUER)

    tokens = browser.token(found["code"])
    assert tokens.status == 200, tokens.text
    assert tokens.headers["Cache-Control"] == "no-store"
    claims = browser.site.provider.keys.verify(tokens.json["id_token"])
    assert claims
    assert claims["iss"] == ISSUER
    assert claims["aud"] == browser.site.client_id
    assert claims["nonce"] == "the nonce"
    assert claims["sub"] == browser.site.ids["jane"]
    assert claims["preferred_username"] == claims["email"] == "jane@example.com"
    assert claims["email_verified"] is True
    bearer = {"Authorization": f"Bearer {tokens.json['access_token']}"}
    info = HttpClient(f"http://{browser.host}").request("GET", "/oauth2/userinfo", headers=bearer)
    assert info.status == 200
    assert info.json["sub"] == claims["sub"]
    assert "groups" not in info.json


def test_a_second_application_needs_no_second_sign_in(browser: Browser) -> None:
    browser.code()
    browser.site.client_id, browser.site.secret = browser.site.create_application(name="Wiki")

    assert "code" in parameters_of(browser.authorize())


def test_a_first_sign_in_changes_the_initial_password_and_comes_back(browser: Browser) -> None:
    started = browser.authorize()
    page = browser.get(started.headers["Location"])
    hidden = re.search(r'name="authorization" value="([^"]+)"', page.text)
    assert hidden
    form = {"email": "kim@example.com", "password": PASSWORD, "authorization": hidden[1]}
    signed_in = browser.request("POST", "/sign-in", form=form, headers=PAGE)
    again = browser.get(signed_in.headers["Location"])
    assert again.headers["Location"] == f"/password?authorization={hidden[1]}"
    page = browser.get(again.headers["Location"])
    assert hidden[1] in page.text
    form = {"new": NEW_PASSWORD, "again": NEW_PASSWORD, "authorization": hidden[1]}
    changed = browser.request("POST", "/password", form=form, headers=PAGE)

    assert "code" in parameters_of(browser.get(changed.headers["Location"]))


def test_a_one_time_link_comes_back_to_the_application(browser: Browser) -> None:
    started = browser.authorize()
    page = browser.get("/set-password")
    assert started.headers["Location"].partition("=")[2] in page.text


@pytest.mark.parametrize("method", ["basic", "post"])
def test_both_ways_to_send_a_secret_work(browser: Browser, method: str) -> None:
    site = browser.site
    basic = base64.b64encode(f"{site.client_id}:{site.secret}".encode()).decode()
    changes = {"client_id": None, "client_secret": None, "basic": f"Basic {basic}"}

    response = browser.token(browser.code(), **(changes if method == "basic" else {}))

    assert response.status == 200, response.text


def test_a_post_to_authorize_becomes_the_same_query(browser: Browser) -> None:
    browser.code()
    form = REQUEST | {"client_id": browser.site.client_id}
    stranger = Browser(f"http://{browser.host}")
    headers = PAGE | {"Sec-Fetch-Site": "cross-site", "Origin": "https://hub.example.com"}
    response = stranger.request("POST", "/oauth2/authorize", form=form, headers=headers)

    assert response.status == 303
    assert "code" in parameters_of(browser.get(response.headers["Location"]))


def test_the_metadata_name_each_endpoint(browser: Browser) -> None:
    metadata = browser.get("/.well-known/openid-configuration").json

    assert metadata["issuer"] == ISSUER
    for name in ("authorization", "token", "userinfo", "end_session", "revocation"):
        path = metadata[f"{name}_endpoint"].removeprefix(ISSUER)
        assert browser.get(path).status != 404
    keys = browser.get(metadata["jwks_uri"].removeprefix(ISSUER)).json["keys"]
    assert [key["alg"] for key in keys] == ["RS256"]
    assert not {"d", "p", "q", "dp", "dq", "qi"} & set(keys[0])
