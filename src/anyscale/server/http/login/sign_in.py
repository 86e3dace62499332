"""Sign-in operations of the JSON API and the pages: each runs in its pool, and is counted."""

from collections.abc import Awaitable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from anyscale.errors import AnyscaleError, NotAuthenticated, NotFound
from anyscale.server.core.login.password_change import PasswordService
from anyscale.server.core.login.sessions import AuthenticatedUser, LoginResult, SessionService
from anyscale.server.http.cookies import SESSION, client_info, read_cookie
from anyscale.server.http.dependencies import Connection
from anyscale.server.http.metrics import SIGN_INS
from anyscale.server.http.thread_pools import ThreadPools

if TYPE_CHECKING:
    from anyscale.server.core.oidc.login import OidcLogin
    from anyscale.server.core.oidc.provider import ExternalIdentity

__all__ = ["LoginFlows"]


class LoginFlows:
    """The ways to sign in and out.

    Args:
        passwords: of the control plane.
        sessions: likewise.
        pools: in which the operations run.
    """

    def __init__(
        self, passwords: PasswordService, sessions: SessionService, pools: ThreadPools
    ) -> None:
        self._passwords = passwords
        self._sessions = sessions
        self._pools = pools

    async def by_password(self, connection: Connection, email: str, password: str) -> LoginResult:
        """Sign in by email and password, as `PasswordLogin` does."""
        login, client = self._passwords.password_login, client_info(connection)

        async def sign_in() -> LoginResult:
            # Before it takes a place: known browsers have places of their own.
            prepare = partial(login.prepare, email, password, client)
            attempt = await self._pools.login.look_up(prepare)
            call, is_known = partial(login.login, attempt), bool(attempt.known_device)
            return await self._pools.login.run(call, client.address, is_known=is_known)

        return await _counted("password", sign_in())

    async def by_link(self, connection: Connection, link: str, new: str) -> LoginResult:
        """Set a password by a one-time link and sign in, as `PasswordService.by_link` does."""
        client = client_info(connection)

        async def sign_in() -> LoginResult:
            # Likewise: only a valid link makes a client a known one.
            await self._pools.login.look_up(partial(self._passwords.link_account, link))
            call = partial(self._passwords.by_link, link, new, client)
            return await self._pools.login.run(call, client.address, is_known=True)

        return await _counted("link", sign_in())

    async def by_sso(
        self, connection: Connection, oidc: "OidcLogin", identity: "Awaitable[ExternalIdentity]"
    ) -> LoginResult:
        """Sign in a user of the identity provider, as `OidcLogin.login` does."""
        client = client_info(connection)

        async def sign_in() -> LoginResult:
            call = partial(oidc.login, await identity, client)
            return await self._pools.login.run(call, client.address, is_known=True)

        return await _counted("sso", sign_in())

    async def change_password(
        self, connection: Connection, user: AuthenticatedUser, current: str, new: str
    ) -> LoginResult:
        """Change the password of a signed-in user, as `PasswordService.change_password` does."""
        client = client_info(connection)
        call = partial(self._passwords.change_password, user, current, new, client)
        return await self._pools.login.run(call, client.address, is_known=True)

    async def sign_out(self, connection: Connection) -> None:
        """Revoke the session of a browser, if it has one."""
        if secret := read_cookie(connection, SESSION):
            await self._pools.read.run(partial(self._revoke, secret))

    def _revoke(self, secret: str) -> None:
        with suppress(NotAuthenticated, NotFound):
            user = self._sessions.authenticate(secret)
            self._sessions.revoke(user, user.session.session_id)


async def _counted(method: str, sign_in: Awaitable[LoginResult]) -> LoginResult:
    result = "internal"
    try:
        login = await sign_in
        result = "signed_in"
    except AnyscaleError as error:
        result = error.code
        raise
    finally:
        SIGN_INS.labels(method, result).inc()
    return login
