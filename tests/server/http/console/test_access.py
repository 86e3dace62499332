"""Who may open the console."""

import re
from urllib.parse import parse_qs, urlsplit

import pytest
from litestar.routes import HTTPRoute
from tests.server.http.console.conftest import Console
from tests.server.http.pages.requests import get, send
from tests.support.servers.http_client import HttpClient

from anyscale.server.http.console.routes import ROUTER

PATHS = sorted(
    (method, re.sub(r"/?{/?(\w+)(:\w+)?}", r"/\1", route.path))
    for route in ROUTER.routes
    if isinstance(route, HTTPRoute)
    for method in route.methods - {"OPTIONS"}
)


def request(client: HttpClient, method: str, path: str) -> int:
    return get(client, path).status if method == "GET" else send(client, path).status


@pytest.fixture(scope="module")
def bob(shared_console: Console) -> HttpClient:
    """A browser in which a collaborator has signed in."""
    return shared_console.browser("bob")


def test_an_owner_opens_the_console(shared_console: Console) -> None:
    page = get(shared_console.browser(), "/console")
    assert page.status == 200
    assert "<h1>Overview</h1>" in page.text


@pytest.mark.parametrize(("method", "path"), PATHS)
def test_a_collaborator_gets_403_from_every_address(
    bob: HttpClient, method: str, path: str
) -> None:
    assert request(bob, method, path) == 403


@pytest.mark.parametrize(("method", "path"), PATHS)
def test_a_browser_that_is_not_signed_in_is_sent_to_sign_in_and_then_to_the_page(
    shared_console: Console, method: str, path: str
) -> None:
    client = HttpClient(shared_console.url)
    answer = get(client, path) if method == "GET" else send(client, path)
    place = urlsplit(answer.headers["location"])
    assert (answer.status, place.path) == (303, "/sign-in")
    (to,) = parse_qs(place.query)["to"]
    assert ("GET", to) in PATHS
    assert path == to if method == "GET" else path.startswith(to)
