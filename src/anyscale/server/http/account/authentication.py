"""Who makes a request: the person whose session's cookie it carries, or nobody."""

from contextlib import suppress
from functools import partial

from litestar.handlers import BaseRouteHandler

from anyscale.errors import NotAuthenticated, Overloaded, PasswordChangeNeeded
from anyscale.server.core.login.sessions import AuthenticatedUser
from anyscale.server.http.api.authentication import note, refuse_nul
from anyscale.server.http.cookies import SESSION, read_cookie
from anyscale.server.http.dependencies import Connection, looked_up, plane_of, pools_of

__all__ = ["member_of", "members_only", "own_password_only", "recognise"]


async def recognise(connection: Connection) -> AuthenticatedUser:
    """Find out whose session's cookie a request carries, and keep it with the request.

    Raises:
        NotAuthenticated: nobody's.
    """
    secret = read_cookie(connection, SESSION)
    if not secret:
        raise NotAuthenticated("you are not signed in")
    sessions = plane_of(connection).sessions
    member = await looked_up(connection, partial(sessions.authenticate, secret))
    if member.is_use_due:
        with suppress(Overloaded):  # it is noted by a later request
            await pools_of(connection).auth.run(partial(sessions.note_use, member))
    connection.scope["state"]["member"] = member
    return member


async def members_only(connection: Connection, _: BaseRouteHandler) -> None:
    """Let the request of a person who is signed in pass, and note the others in the trail.

    Raises:
        NotAuthenticated: nobody is.
    """
    refuse_nul(connection)
    try:
        await recognise(connection)
    except NotAuthenticated as error:
        await note(connection, error)
        raise


async def own_password_only(connection: Connection, _: BaseRouteHandler) -> None:
    """Let pass who chose the own password; for after `members_only`.

    Raises:
        PasswordChangeNeeded: the password is one that an administrator gave.
    """
    try:
        member_of(connection).require_own_password()
    except PasswordChangeNeeded as error:
        await note(connection, error)
        raise


def member_of(connection: Connection) -> AuthenticatedUser:
    """Give who was recognised."""
    member: AuthenticatedUser = connection.scope["state"]["member"]
    return member
