"""A real OpenID provider, and an HTTP client that signs in there as a browser does."""

import json
import re
import signal
import ssl
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from html import unescape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urljoin

import httpx
import pytest
from tests.support.ports import free_port, responds_at
from tests.support.programs import installed, program

FOLDER = Path(__file__).parent / "oidc_provider_server"

#: with the characters that `client_secret_basic` has to encode (RFC 6749, 2.3.1)
CLIENT_SECRET = "a secret: of 100 %+/"

#: login -> its claims
ACCOUNTS: Mapping[str, Mapping[str, Any]] = {
    "jane": {"email": "jane@example.com", "email_verified": True, "name": "Jane"},
    "unverified": {"email": "jane@example.com", "email_verified": False},
    "nobody": {"email": "nobody@example.com", "email_verified": True},
    "other": {"email": "Jane@Example.com", "email_verified": True},
    "password": {"email": "password@example.com", "email_verified": True},
    "stranger": {"email": "jane@example.org", "email_verified": True},
}


class OidcProvider:
    """`oidc-provider` on a port of this machine.

    Args:
        folder: for its configuration.
        redirect_uris: the callbacks of its clients.
    """

    def __init__(self, folder: Path, redirect_uris: list[str]) -> None:
        self.port = free_port()
        self.issuer = f"http://127.0.0.1:{self.port}"
        self._file = folder / "provider.json"
        self._accounts = {login: dict(claims) for login, claims in ACCOUNTS.items()}
        self._clients = [
            _client(
                "musterroll", "client_secret_basic", redirect_uris, client_secret=CLIENT_SECRET
            ),
            _client("by-post", "client_secret_post", redirect_uris, client_secret=CLIENT_SECRET),
            _client("public", "none", redirect_uris),
        ]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it responds."""
        self._write()
        installed(FOLDER / "node_modules")
        command = [program("node"), str(FOLDER / "server.mjs"), str(self._file)]
        quiet = subprocess.DEVNULL
        self._process = subprocess.Popen(command, cwd=FOLDER, stdout=quiet, stderr=quiet)
        deadline = time.monotonic() + 120
        while not responds_at(self.port, "/.well-known/openid-configuration"):
            assert self._process.poll() is None, "the provider ended"
            assert time.monotonic() < deadline, "the provider does not respond"
            time.sleep(0.02)

    def stop(self) -> None:
        """Stop it."""
        assert self._process
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(30)

    def change(self, login: str, **claims: Any) -> None:
        """Change the claims of an account."""
        self._accounts.setdefault(login, {}).update(claims)
        self._write()

    def reset(self) -> None:
        """Restore the accounts that it started with."""
        self._accounts = {login: dict(claims) for login, claims in ACCOUNTS.items()}
        self._write()

    def _write(self) -> None:
        configuration = {"port": self.port, "clients": self._clients, "accounts": self._accounts}
        # Replaced in one step, since the provider may read it at any time.
        new = self._file.with_suffix(".new")
        new.write_text(json.dumps(configuration), encoding="utf-8")
        new.replace(self._file)


def _client(name: str, method: str, redirect_uris: list[str], **more: str) -> dict[str, Any]:
    return {
        "client_id": name,
        "redirect_uris": redirect_uris,
        "grant_types": ["authorization_code"],
        "response_types": ["code"],
        "token_endpoint_auth_method": method,
        **more,
    }


@contextmanager
def run_oidc_provider(*redirect_uris: str) -> Iterator[OidcProvider]:
    """Run a provider until the block ends."""
    with TemporaryDirectory() as folder:
        provider = OidcProvider(Path(folder), list(redirect_uris))
        provider.start()
        try:
            yield provider
        finally:
            provider.stop()


@cache
def _tls() -> ssl.SSLContext:
    """What each client would create anew: it reads all certificates of the system."""
    return httpx.create_ssl_context(trust_env=False)


def new_browser(base_url: str = "") -> httpx.Client:
    """Make a client that follows no redirect and, like browsers, trusts loopback without TLS."""
    # By default it gives up after 5 seconds, which a request may take on a loaded machine.
    client = httpx.Client(base_url=base_url, trust_env=False, verify=_tls(), timeout=60)

    def allow_http(_: httpx.Response) -> None:
        for cookie in client.cookies.jar:
            cookie.secure = False

    client.event_hooks["response"].append(allow_http)
    return client


def sign_in_at_provider(url: str, login: str) -> str:
    """Sign in at the provider in a new browser, and consent.

    Args:
        url: of the control plane, which redirects to the provider.
        login: a key of `ACCOUNTS`.

    Returns:
        The URL of the callback, with its query.
    """
    with new_browser() as client:
        response = client.get(url)
        while True:
            if response.has_redirect_location:
                target = urljoin(str(response.url), response.headers["location"])
                if "/sso/callback" in target:
                    return target
                response = client.get(target)
                continue
            assert response.status_code == 200, response.text
            response = client.post(_form_action(response), data=_form_data(response.text, login))


def _form_action(response: httpx.Response) -> str:
    form = re.search(r'<form[^>]* action="([^"]+)"', response.text)
    assert form, response.text
    return urljoin(str(response.url), unescape(form[1]))


def _form_data(page: str, login: str) -> dict[str, str]:
    hidden = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page)
    return {**dict(hidden), "login": login, "password": "any"}


@pytest.fixture(scope="session")
def sso_port() -> int:
    """The port of the control plane in the callback that the provider knows."""
    return free_port()


@pytest.fixture(scope="session")
def running_oidc_provider(sso_port: int) -> Iterator[OidcProvider]:
    with run_oidc_provider(f"http://127.0.0.1:{sso_port}/sso/callback") as provider:
        yield provider


@pytest.fixture
def oidc_provider(running_oidc_provider: OidcProvider) -> OidcProvider:
    """The provider, with the accounts of `ACCOUNTS`."""
    running_oidc_provider.reset()
    return running_oidc_provider
