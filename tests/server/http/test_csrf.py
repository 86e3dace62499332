"""A page of another site cannot write with the cookies of a user."""

import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from litestar import Litestar, Router, post
from litestar.datastructures import State
from litestar.testing import TestClient
from tests.support.callers import operator
from tests.support.servers.control_planes import new_control_plane
from tests.support.servers.http_client import HttpClient
from tests.support.servers.server_in_process import serve_in_process
from tests.support.users import NEW_PASSWORD, create_accounts

from anyscale.server.control_plane import ControlPlane
from anyscale.server.http.authentication import Authenticator
from anyscale.server.http.errors import EXCEPTION_HANDLERS
from anyscale.server.http.middleware.csrf import (
    CSRF_RULE,
    CsrfMiddleware,
    csrf_exempt,
    same_origin,
)
from anyscale.server.http.thread_pools import BoundedThreadPool

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
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> ControlPlane:
    control_plane = new_control_plane(tmp_path_factory.mktemp("csrf"))
    create_accounts(control_plane, "jane")
    return control_plane


@pytest.fixture(scope="module")
def token(control_plane: ControlPlane) -> str:
    """Of an owner."""
    return control_plane.tokens.create(operator("test"), "laptop", "owner", None)


@pytest.fixture(scope="module")
def url(control_plane: ControlPlane, token: str) -> Iterator[str]:
    """Of a server with an account that has its own password."""
    with serve_in_process(control_plane) as url:
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
        ("POST", "/tokens/revoke", 400),
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


@pytest.mark.parametrize("case", CASES)
def test_a_call_that_ignores_cookies_needs_no_origin_but_a_token(
    case: str, client: HttpClient, token: str
) -> None:
    headers = headers_of(case, client.host)
    body: dict[str, list[str]] = {"create_users": []}
    for authorization, status in (
        ({"Authorization": f"Bearer {token}"}, 200),
        ({"Authorization": "Bearer mrt_x"}, 401),
        ({"Authorization": "Basic eA=="}, 401),
        ({}, 401),  # the cookie of the session does not count
    ):
        sent = headers | authorization
        assert client.request("POST", "/v1/users:lookUp", body, headers=sent).status == status


def test_every_documented_write_has_the_strict_rule_unless_it_takes_a_token(
    client: HttpClient,
) -> None:
    evil = {"sec-fetch-site": "cross-site"}
    refusals = set()
    for path, operations in client.request("GET", "/openapi.json").json["paths"].items():
        for method, operation in operations.items():
            if method != "get":
                takes_token = {"token": []} in operation.get("security", [])
                url = re.sub("{.*?}", "1", path)
                answer = client.request(method.upper(), url, headers=evil)
                expected = (401, "not_authenticated") if takes_token else (403, "csrf_rejected")
                assert (answer.status, answer.json["code"]) == expected, path
                refusals.add(answer.json["code"])
    assert len(refusals) == 2


@post("/strict", sync_to_thread=False, status_code=204)
def strict() -> None:
    """A route with the rule that holds by default."""


@post("/open", sync_to_thread=False, status_code=204, opt={CSRF_RULE: csrf_exempt})
def open_to_all() -> None:
    """A route that every page may call."""


@post("/back", sync_to_thread=False, status_code=204, opt={CSRF_RULE: same_origin})
def strict_again() -> None:
    """A route whose own option replaces that of its router."""


@pytest.mark.parametrize("waiting", [1, -1], ids=["the log has room", "the log is busy"])
def test_the_option_nearest_to_a_route_is_its_rule(tmp_path: Path, waiting: int) -> None:
    router = Router("/in", route_handlers=[strict, strict_again], opt={CSRF_RULE: csrf_exempt})
    with closing(new_control_plane(tmp_path)) as control_plane:
        pool = BoundedThreadPool("auth", 1, waiting)
        authenticator = Authenticator(
            control_plane.tokens, control_plane.sessions, control_plane.audit_log, pool
        )
        app = Litestar(
            [strict, open_to_all, router],
            middleware=[CsrfMiddleware()],
            exception_handlers=EXCEPTION_HANDLERS,
            state=State({"authenticator": authenticator}),
        )
        with TestClient(app) as client:
            for path, status in (
                ("/strict", 403),
                ("/open", 204),
                ("/in/strict", 204),
                ("/in/back", 403),
            ):
                headers = {"origin": "http://evil.example"}
                assert client.post(path, headers=headers).status_code == status, path


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", "/v1/me/sessions"),
        ("POST", "/v1/sessions"),
        ("PUT", "/v1/me/password"),
        ("POST", "/sign-in"),
        ("POST", "/tokens/revoke"),
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
    with closing(new_control_plane(tmp_path)) as control_plane:
        (entry,) = [
            one for one in control_plane.audit_log.list(0, 100) if one.event == "access.denied"
        ]
    assert entry.actor == "anonymous"
    assert entry.data == '{"call":"POST /v1/sessions","reason":"csrf_rejected","times":1}'
