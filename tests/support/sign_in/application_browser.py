"""A browser in which the user of an application signs in, over HTTP."""

import html
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from tests.support.databases.filled_sqlite import filled_control_plane
from tests.support.servers.http_client import HttpClient, HttpResponse
from tests.support.servers.server_in_process import serve_in_process
from tests.support.sign_in.openid_provider import (
    CALLBACK,
    ISSUER,
    REQUEST,
    VERIFIER,
    Accounts,
    Site,
    create_jane_and_kim,
    keys_folder,
)
from tests.support.sign_in.sign_ins import HOME, change_password, sign_in_at_home
from tests.support.users import NEW_PASSWORD, PASSWORD

from anyscale.server.control_plane import ControlPlane
from anyscale.server.settings import Settings

PAGE = {"Accept": "text/html"}


class Browser(HttpClient):
    """A browser in which the user of an application signs in."""

    site: Site

    def another(self) -> "Browser":
        """Give a new browser, without cookies."""
        browser = Browser(f"http://{self.host}")
        browser.site = self.site
        return browser

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
            response = self.go_on(self.sign_in_at(response.headers["Location"]))
        return parameters_of(response)["code"]

    def go_on(self, submitted: HttpResponse) -> HttpResponse:
        """Follow the redirect after a form to the page in between, and the link there."""
        return self.get(link_of(self.get(submitted.headers["Location"])))

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


def link_of(page: HttpResponse) -> str:
    """Give the link of the page between a form and an application."""
    assert page.status == 200, page.headers
    found = re.search(r'<a class="button" href="([^"]+)">Continue to ', page.text)
    assert found, page.text
    return html.unescape(found[1])


def parameters_of(response: HttpResponse) -> dict[str, str]:
    """Give the parameters of a redirect to the application."""
    location = response.headers["Location"]
    assert response.status == 303
    assert location.startswith(f"{CALLBACK}?"), location
    return {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}


@contextmanager
def open_browser(folder: Path, **changes: Any) -> Iterator[Browser]:
    """Serve a provider, and give a browser whose user, Jane, has chosen a password."""
    settings = Settings(
        database=folder / "anyscale.db",
        public_url=ISSUER,
        signing_keys=keys_folder(folder / "keys"),
        **changes,
    )
    control_plane, accounts = filled_control_plane(settings, _choose_password)
    with serve_in_process(control_plane) as url:
        browser = Browser(url)
        browser.site = Site(control_plane, accounts)
        yield browser


def _choose_password(control_plane: ControlPlane) -> Accounts:
    accounts = create_jane_and_kim(control_plane)
    signed_in = sign_in_at_home(control_plane)
    user = control_plane.sessions.authenticate(signed_in.session)
    change_password(control_plane, user, PASSWORD, NEW_PASSWORD, HOME)
    return accounts
