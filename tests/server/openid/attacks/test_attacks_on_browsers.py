"""Attacks on the redirects of a browser: each is refused (RFC 9700)."""

import json
import re
from collections.abc import Callable
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from tests.server.openid.attacks.conftest import EVIL, OTHER_CALLBACK
from tests.support.servers.http_client import HttpClient, HttpResponse
from tests.support.sign_in.application_browser import PAGE, Browser, link_of, parameters_of
from tests.support.sign_in.openid_provider import CALLBACK, ISSUER, REQUEST
from tests.support.users import NEW_PASSWORD

Send = Callable[[], HttpResponse]

CROSS_SITE = {"Sec-Fetch-Site": "cross-site", "Origin": EVIL}
AUTHORIZATION = "__Host-authorization"


def is_signed_in(browser: Browser) -> bool:
    return browser.get("/").status == 200


def assert_no_redirect(response: HttpResponse) -> None:
    assert response.status in (400, 404), response.status
    assert "Location" not in response.headers


# Redirect URIs (RFC 9700, 4.1)

GOOD = REQUEST | {"client_id": "@"}
POLLUTED: dict[str, str] = {
    "evil first": urlencode({"redirect_uri": EVIL}) + "&" + urlencode(GOOD),
    "evil last": urlencode(GOOD) + "&" + urlencode({"redirect_uri": EVIL}),
    "empty first": "redirect_uri=&" + urlencode(GOOD),
    "array": urlencode(GOOD | {"redirect_uri": EVIL}).replace("redirect_uri=", "redirect_uri[]="),
    "escaped name": urlencode(GOOD).replace("redirect_uri", "redirect%255furi"),
    "capitals": urlencode(GOOD).replace("redirect_uri", "Redirect_Uri"),
    "two applications": urlencode(GOOD) + "&client_id=app_x",
    "of another application": urlencode(GOOD | {"redirect_uri": OTHER_CALLBACK}),
    "of an error": urlencode(GOOD | {"redirect_uri": EVIL, "response_type": "x"}),
    "silent": urlencode(GOOD | {"redirect_uri": EVIL, "prompt": "none"}),
    "appended": urlencode(GOOD | {"redirect_uri": f"{CALLBACK}.evil.example"}),
    "path parameter": urlencode(GOOD | {"redirect_uri": f"{CALLBACK};@evil.example"}),
    "backslash": urlencode(GOOD | {"redirect_uri": f"{EVIL}\\@hub.example.com/callback"}),
    "line": urlencode(GOOD | {"redirect_uri": f"{CALLBACK}\r\nX: y"}),
    "tab": urlencode(GOOD | {"redirect_uri": f"\t{CALLBACK}"}),
    "full stop": urlencode(GOOD | {"redirect_uri": CALLBACK.replace(".com", ".com.")}),
    "wide letters": urlencode(GOOD | {"redirect_uri": CALLBACK.replace("hub", "\uff48ub")}),
    "nothing": "",
    "no form": "%ff%fe=%80",
}


@pytest.mark.parametrize("query", POLLUTED)
def test_a_redirect_uri_that_is_not_registered_is_never_redirected_to(
    signed_in: Browser, query: str
) -> None:
    assert_no_redirect(signed_in.get(f"/oauth2/authorize?{_of_hub(signed_in, POLLUTED[query])}"))
    control = signed_in.get(f"/oauth2/authorize?{_of_hub(signed_in, urlencode(GOOD))}")
    assert "code" in parameters_of(control)


def _of_hub(browser: Browser, query: str) -> str:
    """Put the id of the application into a query."""
    return re.sub(r"client_id=%40(?=&|$)", f"client_id={browser.site.client_id}", query)


# Responses to the application (RFC 9207; RFC 9700, 4.2 to 4.4)


@pytest.mark.parametrize(
    "changes",
    [{}, {"scope": "x"}, {"prompt": "none", "max_age": "0"}, {"request": "x"}, {"iss": EVIL}],
    ids=str,
)
def test_each_response_names_the_issuer_once(signed_in: Browser, changes: dict[str, str]) -> None:
    response = signed_in.authorize(**changes)

    pairs = parse_qsl(urlsplit(response.headers["Location"]).query)
    assert [text for name, text in pairs if name == "iss"] == [ISSUER]


@pytest.mark.parametrize(
    "state",
    ["a&code=stolen", "a\r\nSet-Cookie: x=y", "a#code=stolen", "<script>", "%26code=x", "\u00fc"],
)
def test_a_state_adds_nothing_to_the_response(signed_in: Browser, state: str) -> None:
    response = signed_in.authorize(state=state)

    found = parameters_of(response)
    assert set(found) == {"code", "state", "iss"}
    assert (found["state"], len(found["code"])) == (state, 43)
    assert "Set-Cookie" not in response.headers


def test_no_referrer_cache_or_307_passes_the_code_on(browser: Browser) -> None:
    started = browser.authorize()
    signed_in = browser.sign_in_at(started.headers["Location"])
    between = browser.get(signed_in.headers["Location"])
    response = browser.get(link_of(between))

    assert (started.status, signed_in.status, response.status) == (303, 303, 303)
    assert between.headers["Cache-Control"] == "no-store"
    assert parameters_of(response)["code"] not in between.text + str(between.headers)
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["Referrer-Policy"] in ("same-origin", "no-referrer")
    assert response.body == b""


def test_names_of_hosts_in_headers_change_no_address(signed_in: Browser) -> None:
    headers = {"X-Forwarded-Host": "evil.example.com", "X-Forwarded-Proto": "http"}
    metadata = signed_in.get("/.well-known/openid-configuration", **headers).json
    assert metadata["issuer"] == ISSUER
    assert "evil" not in json.dumps(metadata)

    assert signed_in.get("/oauth2/jwks", Host="evil.example.com").status in (400, 421)


# Logout (RP-Initiated Logout 1.0, 6)

AFTER_LOGOUT = [
    EVIL,
    f"{OTHER_CALLBACK}/",
    f"{OTHER_CALLBACK}?next={EVIL}",
    f"{OTHER_CALLBACK}#x",
    f"{OTHER_CALLBACK}@evil.example.com",
    "https://wiki.example.com.evil.example/callback",
    "https://user@wiki.example.com/callback",
    "http://wiki.example.com/callback",
    "https://WIKI.example.com/callback",
    "https:wiki.example.com/callback",
    "//evil.example.com",
    "/\\evil.example.com",
    "javascript:alert(1)",
    "data:text/html,x",
    CALLBACK,
]


@pytest.mark.parametrize("uri", AFTER_LOGOUT)
def test_no_logout_redirects_to_an_address_that_is_not_registered(
    shared: Browser, uri: str
) -> None:
    applications = shared.site.control_plane.applications.list()
    wiki = next(one.client_id for one in applications if one.name == "Wiki")
    query = urlencode({"client_id": wiki, "post_logout_redirect_uri": uri})

    response = shared.another().get(f"/oauth2/logout?{query}")

    assert response.headers["Location"] == "/sign-in?note=signed_out"


@pytest.mark.parametrize("client_id", ["own", "none", "twice", "absent"])
def test_no_logout_uses_the_address_of_another_application(
    signed_in: Browser, client_id: str
) -> None:
    hint = signed_in.token(signed_in.code()).json["id_token"]
    address = urlencode({"post_logout_redirect_uri": OTHER_CALLBACK})
    own = f"client_id={signed_in.site.client_id}"
    query = {
        "own": f"{own}&{address}",
        "none": f"client_id=app_none&{address}&id_token_hint={hint}",
        "twice": f"{address}&{address}&id_token_hint={hint}",
        "absent": f"{address}&id_token_hint={hint}",
    }[client_id]

    page = signed_in.get(f"/oauth2/logout?{query}")

    assert OTHER_CALLBACK not in page.headers.get("Location", "")
    assert "wiki.example.com" not in page.headers.get("Content-Security-Policy", "")


# Requests of other sites and frames (RFC 9700, 4.7 and 4.16)

FORMS = [
    "/sign-in",
    "/password",
    "/set-password",
    "/oauth2/logout/confirm",
    "/applications/revoke",
    "/sessions/revoke-others",
]


@pytest.mark.parametrize("path", FORMS)
@pytest.mark.parametrize("headers", [CROSS_SITE, {"Origin": EVIL}, {"Origin": "null"}], ids=str)
def test_no_form_of_another_site_is_accepted(
    signed_in: Browser, path: str, headers: dict[str, str]
) -> None:
    response = signed_in.request("POST", path, form={"email": "x"}, headers=PAGE | headers)

    assert response.status == 403
    assert is_signed_in(signed_in)


@pytest.mark.parametrize("page", ["sign in", "logout", "unknown", "expired", "code"])
def test_no_page_is_shown_in_a_frame_or_runs_a_script(signed_in: Browser, page: str) -> None:
    stranger = signed_in.another()
    responses: dict[str, Send] = {
        "sign in": lambda: stranger.get(stranger.authorize().headers["Location"]),
        "logout": lambda: signed_in.get("/oauth2/logout"),
        "unknown": lambda: signed_in.authorize(client_id="app_none"),
        "expired": lambda: signed_in.get("/oauth2/authorize?authorization=x"),
        "code": signed_in.authorize,
    }

    policy = responses[page]().headers["Content-Security-Policy"]

    assert "frame-ancestors 'none'" in policy
    assert "unsafe-inline" not in policy


# Stored requests (cookie tossing, session fixation, open redirects)


@pytest.mark.parametrize("cookie", ["none", "other", "twice", "twice, own first", "other name"])
def test_a_stored_request_belongs_to_the_browser_that_made_it(shared: Browser, cookie: str) -> None:
    attacker, victim = shared.another(), shared.another()
    location = attacker.authorize().headers["Location"]
    request_id, secret = location.partition("=")[2], attacker.cookies[AUTHORIZATION]
    victim.authorize()
    victim.cookies["__Host-session"] = victim.site.sign_in()
    session = f"__Host-session={victim.cookies['__Host-session']}"
    own = f"{AUTHORIZATION}={victim.cookies[AUTHORIZATION]}"
    theirs = f"{AUTHORIZATION}={secret}"
    sent = {
        "none": session,
        "other": f"{session}; {own}",
        "twice": f"{session}; {theirs}; {own}",
        "twice, own first": f"{session}; {own}; {theirs}",
        "other name": f"{session}; __host-authorization={secret}; authorization={secret}",
    }[cookie]

    client = HttpClient(f"http://{shared.host}")
    for path in ("/oauth2/authorize", "/oauth2/continue"):
        response = client.request(
            "GET", f"{path}?authorization={request_id}", headers=PAGE | {"Cookie": sent}
        )
        assert response.headers["Location"] == "/sign-in?note=request_expired"


def test_the_sign_in_page_of_another_browser_names_no_application(shared: Browser) -> None:
    location = shared.another().authorize().headers["Location"]
    victim = shared.another()

    page = victim.get(location)
    assert "Hub" not in page.text
    assert victim.sign_in_at(location).headers["Location"] == "/"


@pytest.mark.parametrize("name", ["next", "return_to", "redirect_uri", "continue", "authorization"])
@pytest.mark.parametrize("address", [EVIL, "//evil.example.com", "/\\evil.example.com"])
def test_the_sign_in_page_goes_to_no_address_of_a_query(
    browser: Browser, name: str, address: str
) -> None:
    form = {"email": "jane@example.com", "password": NEW_PASSWORD, name: address}
    query = urlencode({name: address})
    page = browser.get(f"/sign-in?{query}")
    assert "evil.example.com" not in page.text

    response = browser.request("POST", f"/sign-in?{query}", form=form, headers=PAGE)

    assert response.headers["Location"] in ("/", "/?note=request_expired")


@pytest.mark.parametrize("extra", ["redirect_uri", "client_id", "authorization", "state"])
def test_nothing_is_added_to_a_stored_request(browser: Browser, extra: str) -> None:
    path = browser.authorize().headers["Location"]
    request_id = path.partition("=")[2]
    query = urlencode({"authorization": request_id}) + "&" + urlencode({extra: EVIL})

    assert_no_redirect(browser.get(f"/oauth2/authorize?{query}"))
