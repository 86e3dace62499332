"""What a browser requests from the pages."""

import re
from collections.abc import Callable, Iterator
from html import unescape

from tests.support.servers.http_client import HttpClient, HttpResponse
from tests.support.users import NEW_PASSWORD, PASSWORD

from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.sso.settings import ProviderSettings

PROVIDER = ProviderSettings(issuer="https://login.example.com", client_id="us")

PUBLIC = "https://accounts.example.com"

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}

Come = Callable[..., HttpClient]


def get(client: HttpClient, path: str, **headers: str) -> HttpResponse:
    return client.request("GET", path, headers=BROWSER | headers)


def send(client: HttpClient, path: str, **form: str) -> HttpResponse:
    """Send a form, and send it again where a 307 says so, as browsers do."""
    answer = client.request("POST", path, form=form, headers=BROWSER)
    return send(client, answer.headers["location"], **form) if answer.status == 307 else answer


def fields_of(page: HttpResponse) -> dict[str, str]:
    """Return the fields of the form of a page as a browser would send them."""
    main = page.text[page.text.index("<main") :]
    fields = dict(re.findall(r'<input [^>]*?name="(\w+)" type="text"[^>]*? value="([^"]*)"', main))
    fields |= re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', main)
    fields |= re.findall(r'name="(\w+)" type="checkbox" value="(\w+)"[^>]* checked', main)
    fields |= re.findall(r'<textarea [^>]*?name="(\w+)"[^>]*>\n([^<]*)</textarea>', main)
    return {name: unescape(value) for name, value in fields.items()}


def every_page(jane: HttpClient) -> Iterator[HttpResponse]:
    """Give each page once, in the order of a first sign-in."""
    yield get(jane, "/sign-in?note=signed_out")
    yield get(jane, "/set-password")
    yield get(jane, "/nowhere")
    yield send(jane, "/set-password", link="x", new=NEW_PASSWORD, again=NEW_PASSWORD)
    yield send(jane, "/sign-in", email="jane@example.com", password="not the password")
    send(jane, "/sign-in", email="jane@example.com", password=PASSWORD)
    yield get(jane, "/password")
    send(jane, "/password", current=PASSWORD, new=NEW_PASSWORD, again=NEW_PASSWORD)
    yield get(jane, "/password")
    yield get(jane, "/?note=password_changed")
    yield get(jane, "/account/second-factor")
    yield send(jane, "/console/tokens/new", name="laptop", days="30")


def create_owner(control_plane: ControlPlane, name: str = "jane") -> None:
    with control_plane.store.write() as tx:
        account = tx.accounts.find(f"{name}@example.com")
        assert account
        tx.accounts.set_role(account.user_id, "owner")
