"""/v1/me/factors: a session adds and removes factors, and a token never does."""

from base64 import b32decode
from collections.abc import Iterator
from contextlib import closing

import pytest
from tests.support.callers import OPERATOR, session_caller
from tests.support.second_factor.authenticator_apps import code_shown
from tests.support.servers.control_planes import HttpDeployment, NewDeployment
from tests.support.servers.http_client import HttpClient
from tests.support.sign_in.sign_ins import get_account
from tests.support.users import create_accounts

FACTORS = "/v1/me/factors"


@pytest.fixture(scope="module")
def deployment(new_deployment: NewDeployment) -> Iterator[HttpDeployment]:
    with new_deployment(over_http=True) as deployment:
        assert isinstance(deployment, HttpDeployment)
        yield deployment


@pytest.fixture
def jane(deployment: HttpDeployment, request: pytest.FixtureRequest) -> HttpClient:
    """A signed-in user of the test alone."""
    name = f"jane{abs(hash(request.node.name))}"
    client = HttpClient(deployment.url())
    with closing(deployment.control_plane()) as control_plane:
        create_accounts(control_plane, name)
    client.sign_in_first_time(name)
    return client


def begin(client: HttpClient) -> tuple[str, bytes]:
    """Begin to add an app; give its id and seed."""
    answer = client.request("POST", f"{FACTORS}/totp")
    assert (answer.status, sorted(answer.json)) == (201, ["factor_id", "otpauth", "secret"])
    return answer.json["factor_id"], b32decode(answer.json["secret"])


def confirm(client: HttpClient, code: str) -> tuple[int, object]:
    answer = client.request("POST", f"{FACTORS}/totp/confirm", {"code": code})
    return answer.status, answer.json.get("recovery_codes", answer.json.get("code"))


def test_a_session_adds_lists_and_removes_an_app(jane: HttpClient) -> None:
    factor_id, seed = begin(jane)
    assert jane.request("GET", FACTORS).json == {"factors": [], "recovery_codes_left": 0}
    assert confirm(jane, "000000 ") == (401, "code_refused")

    status, codes = confirm(jane, code_shown(seed))
    assert (status, isinstance(codes, list) and len(codes)) == (200, 8)
    listed = jane.request("GET", FACTORS).json
    assert listed["recovery_codes_left"] == 8
    (factor,) = listed["factors"]
    assert (factor["factor_id"], factor["kind"]) == (factor_id, "totp")
    assert factor["name"] == "Authenticator app"
    assert factor["used_at"]
    assert confirm(jane, code_shown(seed)) == (404, "not_found")

    assert jane.request("DELETE", f"{FACTORS}/{factor_id}").status == 204
    assert jane.request("DELETE", f"{FACTORS}/{factor_id}").status == 404
    assert jane.request("GET", FACTORS).json == {"factors": [], "recovery_codes_left": 0}


def test_no_token_reads_or_changes_factors(deployment: HttpDeployment, jane: HttpClient) -> None:
    factor_id, _ = begin(jane)
    jane.cookies.clear()
    for token in (deployment.token, personal_token(deployment)):
        for method, path in (
            ("GET", FACTORS),
            ("POST", f"{FACTORS}/totp"),
            ("POST", f"{FACTORS}/totp/confirm"),
            ("DELETE", f"{FACTORS}/{factor_id}"),
        ):
            headers = {"Authorization": f"Bearer {token}"}
            answer = jane.request(method, path, headers=headers)
            assert (answer.status, answer.json["code"]) == (401, "not_authenticated")


def personal_token(deployment: HttpDeployment) -> str:
    with closing(deployment.control_plane()) as control_plane:
        create_accounts(control_plane, "owner")
        user_id = get_account(control_plane, "owner@example.com").user_id
        control_plane.lifecycle.set_role(OPERATOR, user_id, "owner")
        user = session_caller(control_plane, user_id)
        return control_plane.tokens.create_personal(user, "laptop", 1)[0]
