"""The ways in, as calls and pages use them alike: in their lane, and counted."""

from collections.abc import Awaitable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from anyscale.errors import AnyscaleError, NotAuthenticated, NotFound
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.login.password_login import LoginResult
from anyscale.server.core.login.sessions import AuthenticatedUser
from anyscale.server.http.dependencies import Connection, lanes_of, looked_up, plane_of
from anyscale.server.http.login.cookies import SESSION, browser_of
from anyscale.server.http.metrics import SIGN_INS

if TYPE_CHECKING:
    from anyscale.server.core.oidc.provider import ExternalIdentity

__all__ = ["by_link", "by_password", "by_sso", "change_password", "leave"]


async def by_password(connection: Connection, email: str, password: str) -> LoginResult:
    """Sign somebody in, as `PasswordLogin` do, together with whoever else does meanwhile."""
    attempts, entering = plane_of(connection).sign_in.attempts, lanes_of(connection).entering

    async def entered() -> LoginResult:
        with entering.place():  # before anything is read: whoever is refused costs little
            attempt = attempts.begin(email, password, browser_of(connection))
            if attempts.would_throttle_a_stranger(attempt):
                await looked_up(connection, partial(attempts.require_admitted, attempt))
            return await entering.gather(attempts.settle, attempt)

    return await _counted("password", entered())


async def by_link(connection: Connection, link: str, new: str) -> LoginResult:
    """Set a password by a link and sign in, as `PasswordService.by_link` does."""
    enter = partial(plane_of(connection).sign_in.by_link, link, new, browser_of(connection))
    return await _counted("link", lanes_of(connection).signing.run(enter))


async def by_sso(connection: Connection, coming: "Awaitable[ExternalIdentity]") -> LoginResult:
    """Sign in whom the identity provider knows, as `OidcLogin.land` does."""

    async def entered() -> LoginResult:
        land = partial(plane_of(connection).sso.land, await coming, browser_of(connection))
        return await lanes_of(connection).signing.run(land)

    return await _counted("sso", entered())


async def change_password(
    connection: Connection, member: AuthenticatedUser, current: str, new: str
) -> LoginResult:
    """Change a password, as `PasswordService.change_password` does."""
    change = partial(
        plane_of(connection).sign_in.change_password, member, current, new, browser_of(connection)
    )
    return await lanes_of(connection).signing.run(change)


async def leave(connection: Connection) -> None:
    """End the session of a browser, if it has one."""
    end = partial(_end, plane_of(connection), connection.cookies.get(SESSION, ""))
    await lanes_of(connection).reading.run(end)


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
