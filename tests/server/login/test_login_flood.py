"""While a flood of wrong passwords continues, users sign in."""

from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path

import pytest
from tests.support.servers.http_client import HttpClient, HttpResponse
from tests.support.servers.server_process import ServerProcess, server_of_jane
from tests.support.sign_in.login_flood import login_flood
from tests.support.users import PASSWORD

from anyscale.server.core.hashing.argon2id import Profile

pytestmark = pytest.mark.alone

#: sign-ins during a flood
_SIGN_INS = 5
#: Hashes that take some 2 ms. With the cheapest ones, the server would lose its time with requests,
#: and the places for sign-ins would seldom be full.
_HASHES = {"tests.support.commands.command_process.CHEAPEST": Profile(memory_kib=4096, passes=1)}
#: seconds for a response: a second where the machine does nothing else
_PATIENCE = 120

EMAIL = "jane@example.com"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    """Give a server with one account."""
    with server_of_jane(tmp_path, constants=_HASHES) as server:
        yield server


def sign_in(client: HttpClient, address: str) -> HttpResponse:
    body = {"email": EMAIL, "password": PASSWORD}
    return client.request("POST", "/v1/sessions", body, headers={"X-Forwarded-For": address})


def statuses_of(sign_in: Callable[[], HttpResponse]) -> list[int]:
    """Sign in again and again; return the statuses."""
    return [sign_in().status for _ in range(_SIGN_INS)]


def test_browsers_sign_in_while_two_networks_flood(server: ServerProcess) -> None:
    known = known_browser(server)
    # Elsewhere, and at an address of the flood.
    addresses = cycle(["198.51.100.1", "2001:db8:1:7::1"])
    with login_flood(server.port, "one IPv6 site", "one address"):
        new = statuses_of(
            lambda: sign_in(HttpClient(server.url, timeout=_PATIENCE), "198.51.100.2")
        )
        again = statuses_of(lambda: sign_in(known, next(addresses)))
    assert (set(new), set(again)) == ({200}, {200})


def test_a_known_browser_signs_in_while_all_of_ipv6_floods(server: ServerProcess) -> None:
    known = known_browser(server)
    addresses = cycle(["198.51.100.1", "2001:db8:1:7::1"])
    with login_flood(server.port, "all of IPv6"):
        statuses = statuses_of(lambda: sign_in(known, next(addresses)))
    assert set(statuses) == {200}


def known_browser(server: ServerProcess) -> HttpClient:
    """Give a browser in which Jane has signed in."""
    browser = HttpClient(server.url, timeout=_PATIENCE)
    assert sign_in(browser, "192.0.2.1").status == 200
    return browser
