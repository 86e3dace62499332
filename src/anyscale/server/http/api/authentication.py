"""Who makes a request: the owner whose token it carries, or nobody."""

from contextlib import suppress
from functools import partial
from typing import Any

from litestar.handlers import BaseRouteHandler

from anyscale.errors import (
    AnyscaleError,
    NotAuthenticated,
    NotPermitted,
    RequestInvalid,
    StoreUnavailable,
)
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.authorization import require_role
from anyscale.server.http.dependencies import Connection, plane_of, pools_of
from anyscale.server.http.middleware.request_log import actor_of

__all__ = ["note", "owners_only", "refuse_nul"]


async def owners_only(connection: Connection, _: BaseRouteHandler) -> None:
    """Let the request of an owner pass, and note the others in the trail.

    Raises:
        NotAuthenticated: there is no token, or it is not valid.
        NotPermitted: it is not an owner's.
    """
    refuse_nul(connection)
    try:
        authenticate = partial(plane_of(connection).tokens.authenticate, _token_of(connection))
        caller, role = await pools_of(connection).auth.run(authenticate)
        connection.scope["state"]["caller"] = caller
        require_role(caller, role)
    except (NotAuthenticated, NotPermitted) as error:
        await note(connection, error)
        raise


def refuse_nul(connection: Connection) -> None:
    """Refuse what no database takes as a text.

    Raises:
        RequestInvalid: there is a NUL in the address.
    """
    if b"%00" in connection.scope["raw_path"] + connection.scope["query_string"]:
        raise RequestInvalid("a NUL character is part of no name, email or id")


async def note(connection: Connection, error: AnyscaleError) -> None:
    """Note a refusal in the trail."""
    await pools_of(connection).auth.run(partial(_note, plane_of(connection), connection, error))


def _token_of(connection: Connection) -> str:
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise NotAuthenticated("there is no token: send it as `Authorization: Bearer mrt_...`")
    return token.strip()


def _note(plane: ControlPlane, connection: Connection, error: AnyscaleError) -> None:
    known = actor_of(connection.scope) or getattr(error, "actor", None)
    actor = known or "anonymous"
    # The route, not the path, which holds what somebody asks for.
    scope: Any = connection.scope
    call = f"{scope['method']} {scope.get('path_template', '')}"
    with suppress(StoreUnavailable):  # what is answered is the refusal all the same
        plane.trail.refuse(actor, error.code, call)
