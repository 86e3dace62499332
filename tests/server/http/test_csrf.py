"""No page of another site changes anything with a person's cookie."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.support.http_client import Visitor, make_accounts
from tests.support.server_in_process import serving
from tests.support.users import control_plane

from anyscale.server.main import ControlPlane

#: what a browser says -> whether the call is made; `{host}` is the server's own
CASES = {
    "": True,
    "sec-fetch-site: same-origin": True,
    "sec-fetch-site: none": True,
    "sec-fetch-site: same-site": False,
    "sec-fetch-site: cross-site": False,
    "sec-fetch-site: anything": False,
    # A browser that says both is believed by the one that no page can bend.
    "sec-fetch-site: same-origin | origin: null": True,
    "sec-fetch-site: cross-site | origin: http://{host}": False,
    "origin: http://{host}": True,
    "origin: HTTP://{HOST}": True,
    "origin: https://{host}": True,  # TLS may end at a proxy
    "origin: null": False,
    "origin: ": False,
    "origin: http://[": False,
    "origin: http://evil.example": False,
    "origin: http://{host}.evil.example": False,
    "origin: http://evil.example/{host}": False,
    "origin: http://{name}:1": False,
}


@pytest.fixture
def plane(tmp_path: Path) -> ControlPlane:
    """Jane's, which the server closes."""
    plane = control_plane(tmp_path)
    make_accounts(plane, "jane")
    return plane


@pytest.fixture
def jane(plane: ControlPlane) -> Iterator[Visitor]:
    """Jane, who has signed in."""
    with serving(plane) as url:
        yield Visitor(url).settle()


def said(case: str, host: str) -> dict[str, str]:
    lines = [line.partition(": ") for line in case.split(" | ") if line]
    spelled = {"host": host, "HOST": host.upper(), "name": host.partition(":")[0]}
    return {name: text.format(**spelled) for name, _, text in lines}


@pytest.mark.parametrize(("case", "passes"), CASES.items())
def test_only_our_own_pages_and_no_page_at_all_change_something(
    case: str, passes: bool, jane: Visitor
) -> None:
    headers = said(case, jane.host)
    for method, path, well in (
        ("DELETE", "/v1/me/sessions", 200),
        ("POST", "/v1/sessions", 400),
        ("POST", "/v1/passwords", 400),
        ("PUT", "/v1/me/password", 400),
        ("POST", "/sign-in", 400),
        ("POST", "/tokens", 400),
        ("POST", "/sign-out", 303),
    ):
        answer = jane.ask(method, path, headers=headers)
        assert answer.status == (well if passes else 403), path
        assert passes or answer.json["code"] == "cross_origin"


@pytest.mark.parametrize("case", CASES)
def test_reading_is_free_since_no_page_sees_the_answer(case: str, jane: Visitor) -> None:
    answer = jane.ask("GET", "/v1/me", headers=said(case, jane.host))
    assert answer.status == 200
    assert "access-control-allow-origin" not in answer.headers


def test_a_token_needs_no_origin_and_other_authorization_does(jane: Visitor) -> None:
    evil = {"sec-fetch-site": "cross-site"}
    body: dict[str, list[str]] = {"create_users": []}
    for authorization, status in (
        ("Bearer mrt_x", 401),
        ("bearer mrt_x", 401),
        ("Basic eA==", 403),
    ):
        headers = evil | {"Authorization": authorization}
        assert jane.ask("POST", "/v1/users:lookUp", body, headers=headers).status == status
    for method, path in (("DELETE", "/v1/me/sessions"), ("POST", "/v1/sessions")):
        assert jane.ask(method, path, headers=evil | {"Authorization": "Basic eA=="}).status == 403


def test_a_refusal_is_noted_in_the_trail(tmp_path: Path, jane: Visitor) -> None:
    jane.ask("POST", "/v1/sessions", {}, headers={"origin": "http://evil.example"})
    with closing(control_plane(tmp_path)) as plane:
        (entry,) = [one for one in plane.trail.page(0, 100) if one.event == "access.refused"]
    assert entry.actor == "anonymous"
    assert entry.data == '{"call":"POST /v1/sessions","reason":"cross_origin","times":1}'
