"""HEAD, which health checks use, and the methods that a path allows."""

import socket
from collections.abc import Iterator
from contextlib import closing

import pytest
from tests.support.servers.control_planes import new_control_plane
from tests.support.servers.http_client import HttpClient
from tests.support.servers.server_in_process import serve_in_process
from tests.support.users import PASSWORD, create_accounts

from anyscale.server.http.metrics import REQUESTS

#: headers that differ from one response to the next
CHANGING = {"date", "x-request-id"}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpClient]:
    """A client that is not signed in, of a server that no test changes."""
    control_plane = new_control_plane(tmp_path_factory.mktemp("head"))
    create_accounts(control_plane, "jane", password=PASSWORD)
    with serve_in_process(control_plane) as url:
        yield HttpClient(url)


def octets(client: HttpClient, method: str, path: str) -> bytes:
    """Send a request; give all octets until the server closes the connection."""
    host, _, port = client.host.partition(":")
    with closing(socket.create_connection((host, int(port)), timeout=30)) as connection:
        request = f"{method} {path} HTTP/1.1\r\nHost: {client.host}\r\nConnection: close\r\n\r\n"
        connection.sendall(request.encode())
        return connection.makefile("rb").read()


PATHS = [
    "/healthz",
    "/readyz",
    "/sign-in",
    "/set-password",
    "/assets/page.css",
    "/docs",
    "/openapi.json",
    "/",
    "/nowhere",
    "/sign-out",
    "/v1/users",
]


@pytest.mark.parametrize("path", PATHS)
def test_head_has_the_headers_of_get_and_no_body(client: HttpClient, path: str) -> None:
    by_get, by_head = client.request("GET", path), client.request("HEAD", path)
    assert by_head.status == by_get.status
    headers = [
        {key: text for key, text in answer.headers.items() if key not in CHANGING}
        for answer in (by_get, by_head)
    ]
    assert headers[0] == headers[1]
    head, end, body = octets(client, "HEAD", path).partition(b"\r\n\r\n")
    assert (bool(head), end, body) == (True, b"\r\n\r\n", b"")


def test_the_metrics_answer_head(client: HttpClient) -> None:
    answer = client.request("HEAD", "/metrics")
    assert (answer.status, answer.body) == (200, b"")
    assert int(answer.headers["content-length"]) > 0


def test_head_is_counted_as_head_and_by_its_route(client: HttpClient) -> None:
    counted = REQUESTS.labels("HEAD", "/healthz", 200)
    before = counted._value.get()
    client.request("HEAD", "/healthz")
    assert counted._value.get() == before + 1


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/healthz", "GET, HEAD, OPTIONS"),
        ("DELETE", "/v1/users", "GET, HEAD, OPTIONS"),
        ("GET", "/v1/passwords", "OPTIONS, POST"),
        ("HEAD", "/sign-out", "OPTIONS, POST"),
        ("PUT", "/sign-in", "GET, HEAD, OPTIONS, POST"),
    ],
)
def test_a_method_that_is_not_allowed_gets_the_allowed_ones(
    client: HttpClient, method: str, path: str, allowed: str
) -> None:
    answer = client.request(method, path)
    assert (answer.status, answer.headers["allow"]) == (405, allowed)


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/healthz", "GET, HEAD, OPTIONS"),
        ("/sign-in", "GET, HEAD, OPTIONS, POST"),
        ("/v1/sessions", "OPTIONS, POST"),
        ("/oauth2/authorize", "GET, OPTIONS, POST"),
    ],
)
def test_options_names_all_methods_of_a_path(client: HttpClient, path: str, allowed: str) -> None:
    answer = client.request("OPTIONS", path)
    assert (answer.status, answer.headers["allow"]) == (204, allowed)
