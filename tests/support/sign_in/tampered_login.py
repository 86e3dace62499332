"""A sign-in at a hostile OpenID provider: a test tampers with it, and checks its refusal."""

import json
import logging
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.support.callers import OPERATOR
from tests.support.databases.empty_sqlite import cheap_control_plane
from tests.support.databases.sqlite_snapshot import SqliteSnapshot
from tests.support.databases.stored_data import execute_sql
from tests.support.servers.server_in_process import serve_in_process
from tests.support.sign_in.hostile_oidc_provider import (
    CLIENT_ID,
    HostileProvider,
    ProviderResponse,
    run_hostile_provider,
)
from tests.support.sign_in.oidc_provider import new_browser

from anyscale.domain.validation import Policy, check
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.audit.entries import AuditLog
from anyscale.server.core.login.rate_limit import LoginRateLimiter
from anyscale.server.core.login.sign_in_gate import SignInGate
from anyscale.server.core.sso.settings import ProviderSettings
from anyscale.server.core.sso.sso_login import SsoLogin
from anyscale.server.core.transactions import Transactions
from anyscale.server.settings import Settings

Reset = Callable[[], None]

Primitive = str | int | float | bool | None

CLIENT_SECRET = "a secret of the client that is long enough for HS256"
SESSION_COOKIE = "__Host-session"
SSO_COOKIE = "__Host-sso"

#: one with a k, which a mail server may spell with a Kelvin sign
ACCOUNTS = ("jane@example.com", "kate@example.com")


class TamperedLogin:
    """A sign-in of a browser, step by step.

    Args:
        control_plane: on an empty database, with `ACCOUNTS`.
        url: of its server.
        provider: at which the browser signs in.
        client: the browser.
    """

    def __init__(
        self,
        control_plane: ControlPlane,
        url: str,
        provider: HostileProvider,
        client: httpx.Client,
    ) -> None:
        self.control_plane = control_plane
        self.url = url
        self.provider = provider
        self.client = client
        #: the query of the callback
        self.query: list[tuple[str, Primitive]] = []

    def start(self) -> httpx.Response:
        """Start the sign-in, and set the correct claims and query for it."""
        response = self.client.get("/sso/start")
        self.authorization_params = httpx.URL(response.headers["location"]).params
        if "state" in self.authorization_params:
            self.provider.set_claims(self.authorization_params["nonce"])
            code = "a code of the provider"
            self.query = [
                ("code", code),
                ("state", self.authorization_params["state"]),
                ("iss", self.provider.issuer),
            ]
        return response

    def set(self, **query: str | None) -> None:
        """Change the query of the callback; None removes a parameter."""
        changed = dict(self.query) | query
        self.query = [(name, text) for name, text in changed.items() if text is not None]

    def return_to_callback(self) -> httpx.Response:
        """Return from the provider."""
        return self.client.get("/sso/callback", params=httpx.QueryParams(self.query))

    @property
    def cookie(self) -> dict[str, Any]:
        """The state of the sign-in in the browser's cookie."""
        value = urlsafe_b64decode(self.client.cookies[SSO_COOKIE] + "==")
        read: dict[str, Any] = json.loads(value[:-32])
        return read

    @cookie.setter
    def cookie(self, value: dict[str, Any] | str) -> None:
        text = value
        if not isinstance(text, str):
            assert self.control_plane.sso_login
            content = json.dumps(value).encode()
            signed = content + self.control_plane.sso_login.signer.signature(content)
            text = urlsafe_b64encode(signed).decode().rstrip("=")
        self.client.cookies.clear()
        self.client.cookies.set(SSO_COOKIE, text, domain="127.0.0.1", path="/")

    def link(self, issuer: str, subject: str, email: str = ACCOUNTS[0]) -> None:
        """Link an account to a subject."""
        with self.control_plane.store.write() as tx:
            account = tx.accounts.find(email)
            assert account
            assert tx.identities.link(issuer, subject, account.user_id, tx.now())

    def count(self, table: str) -> int:
        """Count the rows of a table."""
        with self.control_plane.store.read() as tx:
            counted: int = execute_sql(tx, f"select count(*) from {table}").fetchone()[0]
        return counted

    def denial_reasons(self) -> list[str]:
        """List the reasons of refused sign-ins in the audit log."""
        entries = self.control_plane.audit_log.list(0, 1_000)
        denials = [entry for entry in entries if entry.event == "access.denied"]
        return [json.loads(entry.data)["reason"] for entry in denials]

    def assert_signed_in(self) -> None:
        """Return to the callback, and check that it creates a session."""
        response = self.return_to_callback()
        assert response.status_code == 303
        assert response.headers["location"] == "/", self.denial_reasons()
        assert SESSION_COOKIE in self.client.cookies

    def assert_refused(self, code: str, reason: str, records: list[logging.LogRecord]) -> None:
        """Return to the callback; check the refusal, its reason, and that no secret is logged."""
        self.assert_call_refused(self.return_to_callback, code)
        logged = [vars(record) for record in records if record.name == "anyscale.server"]
        assert any(reason in str(record.get("reason")) for record in logged), logged
        if code != "unavailable":
            assert reason in self.denial_reasons()
        self._assert_no_secret_logged(records)

    def assert_call_refused(self, call: Callable[[], httpx.Response], code: str) -> None:
        """Make a call, and check that it creates no session, link or account."""
        tables = ("identities", "sessions", "devices", "users")
        before = [self.count(table) for table in tables]
        response = call()
        number = response.headers["x-request-id"]
        assert response.status_code == 303
        assert response.headers["location"] == f"/sign-in?sso={code}&number={number}"
        assert SSO_COOKIE not in self.client.cookies
        assert SESSION_COOKIE not in str(response.headers.get_list("set-cookie"))
        assert [self.count(table) for table in tables] == before

    def _assert_no_secret_logged(self, records: list[logging.LogRecord]) -> None:
        audited = [entry.data for entry in self.control_plane.audit_log.list(0, 1_000)]
        logged = f"{[vars(record) for record in records]} {audited}"
        secrets = [
            self.authorization_params["nonce"],
            self.authorization_params["state"],
            "a code of the",
            "an access token",
        ]
        for secret in (*secrets, CLIENT_SECRET, "eyJ", *ACCOUNTS):
            assert secret not in logged


@contextmanager
def new_tampered_login(
    folder: Path, certificate: Path | None = None, **settings: Any
) -> Iterator[TamperedLogin]:
    """Make a control plane, a hostile provider and a browser, until the block ends."""
    with ExitStack() as stack:
        provider = stack.enter_context(run_hostile_provider(certificate))
        identity_provider = ProviderSettings(
            issuer=provider.issuer,
            client_id=CLIENT_ID,
            client_secret=CLIENT_SECRET,
            domains=frozenset({"example.com"}),
        )
        control_plane = cheap_control_plane(
            Settings(
                database=folder / "anyscale.db",
                public_url="http://127.0.0.1:1",
                **({"provider": identity_provider} | settings),
            ),
        )
        for email in ACCOUNTS:
            user = check(
                Policy(),
                name="Jane",
                email=email,
                password=None,
                is_sso_user=True,
                lastname=None,
                title=None,
            )
            assert user
            control_plane.batches.create(OPERATOR, email, [user], "fail")
        url = stack.enter_context(serve_in_process(control_plane))
        yield TamperedLogin(control_plane, url, provider, stack.enter_context(new_browser(url)))


@pytest.fixture(scope="module")
def _shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TamperedLogin, Reset]]:
    """A sign-in, and what makes its control plane and its provider as good as new."""
    folder = tmp_path_factory.mktemp("tampered")
    with (
        new_tampered_login(folder) as login,
        SqliteSnapshot(folder / "anyscale.db") as snapshot,
    ):

        def reset() -> None:
            snapshot.restore()
            _forget(login.control_plane)
            login.provider.reset()

        yield login, reset


def _forget(control_plane: ControlPlane) -> None:
    """Let the services forget what they remember of sign-ins, as a restart does."""
    store, settings = control_plane.store, control_plane.settings
    assert settings.provider
    vars(control_plane.audit_log).update(vars(AuditLog(Transactions(store))))
    oidc = SsoLogin(
        Transactions(store),
        settings.provider,
        settings.sso_redirect_uri(),
        LoginRateLimiter(),
        SignInGate(settings.second_factor, LoginRateLimiter()),
    )
    vars(control_plane.sso_login).update(vars(oidc))


@pytest.fixture
def login(_shared: tuple[TamperedLogin, Reset]) -> Iterator[TamperedLogin]:
    """A sign-in at a hostile provider, before its start."""
    shared, reset = _shared
    reset()
    with new_browser(shared.url) as browser:
        yield TamperedLogin(shared.control_plane, shared.url, shared.provider, browser)


#: changes a sign-in that has started
Tamper = Callable[[TamperedLogin], None]


def change_claims(**changes: Any) -> Tamper:
    """Change claims of the token; None removes a claim."""

    def tamper(login: TamperedLogin) -> None:
        changed = login.provider.claims | changes
        login.provider.claims = {
            name: value for name, value in changed.items() if value is not None
        }

    return tamper


def change_header(**changes: Any) -> Tamper:
    """Change the header of the token; None removes a parameter."""

    def tamper(login: TamperedLogin) -> None:
        changed = login.provider.header | changes
        login.provider.header = {
            name: value for name, value in changed.items() if value is not None
        }

    return tamper


def replace_token(change: Callable[[HostileProvider, str], str]) -> Tamper:
    """Send another token in place of the correct one."""

    def tamper(login: TamperedLogin) -> None:
        login.provider.change_token = lambda token: change(login.provider, token)

    return tamper


def apply_both(first: Tamper, second: Tamper) -> Tamper:
    """Apply two changes."""

    def tamper(login: TamperedLogin) -> None:
        first(login)
        second(login)

    return tamper


def respond_with(path: str, *arguments: Any, **headers: Any) -> Tamper:
    """Change the response of the provider at a path."""

    def tamper(login: TamperedLogin) -> None:
        login.provider.responses[path] = ProviderResponse(*arguments, **headers)

    return tamper


def publish_keys(*changed: Any) -> Tamper:
    """Change the keys that the provider publishes."""

    def tamper(login: TamperedLogin) -> None:
        login.provider.keys = list(changed)

    return tamper
