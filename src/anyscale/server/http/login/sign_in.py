"""Sign-in operations of the JSON API and the pages: each runs in its pool, and is counted."""

from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from msgspec import Struct

from anyscale.errors import AnyscaleError
from anyscale.server.core.callers import SessionCaller
from anyscale.server.core.login.password_change import PasswordChanges
from anyscale.server.core.login.password_login import PasswordLogin
from anyscale.server.core.login.password_resets import PasswordResets
from anyscale.server.core.login.sessions import LoginResult
from anyscale.server.http.cookies import client_info
from anyscale.server.http.dependencies import Connection
from anyscale.server.http.metrics import SIGN_INS
from anyscale.server.http.thread_pools import ThreadPools
from anyscale.server.store.records.users import AccountRecord

if TYPE_CHECKING:
    from anyscale.server.core.sso.login_records import ExternalIdentity
    from anyscale.server.core.sso.sso_login import SsoLogin

__all__ = ["LoginFlows"]


class LoginFlows(Struct, frozen=True):
    """Signs users in. Each method runs in its thread pool; sign-ins are counted."""

    password_login: PasswordLogin
    password_changes: PasswordChanges
    password_resets: PasswordResets
    pools: ThreadPools

    async def by_password(self, connection: Connection, email: str, password: str) -> LoginResult:
        """Sign in by email and password, as `PasswordLogin` does."""
        login, client = self.password_login, client_info(connection)
        with _counted("password"):
            # The look-up comes before the place in the pool: known browsers have places of their
            # own.
            attempt = await self.pools.login.look_ups.run(login.prepare, email, password, client)
            call, is_known = partial(login.login, attempt), bool(attempt.known_device)
            return await self.pools.login.run(call, client.address, is_known=is_known)

    async def by_link(self, connection: Connection, link: str, new: str) -> LoginResult:
        """Set a password by a one-time link and sign in, as `PasswordChanges.by_link` does."""
        client = client_info(connection)
        with _counted("link"):
            # This check comes before the place, too: only a valid link makes a client a known one.
            await self.link_account(link)
            call = partial(self.password_changes.by_link, link, new, client)
            return await self.pools.login.run(call, client.address, is_known=True)

    async def link_account(self, link: str) -> AccountRecord:
        """Return the account of a one-time link, as `PasswordChanges.link_account` does."""
        return await self.pools.login.look_ups.run(self.password_changes.link_account, link)

    async def request_reset(self, connection: Connection, email: str) -> None:
        """Request a link by mail, as `PasswordResets.request` does.

        It takes a place of an unknown client's sign-in, which the networks of the clients share.
        """
        address = client_info(connection).address
        call = partial(self.password_resets.request, email, address)
        await self.pools.login.run(call, address, is_known=False)

    async def by_sso(
        self, connection: Connection, sso_login: "SsoLogin", identity: "Awaitable[ExternalIdentity]"
    ) -> "tuple[ExternalIdentity, LoginResult]":
        """Sign in a user of the identity provider, as `SsoLogin.login` does.

        It awaits the identity itself, so that a refused redirect is counted as a failed sign-in.
        """
        client = client_info(connection)
        with _counted("sso"):
            user = await identity
            call = partial(sso_login.login, user, client)
            return user, await self.pools.login.run(call, client.address, is_known=True)

    async def again_by_password(
        self, connection: Connection, caller: SessionCaller, password: str
    ) -> None:
        """Record that a signed-in user signs in again, as `PasswordLogin.sign_in_again` does."""
        client = client_info(connection)
        call = partial(self.password_login.sign_in_again, caller, password, client)
        with _counted("password"):
            await self.pools.login.run(call, client.address, is_known=True)

    async def again_by_sso(
        self,
        connection: Connection,
        sso_login: "SsoLogin",
        session_id: str,
        identity: "Awaitable[ExternalIdentity]",
    ) -> None:
        """Record that a signed-in user signs in again, as `SsoLogin.sign_in_again` does."""
        client = client_info(connection)
        with _counted("sso"):
            call = partial(sso_login.sign_in_again, await identity, session_id, client)
            await self.pools.login.run(call, client.address, is_known=True)

    async def change_password(
        self, connection: Connection, caller: SessionCaller, current: str, new: str
    ) -> LoginResult:
        """Change the password of a signed-in user, as `PasswordChanges.change_password` does."""
        client = client_info(connection)
        call = partial(self.password_changes.change_password, caller, current, new, client)
        return await self.pools.login.run(call, client.address, is_known=True)


@contextmanager
def _counted(method: str) -> Iterator[None]:
    result = "internal"
    try:
        yield
        result = "signed_in"
    except AnyscaleError as error:
        result = error.code
        raise
    finally:
        SIGN_INS.labels(method, result).inc()
