"""A page of another site cannot write with the cookies of a user."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.support.servers.control_planes import new_control_plane
from tests.support.servers.http_client import HttpClient
from tests.support.servers.server_in_process import serve_in_process
from tests.support.users import NEW_PASSWORD, create_accounts

#: headers of a browser -> whether the request is allowed; `{host}` is the server's own
CASES = {
    "": True,
    "sec-fetch-site: same-origin": True,
    "sec-fetch-site: none": True,
    "sec-fetch-site: same-site": False,
    "sec-fetch-site: cross-site": False,
    "sec-fetch-site: anything": False,
    # If there are both, `Sec-Fetch-Site` decides: no page can change it.
    "sec-fetch-site: same-origin | origin: null": True,
    "sec-fetch-site: cross-site | origin: http://{host}": False,
    "origin: http://{host}": True,
    "origin: HTTP://{HOST}": True,
    "origin: https://{host}": True,  # TLS may end at a proxy
    "origin: ftp://{host}": False,
    "origin: null": False,
    "origin: ": False,
    "origin: http://[": False,
    "origin: http://evil.example": False,
    "origin: http://{host}.evil.example": False,
    "origin: http://evil.example/{host}": False,
    "origin: http://{name}:1": False,
}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of a server with an account that has its own password."""
    plane = new_control_plane(tmp_path_factory.mktemp("csrf"))
    create_accounts(plane, "jane")
    with serve_in_process(plane) as url:
        HttpClient(url).sign_in_first_time()
        yield url


@pytest.fixture
def client(url: str) -> HttpClient:
    """A client that is signed in."""
    client = HttpClient(url)
    assert client.sign_in(password=NEW_PASSWORD).status == 200
    return client


def headers_of(case: str, host: str) -> dict[str, str]:
    lines = [line.partition(": ") for line in case.split(" | ") if line]
    spelled = {"host": host, "HOST": host.upper(), "name": host.partition(":")[0]}
    return {name: text.format(**spelled) for name, _, text in lines}


@pytest.mark.parametrize(("case", "passes"), CASES.items())
def test_only_our_pages_and_clients_without_a_page_may_write(
    case: str, passes: bool, client: HttpClient
) -> None:
    headers = headers_of(case, client.host)
    for method, path, well in (
        ("DELETE", "/v1/me/sessions", 200),
        ("POST", "/v1/sessions", 400),
        ("POST", "/v1/passwords", 400),
        ("PUT", "/v1/me/password", 400),
        ("POST", "/sign-in", 400),
        ("POST", "/tokens", 400),
        ("POST", "/sign-out", 303),
    ):
        answer = client.request(method, path, headers=headers)
        assert answer.status == (well if passes else 403), path
        assert passes or answer.json["code"] == "csrf_rejected"


@pytest.mark.parametrize("case", CASES)
def test_reads_from_other_sites_are_allowed_and_have_no_cors_header(
    case: str, client: HttpClient
) -> None:
    answer = client.request("GET", "/v1/me", headers=headers_of(case, client.host))
    assert answer.status == 200
    assert "access-control-allow-origin" not in answer.headers


def test_a_bearer_token_needs_no_origin_and_other_authorization_does(client: HttpClient) -> None:
    evil = {"sec-fetch-site": "cross-site"}
    body: dict[str, list[str]] = {"create_users": []}
    for authorization, status in (
        ("Bearer mrt_x", 401),
        ("bearer mrt_x", 401),
        ("Basic eA==", 403),
    ):
        headers = evil | {"Authorization": authorization}
        assert client.request("POST", "/v1/users:lookUp", body, headers=headers).status == status
    for method, path in (("DELETE", "/v1/me/sessions"), ("POST", "/v1/sessions")):
        assert (
            client.request(method, path, headers=evil | {"Authorization": "Basic eA=="}).status
            == 403
        )


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", "/v1/me/sessions"),
        ("POST", "/v1/sessions"),
        ("PUT", "/v1/me/password"),
        ("POST", "/sign-in"),
        ("POST", "/tokens"),
        ("POST", "/sign-out"),
    ],
)
def test_a_bearer_token_excuses_no_call_with_a_cookie(
    client: HttpClient, method: str, path: str
) -> None:
    for origin in ({"sec-fetch-site": "cross-site"}, {"origin": "http://evil.example"}):
        headers = origin | {"Authorization": "Bearer junk"}
        response = client.request(method, path, headers=headers)
        assert (response.status, response.json["code"]) == (403, "csrf_rejected")


@pytest.mark.parametrize(("scheme", "status"), [("https", 400), ("http", 403)])
def test_a_page_without_tls_may_not_write_by_tls(
    client: HttpClient, scheme: str, status: int
) -> None:
    headers = {"X-Forwarded-Proto": "https", "Origin": f"{scheme}://{client.host}"}
    assert client.request("POST", "/v1/sessions", headers=headers).status == status


def test_a_refusal_is_in_the_audit_log(tmp_path: Path) -> None:
    with serve_in_process(new_control_plane(tmp_path)) as url:
        evil = {"origin": "http://evil.example"}
        HttpClient(url).request("POST", "/v1/sessions", {}, headers=evil)
    with closing(new_control_plane(tmp_path)) as plane:
        (entry,) = [one for one in plane.audit_log.list(0, 100) if one.event == "access.denied"]
    assert entry.actor == "anonymous"
    assert entry.data == '{"call":"POST /v1/sessions","reason":"csrf_rejected","times":1}'
