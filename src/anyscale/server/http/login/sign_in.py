"""Sign-in operations of the JSON API and the pages: each runs in its pool, and is counted."""

from collections.abc import Awaitable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from anyscale.errors import AnyscaleError, NotAuthenticated, NotFound
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.login.password_login import LoginResult
from anyscale.server.core.login.sessions import AuthenticatedUser
from anyscale.server.http.cookies import SESSION, client_info, read_cookie
from anyscale.server.http.dependencies import Connection, looked_up, plane_of, pools_of
from anyscale.server.http.metrics import SIGN_INS

if TYPE_CHECKING:
    from anyscale.server.core.oidc.provider import ExternalIdentity

__all__ = ["by_link", "by_password", "by_sso", "change_password", "leave"]


async def by_password(connection: Connection, email: str, password: str) -> LoginResult:
    """Sign in by email and password, as `PasswordLogin` does."""
    login, client = plane_of(connection).sign_in.password_login, client_info(connection)

    async def sign_in() -> LoginResult:
        # Before it takes a place: known browsers have places of their own.
        attempt = await looked_up(connection, partial(login.prepare, email, password, client))
        call = partial(login.login, attempt)
        is_known = bool(attempt.known_device)
        return await pools_of(connection).login.run(call, client.address, is_known=is_known)

    return await _counted("password", sign_in())


async def by_link(connection: Connection, link: str, new: str) -> LoginResult:
    """Set a password by a one-time link and sign in, as `PasswordService.by_link` does."""
    passwords, client = plane_of(connection).sign_in, client_info(connection)

    async def sign_in() -> LoginResult:
        # Likewise: only a valid link makes a client a known one.
        await pools_of(connection).read.run(partial(passwords.link_account, link))
        call = partial(passwords.by_link, link, new, client)
        return await pools_of(connection).login.run(call, client.address, is_known=True)

    return await _counted("link", sign_in())


async def by_sso(connection: Connection, identity: "Awaitable[ExternalIdentity]") -> LoginResult:
    """Sign in a user of the identity provider, as `OidcLogin.land` does."""
    sso, client = plane_of(connection).sso, client_info(connection)

    async def sign_in() -> LoginResult:
        call = partial(sso.land, await identity, client)
        return await pools_of(connection).login.run(call, client.address, is_known=True)

    return await _counted("sso", sign_in())


async def change_password(
    connection: Connection, member: AuthenticatedUser, current: str, new: str
) -> LoginResult:
    """Change the password of a signed-in user, as `PasswordService.change_password` does."""
    passwords, client = plane_of(connection).sign_in, client_info(connection)
    call = partial(passwords.change_password, member, current, new, client)
    return await pools_of(connection).login.run(call, client.address, is_known=True)


async def leave(connection: Connection) -> None:
    """Revoke the session of a browser, if it has one."""
    end = partial(_end, plane_of(connection), read_cookie(connection, SESSION))
    await pools_of(connection).read.run(end)


def _end(plane: ControlPlane, secret: str) -> None:
    if secret:
        with suppress(NotAuthenticated, NotFound):
            member = plane.sessions.authenticate(secret)
            plane.sessions.end(member, member.session.session_id)


async def _counted(way: str, entering: Awaitable[LoginResult]) -> LoginResult:
    result = "internal"
    try:
        signed_in = await entering
        result = "signed_in"
    except AnyscaleError as error:
        result = error.code
        raise
    finally:
        SIGN_INS.labels(way, result).inc()
    return signed_in
