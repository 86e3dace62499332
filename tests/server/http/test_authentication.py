"""Requests are authenticated by the one credential that their routes take."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.callers import OPERATOR, token_of_role
from tests.support.databases.empty_sqlite import cheap_control_plane
from tests.support.servers.control_planes import new_control_plane
from tests.support.servers.http_client import HttpClient
from tests.support.servers.server_in_process import serve_in_process
from tests.support.users import POLICY, create_accounts

from anyscale.server.control_plane import ControlPlane
from anyscale.server.settings import Settings

_BROWSER = {"Accept": "text/html"}


@pytest.fixture
def control_plane(tmp_path: Path) -> ControlPlane:
    control_plane = new_control_plane(tmp_path)
    create_accounts(control_plane, "jane")
    return control_plane


@pytest.fixture
def url(control_plane: ControlPlane) -> Iterator[str]:
    with serve_in_process(control_plane) as url:
        yield url


@pytest.fixture(scope="module")
def unchanged_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of a server that no test changes."""
    with serve_in_process(new_control_plane(tmp_path_factory.mktemp("unchanged"))) as url:
        yield url


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_the_calls_of_owners_take_no_session(url: str) -> None:
    client = HttpClient(url).sign_in_first_time()

    assert client.request("GET", "/v1/me").status == 200
    assert client.request("GET", "/v1/users").json["code"] == "not_authenticated"


def test_the_calls_of_users_take_no_token(control_plane: ControlPlane, url: str) -> None:
    token = control_plane.tokens.create(OPERATOR, "laptop", "owner", None)
    client = HttpClient(url)

    assert client.request("GET", "/v1/users", headers=bearer(token)).status == 200
    response = client.request("GET", "/v1/me", headers=bearer(token))
    assert (response.status, response.json["code"]) == (401, "not_authenticated")


@pytest.mark.parametrize("path", ["/v1/users", "/v1/batches", "/v1/audit", "/v1/me"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_no_method_passes_without_a_credential(unchanged_url: str, method: str, path: str) -> None:
    assert HttpClient(unchanged_url).request(method, path).status == 401


@pytest.mark.parametrize("path", ["/v1/users", "/v1/users?serach=jane"])
def test_a_token_whose_role_does_not_suffice_is_denied_under_its_name(
    control_plane: ControlPlane, url: str, path: str
) -> None:
    token = token_of_role(control_plane, "carl", "collaborator")

    response = HttpClient(url).request("GET", path, headers=bearer(token))

    assert (response.status, response.json["code"]) == (403, "not_permitted")
    (entry,) = [one for one in control_plane.audit_log.list(0, 100) if one.event == "access.denied"]
    assert (entry.actor, "GET /v1/users" in entry.data) == ("token:carl", True)


def test_only_denied_calls_are_in_the_audit_log_and_no_pages(
    control_plane: ControlPlane, url: str
) -> None:
    client = HttpClient(url)
    client.sign_in()  # with an initial password
    page = {"Accept": "text/html"}

    assert client.request("GET", "/", headers=page).headers["Location"] == "/password"
    assert HttpClient(url).request("GET", "/", headers=page).headers["Location"] == "/sign-in"
    assert not [one for one in control_plane.audit_log.list(0, 100) if one.event == "access.denied"]

    assert client.request("GET", "/v1/me/tokens").json["code"] == "password_change_needed"
    assert HttpClient(url).request("GET", "/v1/me").status == 401
    denials = [one for one in control_plane.audit_log.list(0, 100) if one.event == "access.denied"]
    assert [one.actor.partition(":")[0] for one in denials] == ["user", "anonymous"]


def test_a_form_of_another_site_is_in_the_audit_log(control_plane: ControlPlane, url: str) -> None:
    client = HttpClient(url).sign_in_first_time()

    response = client.request(
        "POST", "/password", form={}, headers={"Sec-Fetch-Site": "cross-site"}
    )

    assert response.status == 403
    (entry,) = [one for one in control_plane.audit_log.list(0, 100) if one.event == "access.denied"]
    assert '"call":"POST /password","reason":"csrf_rejected"' in entry.data


def test_each_control_plane_of_a_process_has_its_own_tokens_and_name(
    control_plane: ControlPlane, url: str, tmp_path: Path
) -> None:
    token = control_plane.tokens.create(OPERATOR, "laptop", "owner", None)
    settings = Settings(database=tmp_path / "other.db", policy=POLICY, organization="Other Works")
    with serve_in_process(cheap_control_plane(settings)) as other_url:
        both = [HttpClient(url), HttpClient(other_url)]
        listed = [client.request("GET", "/v1/users", headers=bearer(token)) for client in both]
        sign_in = [client.request("GET", "/sign-in").text for client in both]
        missing = [client.request("GET", "/none", headers=_BROWSER).text for client in both]

    assert [response.status for response in listed] == [200, 401]
    assert ["Other Works" in page for page in sign_in] == [False, True]
    assert ["Other Works" in page for page in missing] == [False, True]
