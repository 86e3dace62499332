"""An OpenID provider of a control plane in this process, and an application of it."""

import base64
import functools
import hashlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from joserfc.jwk import RSAKey
from msgspec import structs
from tests.support.callers import OPERATOR
from tests.support.databases.empty_sqlite import cheap_control_plane
from tests.support.servers.control_planes import Deployment
from tests.support.sign_in.sign_ins import get_account
from tests.support.users import create_accounts

from anyscale.domain.models.applications import NewApplication
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.login.sessions import ClientInfo, create_session, lock_for_session
from anyscale.server.core.openid import key_files
from anyscale.server.core.openid.authorization import (
    ConfirmationNeeded,
    Redirection,
    SignInNeeded,
)
from anyscale.server.core.openid.tokens import IssuedTokens
from anyscale.server.store.records.openid import ApplicationRecord

ISSUER = "https://accounts.example.com"
CALLBACK = "https://hub.example.com/callback"
ADDRESS = "192.0.2.1"

VERIFIER = "v" * 43
CHALLENGE = (
    base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode().rstrip("=")
)

REQUEST = {
    "response_type": "code",
    "redirect_uri": CALLBACK,
    "scope": "openid profile email",
    "state": "the state",
    "nonce": "the nonce",
    "code_challenge": CHALLENGE,
    "code_challenge_method": "S256",
}

# OpenSSL checks the primes of a key for 30 ms: once is enough for the one key of `keys_folder`, of
# which each test makes a provider.
vars(key_files)["RSAKey"] = SimpleNamespace(
    import_key=functools.cache(RSAKey.import_key), generate_key=RSAKey.generate_key
)


@functools.cache
def _pem() -> bytes:
    return RSAKey.generate_key(2048).as_pem(private=True)


def keys_folder(folder: Path) -> Path:
    """Create a folder with a key that signs since 2025; one key serves all tests of a process."""
    folder.mkdir(mode=0o700)
    path = folder / "20250101T000000Z.pem"
    path.touch(mode=0o600)
    path.write_bytes(_pem())
    return folder


class Site:
    """A provider with the accounts jane and kim, and an application."""

    def __init__(self, control_plane: ControlPlane) -> None:
        self.control_plane = control_plane
        assert control_plane.openid
        self.provider = control_plane.openid
        create_accounts(control_plane, "jane", "kim")
        self.ids = {
            name: get_account(control_plane, f"{name}@example.com").user_id
            for name in ("jane", "kim")
        }
        self.client_id, self.secret = self.create_application()

    def create_application(self, **fields: Any) -> tuple[str, str | None]:
        """Create an application; give its id and its secret."""
        values = {"name": "Hub", "redirect_uris": [CALLBACK]} | fields
        new = NewApplication(**values)
        created = self.control_plane.applications.create(new, OPERATOR)
        return created.application.client_id, created.client_secret

    @property
    def application(self) -> ApplicationRecord:
        return self.provider.applications.authenticate(self.client_id, self.secret)

    def sign_in(
        self, name: str = "jane", method: str = "link", *, ago: int = 0, methods: str = ""
    ) -> str:
        """Sign a user in, some seconds ago; give the secret of the session.

        `methods` is what the user has shown: see `core.shown_methods`.
        """
        with self.control_plane.store.write() as tx:
            locked = lock_for_session(tx, self.ids[name], ClientInfo(ADDRESS, "Firefox"))
            assert locked
            at = locked.at - ago * 1000
            return create_session(tx, method, locked, authenticated_at=at, methods=methods).session

    def start(
        self, session: str = "", browser: str = "", confirmations: str = "", **changes: Any
    ) -> Redirection | SignInNeeded | ConfirmationNeeded:
        """Send the request of the application; a parameter that is None is left out."""
        values = REQUEST | {"client_id": self.client_id} | changes
        pairs = [(name, text) for name, text in values.items() if text is not None]
        return self.provider.authorization.start(pairs, session, browser, confirmations)

    def code(self, session: str, **changes: Any) -> str:
        """Get a code for a signed-in user."""
        decision = self.start(session, **changes)
        assert isinstance(decision, Redirection), decision
        return decision.parameters["code"]

    def exchange(self, code: str, **changes: Any) -> IssuedTokens:
        values = {"redirect_uri": CALLBACK, "verifier": VERIFIER} | changes
        return self.provider.tokens.exchange(self.application, code, **values)

    def claims(self, tokens: IssuedTokens) -> dict[str, Any]:
        """Give the claims of a valid ID token."""
        claims = self.provider.keys.verify(tokens.id_token)
        assert claims
        return claims


@contextmanager
def open_site(deployment: Deployment, folder: Path, **changes: Any) -> Iterator[Site]:
    """Open a control plane that is a provider, until the block ends."""
    settings = structs.replace(
        deployment.settings(),
        public_url=ISSUER,
        signing_keys=keys_folder(folder / "keys"),
        **changes,
    )
    with closing(cheap_control_plane(settings)) as control_plane:
        yield Site(control_plane)


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Give the lines of the log with their detail or the id of a key."""
    return [
        f"{one.getMessage()}: {vars(one).get('detail') or vars(one).get('kid')}"
        for one in caplog.records
    ]
