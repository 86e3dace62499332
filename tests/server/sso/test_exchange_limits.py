"""The exchanges of codes at a provider: how many a network gets, and what else is limited."""

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler

import httpx
import pytest
from tests.support.sign_in.oidc_provider import new_browser
from tests.support.sign_in.tampered_login import TamperedLogin, change_header, respond_with
from tests.support.waiting import wait_until

from anyscale.errors import TooManyFailedLogins
from anyscale.server.core.sso import http_client as fetching
from anyscale.server.core.sso import identity_provider


def attempt(login: TamperedLogin) -> httpx.Response:
    """Sign in by a browser of its own."""
    with new_browser(login.url) as browser:
        other = TamperedLogin(login.control_plane, login.url, login.provider, browser)
        other.start()
        return other.return_to_callback()


def exchanges(login: TamperedLogin) -> int:
    return login.provider.requested_paths.count("/token")


@pytest.mark.parametrize("status", [307, 429, 500])
def test_the_code_of_a_sign_in_is_exchanged_once(
    login: TamperedLogin, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identity_provider, "_PAUSE", 0.0)
    respond_with("/token", b"", status, Location="/elsewhere")(login)
    login.start()
    cookie = login.client.cookies["__Host-sso"]
    for _ in range(20):
        login.client.cookies.set("__Host-sso", cookie, domain="127.0.0.1", path="/")
        login.return_to_callback()
    assert exchanges(login) == 1
    assert set(login.denial_reasons()) == {"state_used"}


def test_a_used_state_shows_an_expired_sign_in(login: TamperedLogin) -> None:
    login.start()
    cookie = login.client.cookies["__Host-sso"]
    login.assert_signed_in()
    login.client.cookies.clear()
    login.client.cookies.set("__Host-sso", cookie, domain="127.0.0.1", path="/")
    login.assert_call_refused(login.return_to_callback, "expired")


def test_the_provider_rests_after_too_many_requests(
    login: TamperedLogin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identity_provider, "_PAUSE", 600.0)
    respond_with("/token", b"", 429)(login)
    for _ in range(20):
        assert attempt(login).headers["location"].startswith("/sign-in?sso=unavailable")
    assert exchanges(login) == 1
    login.provider.responses.clear()
    assert login.control_plane.sso_login
    monkeypatch.setattr(login.control_plane.sso_login.provider, "_paused_until", 0.0)
    assert attempt(login).headers["location"] == "/"


def test_a_network_gets_a_hundred_exchanges_that_fail_in_ten_minutes(login: TamperedLogin) -> None:
    respond_with("/token", b"", 500)(login)
    for _ in range(110):
        attempt(login)
    assert exchanges(login) == 100


def test_a_network_gets_ten_exchanges_whose_token_is_refused(login: TamperedLogin) -> None:
    change_header(alg="none")(login)
    for _ in range(15):
        attempt(login)
    assert exchanges(login) == 10
    assert login.control_plane.sso_login
    with pytest.raises(TooManyFailedLogins):
        login.control_plane.sso_login._rate_limiter.check_exchange("127.0.0.1")


def test_one_network_leaves_others_a_place_for_their_callback(
    login: TamperedLogin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "_SECONDS", 120)
    responds = threading.Event()

    def hangs_until_then(handler: BaseHTTPRequestHandler) -> None:
        responds.wait(90)
        handler.close_connection = True

    login.provider.responses["/token"] = hangs_until_then
    cookies, queries = list[str](), list[httpx.QueryParams]()
    for _ in range(60):
        login.client.cookies.clear()
        login.start()
        cookies.append(login.client.cookies["__Host-sso"])
        queries.append(httpx.QueryParams(login.query))

    def come_back(number: int, source: str = "127.0.0.1") -> str:
        host = httpx.URL(login.url)
        connection = HTTPConnection(host.host, host.port, 120, source_address=(source, 0))
        headers = {"cookie": f"__Host-sso={cookies[number]}"}
        connection.request("GET", f"/sso/callback?{queries[number]}", headers=headers)
        response = connection.getresponse()
        response.read()
        connection.close()
        return str(response.headers["location"])

    with ThreadPoolExecutor(60) as threads:
        coming: list[Future[str]] = [threads.submit(come_back, number) for number in range(1, 60)]
        try:
            wait_until(lambda: sum(one.done() for one in coming) == 39)  # 20 of 40 places
            genuine = threads.submit(come_back, 0, "127.0.9.1")
            threading.Event().wait(0.3)
            assert not genuine.done()
        finally:
            responds.set()
    assert all("unavailable" in one.result() for one in coming)
