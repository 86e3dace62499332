"""The wishes of an application reach the identity provider, whose response is checked."""

import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.support.callers import OPERATOR
from tests.support.sign_in.openid_provider import CALLBACK, REQUEST, keys_folder
from tests.support.sign_in.tampered_login import TamperedLogin, new_tampered_login

from anyscale.domain.models.applications import NewApplication

WISHES = [{"prompt": "login"}, {"max_age": "60"}]


@pytest.fixture
def login(tmp_path: Path) -> Iterator[TamperedLogin]:
    with new_tampered_login(tmp_path, signing_keys=keys_folder(tmp_path / "keys")) as login:
        yield login


def query_of(location: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}


def go_on(login: TamperedLogin) -> str:
    """Come back, and continue by the page before the application; give where the browser goes."""
    page = login.client.get(login.return_to_callback().headers["location"])
    link = page.headers["refresh"].removeprefix("0; url=")
    return str(login.client.get(link).headers["location"])


def start(login: TamperedLogin, **wishes: str) -> dict[str, str]:
    """Start at an application, and continue to the identity provider; give the query for it."""
    new = NewApplication(name="Hub", redirect_uris=[CALLBACK])
    client_id = login.control_plane.applications.create(OPERATOR, new).application.client_id
    request = REQUEST | {"client_id": client_id} | wishes
    place = login.client.get("/oauth2/authorize", params=request).headers["location"]
    return go_there(login, place)


def go_there(login: TamperedLogin, place: str) -> dict[str, str]:
    answer = login.client.get("/sso/start", params=query_of(place))
    asked = query_of(answer.headers["location"])
    login.provider.set_claims(asked["nonce"])
    login.query = [
        ("code", "a code of the provider"),
        ("state", asked["state"]),
        ("iss", login.provider.issuer),
    ]
    return asked


def test_without_a_wish_any_session_of_the_identity_provider_is_enough(
    login: TamperedLogin,
) -> None:
    assert {"prompt", "max_age"}.isdisjoint(start(login))

    assert "code" in query_of(go_on(login))


@pytest.mark.parametrize("wish", WISHES, ids=str)
def test_a_new_sign_in_is_requested_there_and_comes_back(
    login: TamperedLogin, wish: dict[str, str]
) -> None:
    asked = start(login, **wish)
    login.provider.claims["auth_time"] = int(time.time())

    assert asked.get("prompt") == wish.get("prompt")
    assert 0 <= int(asked["max_age"]) <= 60
    assert "code" in query_of(go_on(login))


def test_a_request_that_was_lost_before_the_sign_in_there_says_so(login: TamperedLogin) -> None:
    start(login)
    del login.client.cookies["__Host-authorization"]
    go_there(login, "/sign-in?authorization=req_lost")

    place = login.return_to_callback().headers["location"]
    place = login.client.get(place).headers["location"]
    assert place == "/sign-in?note=request_expired"
    assert login.client.get(place).headers["location"] == "/?note=request_expired"


@pytest.mark.parametrize("wish", WISHES, ids=str)
@pytest.mark.parametrize("age", [None, 3_600], ids=["unknown", "old"])
def test_a_sign_in_there_that_is_old_is_not_accepted(
    login: TamperedLogin, wish: dict[str, str], age: int | None
) -> None:
    start(login, **wish)
    if age:
        login.provider.claims["auth_time"] = int(time.time()) - age

    place = login.return_to_callback().headers["location"]

    assert query_of(place)["sso"] == "not_recent"
    assert "auth_time" in login.denial_reasons()
