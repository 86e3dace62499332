"""Cookies are found by their name, octet by octet: no other host overrides one of ours."""

from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, cast

import pytest
from litestar.connection import ASGIConnection
from litestar.datastructures import Cookie
from tests.support.servers.control_planes import new_control_plane
from tests.support.servers.http_client import HttpClient
from tests.support.servers.server_in_process import serve_in_process
from tests.support.users import create_accounts

from anyscale.server.control_plane import ControlPlane
from anyscale.server.http.cookies import SESSION, HostCookie, expired_cookie, read_cookie

OURS = SESSION.encode()


def value_in(*headers: bytes) -> str:
    scope = {"type": "http", "headers": [(b"cookie", header) for header in headers]}
    return read_cookie(ASGIConnection(cast("Any", scope)), SESSION)


@pytest.mark.parametrize(
    "header",
    [
        OURS + b"=ann",
        b"other=1; " + OURS + b"=ann; more=2",
        OURS + b" \t=\t ann \t",
        OURS + b"=ann;",
        b"\xa0" + OURS + b"=eve; " + OURS + b"=ann",
        OURS + b"=ann; \xa0" + OURS + b"=eve",
        OURS + b"=ann; \x85" + OURS + b"=eve; \x1c" + OURS + b"=eve; \x0b" + OURS + b"=eve",
        OURS + b"=ann; " + OURS.lower() + b"=eve; " + OURS + b"2=eve",
        OURS + b"=ann; =" + OURS + b"=eve",
    ],
)
def test_a_cookie_is_found_by_its_exact_name(header: bytes) -> None:
    assert value_in(header) == "ann"


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [b"other=1"],
        [OURS],
        [b"\xa0" + OURS + b"=eve"],
        [OURS + b"\xa0=eve"],
        [OURS + b"=ann; " + OURS + b"=eve"],
        [OURS + b"=ann; " + OURS + b"=ann"],
        [OURS + b"=ann", OURS + b"=eve"],
        [OURS + b"=; " + OURS + b"=eve"],
    ],
)
def test_a_cookie_that_is_missing_or_there_twice_has_no_value(headers: list[bytes]) -> None:
    assert value_in(*headers) == ""


def test_the_value_of_a_cookie_is_not_decoded() -> None:
    assert value_in(OURS + b'="a%41=b"') == '"a%41=b"'


@pytest.mark.parametrize(
    ("cookie", "value"),
    [(HostCookie(SESSION, "aZ09_-", 60), "aZ09_-"), (expired_cookie(SESSION), "")],
)
def test_the_header_of_a_cookie_is_that_of_the_framework(cookie: Cookie, value: str) -> None:
    same = Cookie(SESSION, "/", value, cookie.max_age, secure=True, httponly=True, samesite="lax")

    assert cookie.to_encoded_header() == same.to_encoded_header()


@pytest.fixture
def control_plane(tmp_path: Path) -> ControlPlane:
    """Two accounts; the server closes it."""
    control_plane = new_control_plane(tmp_path)
    create_accounts(control_plane, "jane", "eve")
    return control_plane


@pytest.fixture
def url(control_plane: ControlPlane) -> Iterator[str]:
    with serve_in_process(control_plane) as url:
        yield url


def answer_to(url: str, *cookies: bytes) -> tuple[int, bytes]:
    with closing(HTTPConnection(url.removeprefix("http://"), timeout=30)) as connection:
        connection.putrequest("GET", "/v1/me")
        for cookie in cookies:
            connection.putheader("Cookie", cookie)
        connection.endheaders()
        response = connection.getresponse()
        return response.status, response.read()


def test_no_cookie_of_another_host_signs_a_user_in_to_another_account(url: str) -> None:
    """A sibling host can set a cookie whose name begins with the octet A0: browsers accept it."""
    jane, eve = HttpClient(url), HttpClient(url)
    assert jane.sign_in("jane").status == eve.sign_in("eve").status == 200
    genuine = OURS + b"=" + jane.cookies[SESSION].encode()
    planted = b"\xa0" + OURS + b"=" + eve.cookies[SESSION].encode()

    for cookies in ([genuine + b"; " + planted], [planted + b"; " + genuine], [genuine, planted]):
        status, body = answer_to(url, *cookies)
        assert (status, b"jane@example.com" in body) == (200, True)
    assert answer_to(url, planted)[0] == 401
    assert answer_to(url, genuine + b"; " + planted.lstrip(b"\xa0"))[0] == 401
