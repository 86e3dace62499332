"""A real identity provider for the tests, and a browser that signs in at it without a screen."""

import json
import re
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from html import unescape
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urljoin

import httpx
import pytest
from tests.support.ports import free_port

__all__ = ["SECRET", "Idp", "browser", "running", "signed_in"]

FOLDER = Path(__file__).parent / "oidc_provider_server"

#: Made of what has to be encoded in `client_secret_basic` (RFC 6749, 2.3.1).
SECRET = "a secret: of 100 %+/"

#: login -> its claims
ACCOUNTS: Mapping[str, Mapping[str, Any]] = {
    "jane": {"email": "jane@example.com", "email_verified": True, "name": "Jane"},
    "unverified": {"email": "jane@example.com", "email_verified": False},
    "nobody": {"email": "nobody@example.com", "email_verified": True},
    "other": {"email": "Jane@Example.com", "email_verified": True},
    "password": {"email": "password@example.com", "email_verified": True},
    "stranger": {"email": "jane@example.org", "email_verified": True},
}


class Idp:
    """`oidc-provider` on a port of this machine.

    Args:
        folder: for its configuration.
        redirect_uris: where it may send browsers back to.
    """

    def __init__(self, folder: Path, redirect_uris: list[str]) -> None:
        self.port = free_port()
        self.issuer = f"http://127.0.0.1:{self.port}"
        self._file = folder / "provider.json"
        self._accounts = {login: dict(claims) for login, claims in ACCOUNTS.items()}
        self._clients = [
            _client("musterroll", "client_secret_basic", redirect_uris, client_secret=SECRET),
            _client("by-post", "client_secret_post", redirect_uris, client_secret=SECRET),
            _client("public", "none", redirect_uris),
        ]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._write()
        command = ["node", str(FOLDER / "server.mjs"), str(self._file)]
        quiet = subprocess.DEVNULL
        self._process = subprocess.Popen(command, cwd=FOLDER, stdout=quiet, stderr=quiet)
        deadline = time.monotonic() + 30
        while not self._answers():
            assert self._process.poll() is None, "the provider ended: run ./dev test"
            assert time.monotonic() < deadline, "the provider does not answer"
            time.sleep(0.02)

    def stop(self) -> None:
        """End it."""
        assert self._process
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(20)

    def change(self, login: str, **claims: Any) -> None:
        """Change what it knows of an account."""
        self._accounts.setdefault(login, {}).update(claims)
        self._write()

    def reset(self) -> None:
        """Know again what it knew at first."""
        self._accounts = {login: dict(claims) for login, claims in ACCOUNTS.items()}
        self._write()

    def _write(self) -> None:
        told = {"port": self.port, "clients": self._clients, "accounts": self._accounts}
        # At once, since it is read at any time.
        new = self._file.with_suffix(".new")
        new.write_text(json.dumps(told), encoding="utf-8")
        new.replace(self._file)

    def _answers(self) -> bool:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/.well-known/openid-configuration")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()


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
def running(*redirect_uris: str) -> Iterator[Idp]:
    """Have a provider for a while."""
    with TemporaryDirectory() as folder:
        idp = Idp(Path(folder), list(redirect_uris))
        idp.start()
        try:
            yield idp
        finally:
            idp.stop()


def browser(base_url: str = "") -> httpx.Client:
    """Make a browser that follows nothing by itself, and takes loopback for safe as browsers do."""
    client = httpx.Client(base_url=base_url, trust_env=False)

    def kept(_: httpx.Response) -> None:
        for cookie in client.cookies.jar:
            cookie.secure = False

    client.event_hooks["response"].append(kept)
    return client


def signed_in(url: str, login: str, *, at: httpx.Client | None = None) -> str:
    """Sign in at the provider, and agree.

    Args:
        url: at which the control plane lets one sign in.
        login: of the account.
        at: the browser; a new one if none is given.

    Returns:
        The URL to which the provider sends the browser back.
    """
    with at or browser() as client:
        answer = client.get(url)
        while True:
            if answer.has_redirect_location:
                there = urljoin(str(answer.url), answer.headers["location"])
                if "/sso/callback" in there:
                    return there
                answer = client.get(there)
                continue
            assert answer.status_code == 200, answer.text
            answer = client.post(_action(answer), data=_filled(answer.text, login))


def _action(answer: httpx.Response) -> str:
    found = re.search(r'<form[^>]* action="([^"]+)"', answer.text)
    assert found, answer.text
    return urljoin(str(answer.url), unescape(found[1]))


def _filled(page: str, login: str) -> dict[str, str]:
    hidden = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page)
    return {**dict(hidden), "login": login, "password": "any"}


@pytest.fixture(scope="session")
def idp_port() -> int:
    """The port at which a control plane is served to which the provider sends browsers back."""
    return free_port()


@pytest.fixture(scope="session")
def idp_running(idp_port: int) -> Iterator[Idp]:
    with running(f"http://127.0.0.1:{idp_port}/sso/callback") as idp:
        yield idp


@pytest.fixture
def idp(idp_running: Idp) -> Idp:
    """The provider, which knows `ACCOUNTS` and nothing else."""
    idp_running.reset()
    return idp_running
