"""The whole flow over HTTP: authorize, sign in, come back, exchange the code, read the claims."""

import base64
import re

import pytest
from tests.support.second_factor.passkeys import add_passkey, options_in
from tests.support.servers.http_client import HttpClient
from tests.support.sign_in.application_browser import PAGE, Browser, parameters_of
from tests.support.sign_in.openid_provider import ISSUER, REQUEST
from tests.support.sign_in.sign_ins import events_of
from tests.support.users import NEW_PASSWORD, PASSWORD


def test_a_user_signs_in_to_an_application(browser: Browser) -> None:
    started = browser.authorize()
    assert started.status == 303
    assert started.headers["Location"].startswith("/sign-in?authorization=")
    assert "Max-Age=600;" in started.headers["Set-Cookie"]
    page = browser.get(started.headers["Location"])
    assert "Sign in to Hub" in page.text

    signed_in = browser.sign_in_at(started.headers["Location"])
    found = parameters_of(browser.go_on(signed_in))
    assert (found["state"], found["iss"]) == ("the state", ISSUER)

    tokens = browser.token(found["code"])
    assert tokens.status == 200, tokens.text
    assert (tokens.headers["Cache-Control"], tokens.headers["Pragma"]) == ("no-store", "no-cache")
    claims = browser.site.provider.keys.verify(tokens.json["id_token"])
    assert claims
    assert claims["iss"] == ISSUER
    assert claims["aud"] == browser.site.client_id
    assert claims["nonce"] == "the nonce"
    assert claims["sub"] == browser.site.ids["jane"]
    assert claims["preferred_username"] == claims["email"] == "jane@example.com"
    assert claims["email_verified"] is True
    bearer = {"Authorization": f"Bearer {tokens.json['access_token']}"}
    info = HttpClient(f"http://{browser.host}").request("GET", "/oauth2/userinfo", headers=bearer)
    assert info.status == 200
    assert info.json["sub"] == claims["sub"]
    assert "groups" not in info.json


def test_a_second_application_needs_no_second_sign_in(browser: Browser) -> None:
    browser.code()
    browser.site.client_id, browser.site.secret = browser.site.create_application(name="Wiki")

    assert "code" in parameters_of(browser.authorize())


def test_a_first_sign_in_changes_the_initial_password_and_comes_back(browser: Browser) -> None:
    started = browser.authorize()
    page = browser.get(started.headers["Location"])
    hidden = re.search(r'name="authorization" value="([^"]+)"', page.text)
    assert hidden
    form = {"email": "kim@example.com", "password": PASSWORD, "authorization": hidden[1]}
    signed_in = browser.request("POST", "/sign-in", form=form, headers=PAGE)
    again = browser.go_on(signed_in)
    assert again.headers["Location"] == f"/password?authorization={hidden[1]}"
    page = browser.get(again.headers["Location"])
    assert hidden[1] in page.text
    form = {"new": NEW_PASSWORD, "again": NEW_PASSWORD, "authorization": hidden[1]}
    changed = browser.request("POST", "/password", form=form, headers=PAGE)

    assert "code" in parameters_of(browser.go_on(changed))


def test_a_passkey_comes_back_to_the_application_with_what_it_shows(browser: Browser) -> None:
    device = add_passkey(browser.site.control_plane)
    page = browser.get(browser.authorize().headers["Location"])
    hidden = re.findall(r'name="authorization" value="([^"]+)"', page.text)
    assert len(set(hidden)) == 1
    forged = {"passkey": device.get(options_in(page), flags=1), "authorization": hidden[0]}
    page = browser.request("POST", "/sign-in/passkey", form=forged, headers=PAGE)
    assert "Sign in to Hub" in page.text
    form = {"passkey": device.get(options_in(page)), "authorization": hidden[0]}
    signed_in = browser.request("POST", "/sign-in/passkey", form=form, headers=PAGE)

    tokens = browser.token(parameters_of(browser.go_on(signed_in))["code"])
    claims = browser.site.provider.keys.verify(tokens.json["id_token"])
    assert claims
    assert (claims["acr"], claims["amr"]) == ("2", ["hwk", "mfa"])


def test_a_one_time_link_comes_back_to_the_application(browser: Browser) -> None:
    started = browser.authorize()
    page = browser.get("/set-password")
    assert started.headers["Location"].partition("=")[2] in page.text


@pytest.mark.parametrize("method", ["basic", "post"])
def test_both_ways_to_send_a_secret_work(browser: Browser, method: str) -> None:
    site = browser.site
    basic = base64.b64encode(f"{site.client_id}:{site.secret}".encode()).decode()
    changes = {"client_id": None, "client_secret": None, "basic": f"Basic {basic}"}

    response = browser.token(browser.code(), **(changes if method == "basic" else {}))

    assert response.status == 200, response.text


def test_an_application_renews_its_tokens_for_less(browser: Browser) -> None:
    site = browser.site
    site.client_id, site.secret = site.create_application(name="Wiki", refresh_tokens=True)
    first = browser.token(browser.code()).json
    renewal = {"grant_type": "refresh_token", "refresh_token": first["refresh_token"]}

    renewed = browser.token("", **renewal, scope="openid email")

    assert renewed.status == 200, renewed.text
    assert renewed.json["scope"] == "openid email"
    assert renewed.json["refresh_token"] == first["refresh_token"]  # it has a secret besides


def test_a_post_to_authorize_becomes_the_same_query(browser: Browser) -> None:
    browser.code()
    form = REQUEST | {"client_id": browser.site.client_id}
    stranger = Browser(f"http://{browser.host}")
    headers = PAGE | {"Sec-Fetch-Site": "cross-site", "Origin": "https://hub.example.com"}
    response = stranger.request("POST", "/oauth2/authorize", form=form, headers=headers)

    assert response.status == 303
    assert "code" in parameters_of(browser.get(response.headers["Location"]))


def test_the_metadata_name_each_endpoint(browser: Browser) -> None:
    metadata = browser.get("/.well-known/openid-configuration").json
    assert browser.get("/.well-known/oauth-authorization-server").json == metadata

    assert metadata["issuer"] == ISSUER
    for name in ("authorization", "token", "userinfo", "end_session", "revocation"):
        path = metadata[f"{name}_endpoint"].removeprefix(ISSUER)
        assert browser.get(path).status != 404
    published = browser.get(metadata["jwks_uri"].removeprefix(ISSUER))
    # A new key is published for an hour before it signs.
    assert published.headers["Cache-Control"] == "public, max-age=300"
    keys = published.json["keys"]
    assert [key["alg"] for key in keys] == ["RS256"]
    assert not {"d", "p", "q", "dp", "dq", "qi"} & set(keys[0])


def test_the_sign_in_page_suggests_the_user_of_the_application(browser: Browser) -> None:
    started = browser.authorize(login_hint="jane@example.com")

    assert 'value="jane@example.com"' in browser.get(started.headers["Location"]).text


def test_a_user_sees_the_applications_and_ends_their_sign_ins(browser: Browser) -> None:
    site = browser.site
    kims = site.exchange(site.code(site.sign_in("kim")))
    access = browser.token(browser.code()).json["access_token"]
    bearer = {"Authorization": f"Bearer {access}"}
    assert "Hub" in browser.get("/").text
    assert browser.request("GET", "/oauth2/userinfo", headers=bearer).status == 200

    form = {"client_id": browser.site.client_id}
    ended = browser.request("POST", "/applications/revoke", form=form, headers=PAGE)

    assert ended.status == 303
    assert ("authorization.revoked", f"user:{site.ids['jane']}") in events_of(site.control_plane)
    assert "Hub" not in browser.get(ended.headers["Location"]).text
    assert browser.request("GET", "/oauth2/userinfo", headers=bearer).status == 401
    assert site.provider.tokens.user_claims(kims.access_token)
