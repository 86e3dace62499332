"""What the endpoints of applications refuse over HTTP, and how."""

import base64
import re
from html import unescape
from typing import Any
from urllib.parse import urlencode

import pytest
from tests.support.servers.http_client import HttpClient, HttpResponse
from tests.support.sign_in.application_browser import PAGE, Browser
from tests.support.sign_in.openid_provider import CALLBACK, REQUEST

from anyscale.errors import NotFound

APPLICATION = "https://hub.example.com"
CROSS_SITE = {"Sec-Fetch-Site": "cross-site", "Origin": APPLICATION}


def basic(client_id: str, secret: str) -> str:
    return "Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode()


WRONG: list[tuple[dict[str, Any], int, str]] = [
    ({"grant_type": None}, 400, "invalid_request"),
    ({"grant_type": "password"}, 400, "unsupported_grant_type"),
    ({"grant_type": "client_credentials"}, 400, "unsupported_grant_type"),
    ({"grant_type": "implicit"}, 400, "unsupported_grant_type"),
    ({"code": None}, 400, "invalid_grant"),
    ({"code": "x"}, 400, "invalid_grant"),
    ({"code_verifier": None}, 400, "invalid_grant"),
    ({"redirect_uri": None}, 400, "invalid_grant"),
    ({"client_secret": None}, 401, "invalid_client"),
    ({"client_secret": "mrc_wrong"}, 401, "invalid_client"),
    ({"client_id": None, "client_secret": None}, 401, "invalid_client"),
    ({"client_id": "app_none"}, 401, "invalid_client"),
    ({"basic": "Basic ???"}, 401, "invalid_client"),
    ({"basic": "Bearer mrt_x"}, 401, "invalid_client"),
    (
        {"basic": basic("app_none", "x"), "client_secret": None, "client_id": None},
        401,
        "invalid_client",
    ),
    ({"basic": basic("app_none", "x")}, 400, "invalid_request"),
]


@pytest.mark.parametrize(("changes", "status", "error"), WRONG, ids=str)
def test_the_token_endpoint_refuses_in_json(
    browser: Browser, changes: dict[str, Any], status: int, error: str
) -> None:
    code = browser.code()

    response = browser.token(**({"code": code} | changes))

    assert (response.status, response.json["error"]) == (status, error)
    assert response.headers["Cache-Control"] == "no-store"
    assert code not in response.text
    if status == 401 and "basic" in changes:
        assert response.headers["WWW-Authenticate"].startswith("Basic")


def test_an_application_that_sends_its_secret_twice_is_refused(browser: Browser) -> None:
    site = browser.site

    response = browser.token(browser.code(), basic=basic(site.client_id, site.secret or ""))

    assert (response.status, response.json["error"]) == (400, "invalid_request")


def test_an_application_that_names_another_one_beside_its_secret_is_refused(
    browser: Browser,
) -> None:
    site = browser.site
    sent = {"client_secret": None, "basic": basic(site.client_id, site.secret or "")}
    code = browser.code()

    refused = browser.token(code, client_id="app_other", **sent)
    assert (refused.status, refused.json["error"]) == (400, "invalid_request")
    assert browser.token(code, **sent).status == 200


@pytest.mark.parametrize("more", ["foo=%FF", "&".join(f"x{number}=1" for number in range(65))])
def test_a_query_that_is_no_form_gets_a_page_and_no_redirect(browser: Browser, more: str) -> None:
    query = urlencode(REQUEST | {"client_id": browser.site.client_id})

    response = browser.get(f"/oauth2/authorize?{query}&{more}")

    assert (response.status, response.headers["Location"]) == (400, None)


def test_a_repeated_parameter_of_a_token_request_is_refused(browser: Browser) -> None:
    client = HttpClient(f"http://{browser.host}")
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    body = (
        f"grant_type=authorization_code&code=x&code=y&client_id={browser.site.client_id}".encode()
    )

    response = client.request("POST", "/oauth2/token", raw=body, headers=headers)

    assert (response.status, response.json["error"]) == (400, "invalid_request")


@pytest.mark.parametrize("token", ["", "mra_x", "mrt_x"])
def test_userinfo_refuses_a_wrong_token(browser: Browser, token: str) -> None:
    headers = {"Authorization": f"Bearer {token}"} if token else {}

    response = browser.request("GET", "/oauth2/userinfo", headers=headers)

    assert response.status == 401
    assert response.headers["WWW-Authenticate"].startswith("Bearer")


def test_userinfo_takes_the_token_of_a_form_and_ignores_the_session(browser: Browser) -> None:
    access = browser.token(browser.code()).json["access_token"]

    assert browser.request("POST", "/oauth2/userinfo", form={"access_token": access}).status == 200
    assert browser.request("POST", "/oauth2/userinfo", form={}).status == 401
    assert browser.get("/oauth2/userinfo").status == 401


def test_userinfo_refuses_a_token_in_the_header_and_in_the_form(browser: Browser) -> None:
    access = browser.token(browser.code()).json["access_token"]
    headers = {"Authorization": f"Bearer {access}"}

    response = browser.request(
        "POST", "/oauth2/userinfo", form={"access_token": access}, headers=headers
    )

    assert response.status == 400
    assert response.headers["WWW-Authenticate"] == 'Bearer error="invalid_request"'


@pytest.mark.parametrize("path", ["/oauth2/token", "/oauth2/revoke"])
def test_a_request_that_is_too_large_is_refused_in_the_format_of_the_endpoint(
    browser: Browser, path: str
) -> None:
    response = browser.request("POST", path, form={"code": "x" * 20_000})

    assert response.status == 413
    assert response.json == {
        "error": "invalid_request",
        "error_description": "Content Too Large",
    }


def test_without_a_key_the_token_endpoint_refuses_in_its_format(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise NotFound("this server is not an OpenID provider: no signing key works")

    monkeypatch.setattr(browser.site.provider.keys, "current", refuse)

    response = browser.token("x")

    assert (response.status, response.json["error"]) == (404, "invalid_request")
    assert "no signing key" in response.json["error_description"]


def test_head_creates_no_code_and_ends_no_session(browser: Browser) -> None:
    hint = browser.token(browser.code()).json["id_token"]
    query = urlencode(REQUEST | {"client_id": browser.site.client_id})

    for path in (f"/oauth2/authorize?{query}", f"/oauth2/logout?id_token_hint={hint}"):
        response = browser.request("HEAD", path, headers=PAGE)
        assert response.status == 405
        assert "HEAD" not in response.headers["Allow"]
        assert "Location" not in response.headers
    assert browser.get("/").status == 200


def test_only_the_pages_of_public_applications_may_read_responses(browser: Browser) -> None:
    allowed = "Access-Control-Allow-Origin"
    paths = ("/.well-known/openid-configuration", "/oauth2/jwks")
    for path in paths:
        headers = browser.request("GET", path, headers=CROSS_SITE).headers
        assert allowed not in headers
        assert "origin" in headers.get_all("Vary", [])
    browser.site.create_application(
        name="SPA", redirect_uris=[f"{APPLICATION}/spa"], is_public=True
    )

    foreign = CROSS_SITE | {"Origin": "https://evil.example.com"}
    for path in paths:
        headers = browser.request("GET", path, headers=CROSS_SITE).headers
        assert headers[allowed] == APPLICATION
        assert "origin" in headers.get_all("Vary", [])
        assert "Access-Control-Allow-Credentials" not in headers
        assert allowed not in browser.request("GET", path, headers=foreign).headers
    preflight = browser.request("OPTIONS", "/oauth2/token", headers=CROSS_SITE)
    assert preflight.headers["Access-Control-Allow-Methods"] == "GET, POST"
    refused = browser.request("OPTIONS", "/oauth2/token", headers=foreign)
    assert "Access-Control-Allow-Methods" not in refused.headers
    assert allowed not in browser.request("GET", "/v1/me", headers=CROSS_SITE).headers
    assert allowed not in browser.request("GET", "/oauth2/authorize", headers=CROSS_SITE).headers


def test_a_public_application_may_read_responses_on_any_port_of_loopback(
    browser: Browser,
) -> None:
    browser.site.create_application(
        name="SPA", redirect_uris=["http://127.0.0.1/cb", "http://[::1]:8000/cb"], is_public=True
    )
    browser.site.create_application(name="Desktop", redirect_uris=["http://localhost:1234/cb"])

    def is_allowed(origin: str) -> bool:
        headers = {"Sec-Fetch-Site": "cross-site", "Origin": origin}
        response = browser.request("GET", "/oauth2/jwks", headers=headers)
        return response.headers.get("Access-Control-Allow-Origin") == origin

    assert is_allowed("http://127.0.0.1:5173")
    assert is_allowed("http://[::1]:5173")
    for other in (
        "http://localhost:1234",
        "https://127.0.0.1:5173",
        "http://127.0.0.1.evil.example:5173",
        "http://127.0.0.2:5173",
        "null",
    ):
        assert not is_allowed(other)


def test_a_shared_cache_keeps_the_responses_to_each_origin_apart(browser: Browser) -> None:
    for path in ("/.well-known/openid-configuration", "/oauth2/jwks"):
        assert browser.get(path).headers["Vary"].lower() == "origin"
    assert browser.request("POST", "/oauth2/token", form={}).headers["Vary"].lower() == "origin"


def test_a_popup_of_an_application_keeps_the_page_that_opened_it(browser: Browser) -> None:
    def policy(path: str, visitor: Browser = browser) -> str:
        return visitor.get(path).headers["Cross-Origin-Opener-Policy"]

    for path in ("/sign-in", "/set-password", "/"):
        assert policy(path) == "same-origin"
    started = browser.authorize()
    assert started.headers["Cross-Origin-Opener-Policy"] == "unsafe-none"
    for path in (started.headers["Location"], "/set-password", "/sso/start", "/oauth2/logout"):
        assert policy(path) == "unsafe-none"
    submitted = browser.sign_in_at(started.headers["Location"])
    assert submitted.headers["Cross-Origin-Opener-Policy"] == "unsafe-none"
    assert policy(submitted.headers["Location"]) == "unsafe-none"
    assert policy("/") == policy("/console") == "same-origin"
    assert policy("/sign-in", browser.another()) == "same-origin"


def test_a_logout_without_a_token_of_the_session_asks_first(browser: Browser) -> None:
    browser.code()
    query = f"client_id={browser.site.client_id}&post_logout_redirect_uri={CALLBACK}&state=bye"

    page = browser.get(f"/oauth2/logout?{query}")
    assert "Sign out?" in page.text
    assert browser.get("/").status == 200
    forged = browser.request("POST", "/oauth2/logout/confirm", form={}, headers=CROSS_SITE)
    assert forged.status == 403
    assert browser.get("/").status == 200
    confirmed = browser.request("POST", "/oauth2/logout/confirm", form={}, headers=PAGE)
    assert confirmed.headers["Location"] == "/sign-in?note=signed_out"
    assert_session_deleted(confirmed)
    assert browser.get("/").status == 303


def assert_session_deleted(response: HttpResponse) -> None:
    (cookie,) = response.headers.get_all("Set-Cookie", [])
    assert cookie.startswith('__Host-session="";')
    assert "Max-Age=0;" in cookie


def test_a_logout_returns_to_the_application_with_its_state(browser: Browser) -> None:
    site = browser.site
    site.client_id, site.secret = site.create_application(
        name="Wiki", post_logout_redirect_uris=[CALLBACK]
    )
    hint = browser.token(browser.code()).json["id_token"]
    query = urlencode({"id_token_hint": hint, "post_logout_redirect_uri": CALLBACK, "state": "a b"})

    done = browser.get(f"/oauth2/logout?{query}")

    assert (done.status, done.headers["Location"]) == (303, f"{CALLBACK}?state=a+b")
    assert_session_deleted(done)
    assert browser.get("/").status == 303
    without_session = browser.get(f"/oauth2/logout?{query}")
    assert without_session.headers["Location"] == f"{CALLBACK}?state=a+b"


def test_the_page_of_a_logout_shows_parameters_as_text(browser: Browser) -> None:
    browser.code()
    attack = '"><a href="https://evil.example.com">Sign in</a>'

    page = browser.get(f"/oauth2/logout?{urlencode({'state': attack, attack: 'x'})}").text

    assert "Sign out?" in page
    assert attack not in page
    assert unescape(page).count(attack) == 2


OTHER_ADDRESSES = [
    "https://evil.example.com",
    f"{CALLBACK}/",
    f"{CALLBACK}?x=1",
    "//evil.example.com",
    "javascript:alert(1)",
]


@pytest.mark.parametrize("uri", OTHER_ADDRESSES)
def test_a_logout_returns_to_registered_addresses_alone(browser: Browser, uri: str) -> None:
    site = browser.site
    site.client_id, site.secret = site.create_application(
        name="Wiki", post_logout_redirect_uris=[CALLBACK]
    )
    hint = browser.token(browser.code()).json["id_token"]

    response = browser.get(f"/oauth2/logout?id_token_hint={hint}&post_logout_redirect_uri={uri}")

    assert response.headers["Location"] == "/sign-in?note=signed_out"


def test_the_token_of_another_session_does_not_sign_out(browser: Browser) -> None:
    hint = browser.token(browser.code()).json["id_token"]
    other = Browser(f"http://{browser.host}")
    other.site = browser.site
    other.code()

    assert "Sign out?" in other.get(f"/oauth2/logout?id_token_hint={hint}").text
    assert other.get("/").status == 200


def test_a_token_from_before_the_address_of_the_server_changed_proves_nothing(
    browser: Browser,
) -> None:
    keys = browser.site.provider.keys
    claims = keys.verify(browser.token(browser.code()).json["id_token"]) or {}
    hint = keys.sign(claims | {"iss": "https://old.example.com"})

    assert "Sign out?" in browser.get(f"/oauth2/logout?id_token_hint={hint}").text


def test_a_token_for_several_applications_proves_nothing(browser: Browser) -> None:
    keys = browser.site.provider.keys
    claims = keys.verify(browser.token(browser.code()).json["id_token"]) or {}
    hint = keys.sign(claims | {"aud": [claims["aud"]]})

    assert "Sign out?" in browser.get(f"/oauth2/logout?id_token_hint={hint}").text


def test_the_token_of_another_application_than_the_named_one_proves_nothing(
    browser: Browser,
) -> None:
    site = browser.site
    hint = browser.token(browser.code()).json["id_token"]
    other, _ = site.create_application(name="Wiki", post_logout_redirect_uris=[CALLBACK])
    query = urlencode(
        {"id_token_hint": hint, "client_id": other, "post_logout_redirect_uri": CALLBACK}
    )

    page = browser.get(f"/oauth2/logout?{query}")

    assert "Sign out?" in page.text
    assert "Wiki" not in page.text
    assert browser.get("/").status == 200


@pytest.mark.parametrize("hint", ["x", "a.b.c", ""])
def test_a_forged_hint_proves_nothing(browser: Browser, hint: str) -> None:
    browser.code()

    assert "Sign out?" in browser.get(f"/oauth2/logout?id_token_hint={hint}").text


def test_a_page_of_another_site_cannot_frame_or_submit_the_sign_in(browser: Browser) -> None:
    page = browser.get(browser.authorize().headers["Location"])

    assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]
    forged = browser.request("POST", "/sign-in", form={"email": "x"}, headers=CROSS_SITE)
    assert forged.status == 403


def test_an_unknown_application_gets_a_page_and_no_redirect(browser: Browser) -> None:
    response = browser.authorize(client_id="app_none")

    assert response.status == 400
    assert "Location" not in response.headers


def test_a_user_outside_of_the_audience_sees_a_page(browser: Browser) -> None:
    site = browser.site
    site.client_id, site.secret = site.create_application(name="Wiki", audience=["owners"])
    started = browser.authorize()
    signed_in = browser.sign_in_at(started.headers["Location"])

    page = browser.go_on(signed_in)

    assert page.status == 403
    assert "You have no access to Wiki" in page.text
    assert "error=access_denied" in page.text


def test_requests_of_applications_are_counted(browser: Browser) -> None:
    before = counters(browser)

    code = browser.code()
    browser.authorize(scope="profile")
    browser.token(code)
    browser.token(code)
    browser.token(code, client_secret="x")
    browser.token(code, grant_type="password")

    after = counters(browser)
    risen = {name: after[name] - before[name] for name in after if after[name] != before[name]}
    authorizations, requests = "anyscale_authorizations_total", "anyscale_token_requests_total"
    by_code = f'{requests}{{grant_type="authorization_code",result='
    assert risen == {
        f'{authorizations}{{result="sign_in"}}': 1,
        f'{authorizations}{{result="code"}}': 1,
        f'{authorizations}{{result="invalid_scope"}}': 1,
        f'{by_code}"issued"}}': 1,
        f'{by_code}"invalid_grant"}}': 1,
        f'{by_code}"invalid_client"}}': 1,
        f'{requests}{{grant_type="other",result="unsupported_grant_type"}}': 1,
    }


def counters(browser: Browser) -> dict[str, float]:
    """Give the counters of applications by name and labels."""
    text = browser.get("/metrics").text
    names = "anyscale_(?:authorizations|token_requests)_total"
    samples = re.findall(rf"^({names}\S*) (\S+)$", text, re.MULTILINE)
    return {name: float(value) for name, value in samples}
