"""The ways in, as calls and pages use them alike: in their lane, and counted."""

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
    login = plane_of(connection).sign_in.password_login
    prepare = partial(login.prepare, email, password, client_info(connection))

    async def signed_in() -> LoginResult:
        attempt = await looked_up(connection, prepare)
        return await pools_of(connection).login.run(partial(login.login, attempt))

    return await _counted("password", signed_in())


async def by_link(connection: Connection, link: str, new: str) -> LoginResult:
    """Set a password by a link and sign in, as `PasswordService.by_link` does."""
    enter = partial(plane_of(connection).sign_in.by_link, link, new, client_info(connection))
    return await _counted("link", pools_of(connection).login.run(enter))


async def by_sso(connection: Connection, coming: "Awaitable[ExternalIdentity]") -> LoginResult:
    """Sign in whom the identity provider knows, as `OidcLogin.land` does."""

    async def entered() -> LoginResult:
        land = partial(plane_of(connection).sso.land, await coming, client_info(connection))
        return await pools_of(connection).login.run(land)

    return await _counted("sso", entered())


async def change_password(
    connection: Connection, member: AuthenticatedUser, current: str, new: str
) -> LoginResult:
    """Change a password, as `PasswordService.change_password` does."""
    change = partial(
        plane_of(connection).sign_in.change_password, member, current, new, client_info(connection)
    )
    return await pools_of(connection).login.run(change)


async def leave(connection: Connection) -> None:
    """End the session of a browser, if it has one."""
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
