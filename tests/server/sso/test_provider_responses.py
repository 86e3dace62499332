"""Wrong, late and missing responses of a provider: no session is created, nothing else waits."""

import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import httpx
import pytest
from joserfc.jwk import ECKey, RSAKey
from tests.support.ports import free_port
from tests.support.programs import program
from tests.support.servers.http_client import HttpClient
from tests.support.sign_in.hostile_oidc_provider import (
    HostileProvider,
    ProviderResponse,
    encode_part,
    signing_key,
)
from tests.support.sign_in.tampered_login import (
    Tamper,
    TamperedLogin,
    new_tampered_login,
    publish_keys,
    respond_with,
)
from tests.support.waiting import wait_until

from anyscale.server.core.sso import http_client as fetching
from anyscale.server.core.sso.identity_provider import IdentityProvider
from anyscale.server.core.sso.settings import ProviderSettings
from anyscale.server.http.metrics import POOL_REQUESTS

GRANT = {"error": "invalid_grant"}
FOREIGN = signing_key("RS256", "foreign")
RIGHT_KID = "RS256 first"


def tokens(**changes: Any) -> Tamper:
    def tamper(login: TamperedLogin) -> None:
        login.provider.token_response |= changes

    return tamper


def changed_key(**changes: Any) -> Tamper:
    """Publish the right key with a wrong parameter."""
    return publish_keys(HostileProvider.public(signing_key("RS256"), **changes))


def weak(login: TamperedLogin) -> None:
    with pytest.warns(match="2048"):
        small = RSAKey.generate_key(1024, {"kid": RIGHT_KID})
    login.provider.signer = small
    login.provider.keys = [HostileProvider.public(small)]


def of_a_large_curve(login: TamperedLogin) -> None:
    large = ECKey.generate_key("P-384", {"kid": "large"})
    login.provider.keys = [HostileProvider.public(large)]
    login.provider.change_token = lambda _: (
        f"{encode_part({'alg': 'ES256', 'kid': 'large'})}.e30.AAAA"
    )


HUGE = b'{"a": "' + b"x" * 300_000 + b'"}'
ELSEWHERE = "/elsewhere"

ANSWERS: Mapping[str, tuple[Tamper, str, str]] = {
    "the code is refused": (
        respond_with("/token", {"error": "invalid_grant"}, 400),
        "refused",
        "code_refused",
    ),
    "the client is refused": (respond_with("/token", b"", 401), "refused", "code_refused"),
    "there is no ID token": (
        respond_with("/token", {"token_type": "Bearer"}),
        "unavailable",
        "JSON",
    ),
    "the ID token is not a text": (tokens(id_token=None), "unavailable", "not the JSON"),
    "the token is of another type": (tokens(token_type="mac"), "refused", "token_type"),
    "no JSON comes": (respond_with("/token", b"<html>"), "unavailable", "not the JSON"),
    "a list comes": (respond_with("/token", b"[]"), "unavailable", "not the JSON"),
    "nothing comes": (respond_with("/token", b""), "unavailable", "not the JSON"),
    "too much comes": (respond_with("/token", HUGE), "unavailable", "too much"),
    "a redirect comes": (
        respond_with("/token", b"", 307, Location=ELSEWHERE),
        "unavailable",
        "responds with a redirect",
    ),
    "a fault comes": (respond_with("/token", b"", 500), "unavailable", "HTTP 500"),
    "a refusal for its load comes": (respond_with("/token", b"", 429), "unavailable", "HTTP 429"),
    "something compressed comes": (
        respond_with("/token", b"x", 200, Content_Encoding="gzip"),
        "unavailable",
        "compressed",
    ),
    "the keys are too many": (respond_with("/keys", HUGE), "unavailable", "too much"),
    "the keys are none": (publish_keys(), "refused", "key_unknown"),
    "the keys are not JSON": (respond_with("/keys", b"<html>"), "unavailable", "not the JSON"),
    "the keys are not a list": (respond_with("/keys", {"keys": {}}), "unavailable", "not the JSON"),
    "the keys are elsewhere": (
        respond_with("/keys", b"", 302, Location=ELSEWHERE),
        "unavailable",
        "responds with a redirect",
    ),
    "the keys are gone": (respond_with("/keys", b"", 404), "unavailable", "HTTP 404"),
    "the key is for encryption": (changed_key(use="enc"), "refused", "key_unknown"),
    "the key may only sign": (changed_key(key_ops=["sign"]), "refused", "key_unknown"),
    "the key is for another use": (changed_key(alg="RS512"), "refused", "key_unknown"),
    "the key is not a key": (changed_key(n="!"), "refused", "key_unknown"),
    "the key is of no kind": (changed_key(kty="DSA"), "refused", "key_unknown"),
    "the key is a secret": (
        publish_keys({"kty": "oct", "k": "c2VjcmV0", "kid": RIGHT_KID}),
        "refused",
        "key_unknown",
    ),
    "the key is there twice": (
        publish_keys(
            HostileProvider.public(signing_key("RS256")),
            HostileProvider.public(FOREIGN, kid=RIGHT_KID),
        ),
        "refused",
        "key_unknown",
    ),
    "the key is weak": (weak, "refused", "key_unknown"),
    "the key is of another curve": (of_a_large_curve, "refused", "key_unknown"),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_a_token_response_is_refused_if(
    login: TamperedLogin, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    tamper, code, reason = ANSWERS[name]
    login.start()
    tamper(login)
    login.assert_refused(code, reason, caplog.records)
    assert ELSEWHERE not in login.provider.requested_paths


def metadata(**changes: Any) -> Tamper:
    def tamper(login: TamperedLogin) -> None:
        login.provider.metadata |= changes

    return tamper


DISCOVERY = "/.well-known/openid-configuration"

METADATA: Mapping[str, tuple[Tamper, str]] = {
    "are another issuer's": (metadata(issuer="https://evil.example"), "metadata_issuer"),
    "have a slash more": (
        lambda login: metadata(issuer=login.provider.issuer + "/")(login),
        "metadata_issuer",
    ),
    "name no issuer": (metadata(issuer=None), "not the JSON"),
    "are elsewhere": (respond_with(DISCOVERY, b"", 302, Location=ELSEWHERE), "with a redirect"),
    "are too much": (respond_with(DISCOVERY, HUGE), "too much"),
    "are not JSON": (respond_with(DISCOVERY, b"<html>"), "not the JSON"),
    "are gone": (respond_with(DISCOVERY, b"", 404), "HTTP 404"),
    "have no keys": (metadata(jwks_uri=None), "not the JSON"),
    "have keys over plain HTTP": (
        metadata(jwks_uri="http://example.com/keys"),
        "metadata_endpoint",
    ),
    "let tokens come over plain HTTP": (
        metadata(token_endpoint="http://example.com/"),
        "metadata_endpoint",
    ),
    "send browsers to a script": (
        metadata(authorization_endpoint="javascript:x"),
        "metadata_endpoint",
    ),
    "send browsers to a fragment": (
        metadata(authorization_endpoint="https://example.com/#x"),
        "metadata_endpoint",
    ),
    "send browsers to a fragment behind a query": (
        metadata(authorization_endpoint="https://example.com/a?b#x"),
        "metadata_endpoint",
    ),
    "send browsers to a query with a line end": (
        metadata(authorization_endpoint="https://example.com/a?b\r\nSet-Cookie: c=d"),
        "metadata_endpoint",
    ),
    "send browsers to a query of other letters": (
        metadata(authorization_endpoint="https://example.com/a?\u4e2d"),
        "metadata_endpoint",
    ),
}


@pytest.mark.parametrize("name", METADATA)
def test_no_login_starts_if_the_metadata(
    login: TamperedLogin, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    tamper, reason = METADATA[name]
    tamper(login)
    # What no waiting mends is not called unavailable.
    code = "refused" if reason.startswith("metadata_") else "unavailable"
    login.assert_call_refused(login.start, code)
    assert any(reason in str(vars(record).get("reason")) for record in caplog.records)
    assert ELSEWHERE not in login.provider.requested_paths


# Changing keys, and hanging providers


def rotated(login: TamperedLogin, *published: str) -> None:
    """Publish the keys with these names, and sign with the last one."""
    login.provider.keys = [HostileProvider.public(signing_key("RS256", name)) for name in published]
    login.provider.signer = signing_key("RS256", published[-1])
    login.provider.header["kid"] = f"RS256 {published[-1]}"


def later(login: TamperedLogin, seconds: float) -> None:
    """Move the cached metadata and keys into the past, or let them stay for longer."""
    assert login.control_plane.sso_login
    provider = login.control_plane.sso_login.provider
    kept: Any
    for kept in (provider._metadata, provider._keys):
        if kept._cached:
            kept._cached = (kept._cached[0] - seconds, kept._cached[1])
        if kept._failed:
            kept._failed = (kept._failed[0] - seconds, kept._failed[1])


def test_a_new_key_is_fetched_at_its_first_token(login: TamperedLogin) -> None:
    for names in (["first"], ["first", "second"], ["second", "third"]):
        login.start()
        rotated(login, *names)
        login.assert_signed_in()
        later(login, 11)
    assert login.provider.requested_paths.count("/keys") == 3


def test_keys_are_fetched_every_ten_seconds_at_most(
    login: TamperedLogin, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(5):
        login.start()
        login.provider.header["kid"] = "unknown"
        login.assert_refused("refused", "key_unknown", caplog.records)
        later(login, -60)  # however slow the machine is
    assert login.provider.requested_paths.count("/keys") == 1
    later(login, 5 * 60 + 11)
    login.start()
    login.assert_refused("refused", "key_unknown", caplog.records)
    assert login.provider.requested_paths.count("/keys") == 2


def test_a_withdrawn_key_is_refused_after_the_next_fetch(
    login: TamperedLogin, caplog: pytest.LogCaptureFixture
) -> None:
    login.start()
    rotated(login, "first")
    login.assert_signed_in()
    rotated(login, "second")
    login.provider.signer, login.provider.header["kid"] = (
        signing_key("RS256", "first"),
        "RS256 first",
    )
    later(login, 3601)
    login.start()
    login.assert_refused("refused", "key_unknown", caplog.records)


def test_metadata_and_keys_are_fetched_once_an_hour(login: TamperedLogin) -> None:
    for _ in range(3):
        login.start()
        login.assert_signed_in()
    assert (
        login.provider.requested_paths.count(DISCOVERY),
        login.provider.requested_paths.count("/keys"),
    ) == (1, 1)
    later(login, 3601)
    login.start()
    login.assert_signed_in()
    assert (
        login.provider.requested_paths.count(DISCOVERY),
        login.provider.requested_paths.count("/keys"),
    ) == (2, 2)


#: seconds that a slow response takes, if the server does not give up
SLOW = 60


def hangs(handler: BaseHTTPRequestHandler) -> None:
    """Send nothing, until the server closes the connection."""
    handler.connection.settimeout(SLOW)
    with suppress(OSError):
        while handler.rfile.read(1):
            pass
    handler.close_connection = True


def drips(handler: BaseHTTPRequestHandler) -> None:
    """Send a little at a time, and never the whole response."""
    handler.send_response(200)
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    with suppress(OSError):
        for _ in range(SLOW * 20):
            handler.wfile.write(b" ")
            time.sleep(0.05)
    handler.close_connection = True


def drips_headers(handler: BaseHTTPRequestHandler) -> None:
    """Send one header after the other."""
    with suppress(OSError):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
        for number in range(SLOW * 20):
            handler.wfile.write(f"X-{number}: 1\r\n".encode())
            time.sleep(0.05)
    handler.close_connection = True


@pytest.mark.parametrize("path", [DISCOVERY, "/token", "/keys"])
@pytest.mark.parametrize("slow", [hangs, drips, drips_headers])
def test_requests_to_a_provider_time_out(
    login: TamperedLogin,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    slow: Callable[[BaseHTTPRequestHandler], None],
) -> None:
    call = login.start
    if path != DISCOVERY:
        login.start()
        call = login.return_to_callback
    # After the start, which has the whole time also on a loaded machine.
    monkeypatch.setattr(fetching, "_SECONDS", 0.5)
    login.provider.responses[path] = slow
    started = time.monotonic()
    login.assert_call_refused(call, "unavailable")
    assert login.provider.requested_paths[-1] == path
    assert time.monotonic() - started < SLOW / 2


def test_a_hanging_provider_blocks_nothing_else(
    login: TamperedLogin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "_SECONDS", 120)
    responds = threading.Event()

    def hangs_until_then(handler: BaseHTTPRequestHandler) -> None:
        responds.wait(90)
        handler.close_connection = True

    login.provider.responses["/token"] = hangs_until_then
    started = list[tuple[str, str]]()
    for _ in range(48):
        login.client.cookies.clear()
        login.start()
        path = f"/sso/callback?{httpx.QueryParams(login.query)}"
        started.append((path, login.client.cookies["__Host-sso"]))
    waiting = POOL_REQUESTS.labels("identity_provider")._value

    def come_back(number: int) -> str:
        client = HttpClient(login.url, timeout=120)
        path, cookie = started[number]
        headers = {"cookie": f"__Host-sso={cookie}"}
        return str(client.request("GET", path, headers=headers).headers["location"])

    with ThreadPoolExecutor(48) as threads:
        coming = [threads.submit(come_back, number) for number in range(48)]
        try:
            wait_until(lambda: sum(one.done() for one in coming) == 28)  # of 40 places
            assert waiting.get() == 20
            for other in ("/healthz", "/readyz", "/v1/users"):
                assert login.client.get(other).status_code in (200, 401)
            start = login.client.get("/sso/start").headers["location"]
            assert start.startswith(login.provider.issuer)
            assert waiting.get() == 20
        finally:
            responds.set()
        places = {one.result().partition("&number=")[0] for one in coming}
    assert places == {"/sign-in?sso=unavailable"}


def test_a_failed_provider_is_retried_after_a_pause(
    login: TamperedLogin,
) -> None:
    login.provider.responses[DISCOVERY] = ProviderResponse(b"", 503)
    for _ in range(3):
        login.assert_call_refused(login.start, "unavailable")
        later(login, -60)  # however slow the machine is
    assert login.provider.requested_paths == [DISCOVERY]
    assert login.client.get("/readyz").status_code == 200
    login.provider.responses.clear()
    later(login, 3 * 60 + 6)
    login.start()
    login.assert_signed_in()


def test_a_provider_that_does_not_listen_is_unavailable(tmp_path: Path) -> None:
    provider = ProviderSettings(issuer=f"http://127.0.0.1:{free_port()}", client_id="musterroll")
    with new_tampered_login(tmp_path, provider=provider) as login:
        login.assert_call_refused(login.start, "unavailable")
        login.assert_call_refused(lambda: login.client.get("/sso/callback?state=x"), "expired")
        assert login.client.get("/readyz").status_code == 200


def test_a_remote_provider_may_not_name_loopback_endpoints() -> None:
    provider = IdentityProvider(
        ProviderSettings(issuer="https://example.com", client_id="x"), "https://x"
    )
    assert provider._is_safe("https://login.example.com/token?tenant=1")
    for endpoint in (
        "https://127.0.0.1/token",
        "https://localhost",
        "https://0x7f.1/token",
        "https://[::ffff:127.0.0.1]/token",
        "http://[::1]:1/",
        "file:///x",
    ):
        assert not provider._is_safe(endpoint)


def test_the_query_of_the_authorization_endpoint_is_kept(login: TamperedLogin) -> None:
    login.provider.metadata["authorization_endpoint"] += "?tenant=1"
    location = login.start().headers["location"]
    assert location.startswith(f"{login.provider.issuer}/authorize?tenant=1&response_type=code&")


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate of an unknown authority, with its key."""
    command = "req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=test"
    more = "-addext subjectAltName=IP:127.0.0.1 -keyout key.pem -out certificate.pem"
    words = f"{command} {more}".split()
    subprocess.run([program("openssl"), *words], cwd=tmp_path, check=True, capture_output=True)
    both = tmp_path / "both.pem"
    both.write_text("".join(f.read_text() for f in tmp_path.glob("*.pem")), encoding="ascii")
    return both


@pytest.mark.parametrize("trusted", [False, True])
def test_the_certificate_of_a_provider_must_be_trusted(
    tmp_path: Path,
    certificate: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    trusted: bool,
) -> None:
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
    else:
        monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.setattr(fetching, "_trusted_ca", fetching._trusted_ca.__wrapped__)
    with new_tampered_login(tmp_path, certificate) as login:
        if trusted:
            login.start()
            login.assert_signed_in()
        else:
            login.assert_call_refused(login.start, "unavailable")
            logged = str([vars(one) for one in caplog.records])
            assert "its certificate is not trusted (self-signed certificate); " in logged
            assert "set SSL_CERT_FILE to the file of your certificate authority" in logged
