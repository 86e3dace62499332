"""An OpenID provider of a control plane in this process, and an application of it."""

import base64
import functools
import hashlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from joserfc.jwk import RSAKey
from msgspec import structs
from tests.support.callers import OPERATOR
from tests.support.databases.filled_sqlite import filled_control_plane
from tests.support.servers.control_planes import Deployment
from tests.support.sign_in.sign_ins import get_account
from tests.support.users import create_accounts

from anyscale.domain.models.applications import NewApplication
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.login.half_sign_in import Shown
from anyscale.server.core.login.sessions import ClientInfo, create_session, lock_for_session
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


class Accounts(NamedTuple):
    """The accounts jane and kim, and an application."""

    #: name -> user_id
    ids: dict[str, str]
    client_id: str
    secret: str | None


def create_jane_and_kim(control_plane: ControlPlane) -> Accounts:
    """Create the accounts and the application of a `Site`."""
    create_accounts(control_plane, "jane", "kim")
    ids = {
        name: get_account(control_plane, f"{name}@example.com").user_id for name in ("jane", "kim")
    }
    return Accounts(ids, *_create_application(control_plane))


def _create_application(control_plane: ControlPlane, **fields: Any) -> tuple[str, str | None]:
    values = {"name": "Hub", "redirect_uris": [CALLBACK]} | fields
    created = control_plane.applications.create(OPERATOR, NewApplication(**values))
    return created.application.client_id, created.client_secret


class Site:
    """A provider with the accounts jane and kim, and an application.

    Args:
        control_plane: with a provider.
        accounts: of its database, which `create_jane_and_kim` created.
    """

    def __init__(self, control_plane: ControlPlane, accounts: Accounts) -> None:
        self.control_plane = control_plane
        assert control_plane.openid
        self.provider = control_plane.openid
        self.ids, self.client_id, self.secret = accounts

    def create_application(self, **fields: Any) -> tuple[str, str | None]:
        """Create an application; give its id and its secret."""
        return _create_application(self.control_plane, **fields)

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
            return create_session(tx, locked, Shown(method, methods, at), None).session

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
    control_plane, accounts = filled_control_plane(settings, create_jane_and_kim)
    with closing(control_plane):
        yield Site(control_plane, accounts)


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Give the lines of the log with their detail or the id of a key."""
    return [
        f"{one.getMessage()}: {vars(one).get('detail') or vars(one).get('kid')}"
        for one in caplog.records
    ]
