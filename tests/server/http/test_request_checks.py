"""Requests that a proxy may understand in another way are refused before they are routed."""

import socket
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.support.databases.empty_sqlite import cheap_control_plane
from tests.support.servers.http_client import HttpClient
from tests.support.servers.server_in_process import serve_in_process

from anyscale.server.http.middleware.request_checks import RequestCheckMiddleware
from anyscale.server.settings import Settings

PUBLIC = "https://anyscale.example.com:8443"


@contextmanager
def served(folder: Path, public_url: str | None = None) -> Iterator[HttpClient]:
    settings = Settings(database=folder / "anyscale.db", public_url=public_url)
    with serve_in_process(cheap_control_plane(settings)) as url:
        yield HttpClient(url)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpClient]:
    """A client of a server on loopback, without a public address; no test changes the server."""
    with served(tmp_path_factory.mktemp("checks")) as client:
        yield client


@pytest.mark.parametrize(
    "path", ["/metrics/", "//metrics", "/metrics//", "/metrics%2f", "/%6detrics", "/x/../metrics"]
)
def test_another_spelling_of_a_path_is_not_found(client: HttpClient, path: str) -> None:
    response = client.request("GET", path)

    assert (response.status, response.json["code"]) == (404, "not_found")
    assert response.headers["Musterroll-Api"]
    assert response.headers["X-Request-Id"] == response.json["request_id"]
    assert client.request("GET", "/metrics").status == 200


def test_a_browser_gets_a_page(client: HttpClient) -> None:
    response = client.request("GET", "/sign-in/", headers={"Accept": "text/html"})

    assert response.status == 404
    assert "There is no such page" in response.text


def test_an_escaped_colon_is_one(client: HttpClient) -> None:
    assert client.request("POST", "/v1/users%3AbatchCreate", {}).status == 401


def test_a_body_with_two_lengths_is_refused_and_the_connection_is_closed(
    client: HttpClient,
) -> None:
    host, _, port = client.host.partition(":")
    head = f"POST /v1/sessions HTTP/1.1\r\nHost: {client.host}\r\nContent-Length: 2\r\n"
    smuggled = f"GET /healthz HTTP/1.1\r\nHost: {client.host}\r\n\r\n"
    with closing(socket.create_connection((host, int(port)), timeout=30)) as connection:
        body = "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
        connection.sendall((head + body + smuggled).encode())
        responses = connection.makefile("rb").read()
    assert responses.startswith(b"HTTP/1.1 400 ")
    assert responses.count(b"HTTP/1.1 ") == 1
    assert b"alive" not in responses


def status_for(client: HttpClient, host: str, path: str = "/metrics") -> int:
    return client.request("GET", path, headers={"Host": host}).status


ALWAYS = ("localhost", "localhost:8000", "LOCALHOST", "127.0.0.1", "[::1]:8000", "10.0.0.7:8000")
NEVER = ("evil.example", "evil.example:8000", "127.0.0.1.evil.example", "localhost.evil.example")


def test_a_server_on_loopback_accepts_only_its_own_addresses(client: HttpClient) -> None:
    assert [status_for(client, host) for host in ALWAYS] == [200] * len(ALWAYS)
    assert [status_for(client, host) for host in NEVER] == [400] * len(NEVER)
    refused = client.request("GET", "/v1/me", headers={"Host": "evil.example"})
    assert refused.json["code"] == "request_invalid"
    assert "ANYSCALE_PUBLIC_URL" in refused.json["detail"]
    assert "evil" not in refused.text


def test_a_server_with_a_public_address_knows_its_name(tmp_path: Path) -> None:
    ours = ("anyscale.example.com:8443", "Anyscale.Example.Com", *ALWAYS)
    with served(tmp_path, PUBLIC) as client:
        assert [status_for(client, host) for host in ours] == [200] * len(ours)
        assert [status_for(client, host) for host in NEVER] == [400] * len(NEVER)


def test_health_checks_may_use_any_name(client: HttpClient) -> None:
    assert status_for(client, "server-1.internal:8000", "/healthz") == 200
    assert status_for(client, "server-1.internal:8000", "/readyz") == 200


def test_a_request_of_http_1_0_needs_no_host(client: HttpClient) -> None:
    host, _, port = client.host.partition(":")
    with closing(socket.create_connection((host, int(port)), timeout=30)) as connection:
        connection.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        assert connection.makefile("rb").read().startswith(b"HTTP/1.1 200 ")


@pytest.fixture
def passes() -> Callable[..., bool]:
    """Whether a request to a server that listens at an address passes."""

    def check(public_url: str | None, server: Any, host: str) -> bool:
        scope = {"raw_path": b"/v1/me", "path": "/v1/me", "query_string": b""}
        scope |= {"headers": [(b"host", host.encode())]}
        return RequestCheckMiddleware(public_url)._fault(scope | {"server": server}) is None

    return check


@pytest.mark.parametrize("server", [("10.0.0.11", 8000), ("/run/musterroll", None), None])
def test_a_server_that_other_machines_reach_may_have_any_name_without_a_public_address(
    passes: Callable[..., bool], server: Any
) -> None:
    assert passes(None, server, "roll.internal")
    assert not passes(PUBLIC, server, "roll.internal")
    assert not passes(None, ("127.0.0.1", 8000), "roll.internal")
    assert not passes(None, ("::1", 8000), "roll.internal")


@pytest.mark.parametrize("host", ["[", "[::1", "[x]", "a\xe4", "evil.example:x"])
def test_a_malformed_host_is_not_ours(passes: Callable[..., bool], host: str) -> None:
    assert not passes(None, ("127.0.0.1", 8000), host)
