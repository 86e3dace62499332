"""The address of the client: that of the connection, or the one that a trusted proxy says."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.support.databases.empty_sqlite import cheap_control_plane
from tests.support.servers.http_client import HttpClient
from tests.support.servers.server_in_process import serve_in_process
from tests.support.users import create_accounts

from anyscale.server.settings import Settings


@contextmanager
def client_of(folder: Path, trusted_proxies: str) -> Iterator[HttpClient]:
    """Serve a control plane until the block ends; give a client that is signed in."""
    settings = Settings(database=folder / "anyscale.db", trusted_proxies=trusted_proxies)
    control_plane = cheap_control_plane(settings)
    create_accounts(control_plane, "jane")
    with serve_in_process(control_plane) as url:
        yield HttpClient(url).sign_in_first_time()


@pytest.fixture(scope="module")
def client(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[HttpClient]:
    """A client of a server that trusts the proxies of the parameter, by default those here."""
    trusted = getattr(request, "param", "127.0.0.1")
    with client_of(tmp_path_factory.mktemp("addresses"), trusted) as client:
        yield client


def address(client: HttpClient, forwarded: str | None = None) -> str:
    """Sign in again; give the address of the session."""
    headers = {"X-Forwarded-For": forwarded} if forwarded is not None else {}
    body = {"email": "jane@example.com", "password": "seven quiet herons wade"}
    assert client.request("POST", "/v1/sessions", body, headers=headers).status == 200
    (session,) = client.request("GET", "/v1/me/sessions").json["sessions"]
    return str(session["address"])


def test_a_session_shows_the_address_of_the_client(client: HttpClient) -> None:
    assert address(client) == "127.0.0.1"


@pytest.mark.parametrize(
    ("forwarded", "shown"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("203.0.113.9:4711", "203.0.113.9"),
        ("2001:db8::7", "2001:db8::7"),
        ("[2001:db8::7]:4711", "2001:db8::7"),
        ("<img src=x>, 203.0.113.9", "203.0.113.9"),
        ("203.0.113.9, <img src=x>", "127.0.0.1"),
        ("evil0", "127.0.0.1"),
        ("", "127.0.0.1"),
        ("203.0.113.999", "127.0.0.1"),
        ("fe80::1%<img src=x>", "127.0.0.1"),
        ("x" * 3000, "127.0.0.1"),
    ],
)
def test_a_forwarded_address_is_an_address(client: HttpClient, forwarded: str, shown: str) -> None:
    assert address(client, forwarded) == shown


@pytest.mark.parametrize("client", ["10.0.0.5,192.0.2.0/24"], indirect=True)
def test_another_client_than_a_trusted_proxy_has_its_own_address(client: HttpClient) -> None:
    assert address(client, "203.0.113.9") == "127.0.0.1"


@pytest.mark.parametrize(("trusted", "warnings"), [("10.0.0.5", 1), ("127.0.0.1", 0), ("*", 0)])
def test_the_log_names_once_a_proxy_that_is_not_trusted(
    trusted: str, warnings: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with client_of(tmp_path, trusted) as client:
        address(client)
        assert not caplog.records
        for _ in range(2):
            address(client, "203.0.113.9")

    found = [record for record in caplog.records if "FORWARDED_ALLOW_IPS" in record.message]
    assert len(found) == warnings
    assert all(vars(record)["address"] == "127.0.0.1" for record in found)


@pytest.mark.parametrize("client", ["127.0.0.0/8", "*"], indirect=True)
def test_proxies_are_trusted_by_their_network(client: HttpClient) -> None:
    assert address(client, "203.0.113.9") == "203.0.113.9"
