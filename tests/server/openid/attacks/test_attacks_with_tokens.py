"""Codes and tokens in the wrong place, and forged ID tokens: each is refused (RFC 8725)."""

import base64
import hmac
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey
from tests.server.openid.attacks.conftest import EVIL
from tests.support.servers.http_client import HttpClient, HttpResponse
from tests.support.sign_in.application_browser import Browser, parameters_of
from tests.support.sign_in.openid_provider import CALLBACK

# Codes and tokens in the wrong place

SWAPPED = ["id_token", "refresh_token", "code", "session", "client_secret"]


@pytest.fixture(scope="module")
def secrets(shared: Browser) -> dict[str, str]:
    """All secrets of one sign-in."""
    browser = shared.another()
    site = browser.site
    own = site.client_id, site.secret
    site.client_id, site.secret = site.create_application(name="Grafana", refresh_tokens=True)
    browser.cookies["__Host-session"] = site.sign_in()
    tokens = browser.token(browser.code()).json
    found = {
        **tokens,
        "code": browser.code(),
        "session": browser.cookies["__Host-session"],
        "client_secret": site.secret,
    }
    site.client_id, site.secret = own
    return found


@pytest.mark.parametrize("name", SWAPPED)
def test_nothing_but_an_access_token_reads_claims(
    browser: Browser, secrets: dict[str, str], name: str
) -> None:
    headers = {"Authorization": f"Bearer {secrets[name]}"}

    assert browser.request("GET", "/oauth2/userinfo", headers=headers).status == 401


@pytest.mark.parametrize("sent", ["query", "basic", "cookie", "json", "twice"])
def test_an_access_token_is_read_from_the_header_or_a_form_alone(
    browser: Browser, secrets: dict[str, str], sent: str
) -> None:
    token = secrets["access_token"]
    path = "/oauth2/userinfo"
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    twice = f"access_token={token}&access_token={token}".encode()
    responses: dict[str, Callable[[], HttpResponse]] = {
        "query": lambda: browser.get(f"{path}?access_token={token}"),
        "basic": lambda: browser.get(path, Authorization=f"Basic {token}"),
        "cookie": lambda: browser.get(path, Cookie=f"access_token={token}"),
        "json": lambda: browser.request("POST", path, {"access_token": token}),
        "twice": lambda: browser.request("POST", path, raw=twice, headers=form),
    }

    response = responses[sent]()
    assert response.status == (400 if sent == "twice" else 401)
    assert "sub" not in response.text


def test_a_stolen_token_reads_nothing_after_its_application_has_revoked_it(
    signed_in: Browser,
) -> None:
    site = signed_in.site
    token = signed_in.token(signed_in.code()).json["access_token"]
    thief, stolen = signed_in.another(), {"Authorization": f"Bearer {token}"}
    assert thief.request("GET", "/oauth2/userinfo", headers=stolen).status == 200

    form = {"token": token, "client_id": site.client_id, "client_secret": site.secret or ""}
    assert (
        HttpClient(f"http://{thief.host}").request("POST", "/oauth2/revoke", form=form).status
        == 200
    )

    assert thief.request("GET", "/oauth2/userinfo", headers=stolen).status == 401


@pytest.mark.parametrize("path", ["/v1/me", "/v1/users", "/v1/applications", "/v1/audit"])
@pytest.mark.parametrize("name", ["access_token", "id_token"])
def test_a_token_of_an_application_is_no_token_of_an_administrator(
    browser: Browser, secrets: dict[str, str], name: str, path: str
) -> None:
    headers = {"Authorization": f"Bearer {secrets[name]}"}

    assert browser.request("GET", path, headers=headers).status in (401, 404)


@pytest.mark.parametrize("name", ["access_token", "id_token", "refresh_token", "session"])
def test_nothing_but_a_code_is_exchanged(
    browser: Browser, secrets: dict[str, str], name: str
) -> None:
    response = browser.token(secrets[name])

    assert (response.status, response.json["error"]) == (400, "invalid_grant")


@pytest.mark.parametrize("sent", ["query", "get", "json"])
def test_a_code_is_read_from_a_form_alone(signed_in: Browser, sent: str) -> None:
    site = signed_in.site
    values = {
        "grant_type": "authorization_code",
        "code": signed_in.code(),
        "redirect_uri": CALLBACK,
        "code_verifier": "v" * 43,
        "client_id": site.client_id,
        "client_secret": site.secret or "",
    }
    path = f"/oauth2/token?{urlencode(values)}"
    client = HttpClient(f"http://{signed_in.host}")
    responses: dict[str, Callable[[], HttpResponse]] = {
        "query": lambda: client.request("POST", path, form={}),
        "get": lambda: client.request("GET", path),
        "json": lambda: client.request("POST", "/oauth2/token", values),
    }

    response = responses[sent]()

    assert response.status in (400, 401, 405)
    assert "access_token" not in response.text


# Forged ID tokens (RFC 8725)


def _encoded(part: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


def _claims(token: str) -> dict[str, Any]:
    part = token.split(".")[1]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return found


def _unsigned(alg: str) -> Callable[[str, RSAKey], str]:
    return lambda token, _: f"{_encoded({'alg': alg})}.{token.split('.')[1]}."


def _by_public_key(token: str, key: RSAKey) -> str:
    # By hand, since joserfc refuses to sign so.
    signed = f"{_encoded({'alg': 'HS256'})}.{token.split('.')[1]}"
    mac = hmac.digest(key.as_pem(private=False), signed.encode(), "sha256")
    return f"{signed}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


def _by_own_key(**header: Any) -> Callable[[str, RSAKey], str]:
    def forge(token: str, key: RSAKey) -> str:
        own = RSAKey.generate_key(2048)
        names = {"jwk": own.as_dict(private=False)} if "jwk" in header else header
        fields = {"alg": "RS256", "kid": key.thumbprint()} | names
        return jwt.encode(fields, _claims(token), own)

    return forge


def _other_claims(token: str, _key: RSAKey) -> str:
    header, _, signature = token.split(".")
    return f"{header}.{_encoded(_claims(token) | {'sub': 'usr_x'})}.{signature}"


FORGED: dict[str, Callable[[str, RSAKey], str]] = {
    "none": _unsigned("none"),
    "None": _unsigned("None"),
    "no algorithm": _unsigned(""),
    "HMAC with the public key": _by_public_key,
    "another key": _by_own_key(),
    "another key in the header": _by_own_key(jwk=True),
    "another key at an address": _by_own_key(jku=f"{EVIL}/jwks"),
    "unknown key": _by_own_key(kid="x"),
    "RS512 of the key": lambda token, key: jwt.encode(
        {"alg": "RS512", "kid": key.thumbprint()}, _claims(token), key, algorithms=["RS512"]
    ),
    "other claims": _other_claims,
    "no signature": lambda token, _: token.rpartition(".")[0] + ".",
    "garbage": lambda _token, _key: "a.b.c",
}


@pytest.mark.parametrize("forge", FORGED)
def test_a_forged_id_token_is_no_hint(
    signed_in: Browser, secrets: dict[str, str], forge: str
) -> None:
    token = signed_in.token(signed_in.code()).json["id_token"]
    forged = FORGED[forge](token, signed_in.site.provider.keys.current().pair)

    silent = signed_in.authorize(prompt="none", id_token_hint=forged)
    assert parameters_of(silent)["error"] == "invalid_request"
    assert "Sign out?" in signed_in.get(f"/oauth2/logout?id_token_hint={quote(forged)}").text
    assert signed_in.get("/").status == 200
