"""Who makes a request: the owner whose token it carries, or nobody."""

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from anyscale.errors import (
    AnyscaleError,
    NotAuthenticated,
    NotPermitted,
    RequestInvalid,
    StoreUnavailable,
)
from anyscale.server.core.access import require_role
from anyscale.server.plane import ControlPlane

if TYPE_CHECKING:
    from anyscale.server.core.access import Caller
    from anyscale.server.http.lanes import Lanes

__all__ = ["owners_only"]

Connection = ASGIConnection[Any, Any, Any, Any]


async def owners_only(connection: Connection, _: BaseRouteHandler) -> None:
    """Let the request of an owner pass, and note the others in the trail.

    Raises:
        NotAuthenticated: there is no token, or it is not valid.
        NotPermitted: it is not an owner's.
    """
    if b"%00" in connection.scope["raw_path"] + connection.scope["query_string"]:
        raise RequestInvalid("a NUL character is part of no name, email or id")
    plane: ControlPlane = connection.app.state.plane
    lanes: Lanes = connection.app.state.lanes
    try:
        caller, role = await lanes.asking.run(
            partial(plane.tokens.authenticate, _token_of(connection))
        )
        connection.scope["state"]["caller"] = caller
        require_role(caller, role)
    except (NotAuthenticated, NotPermitted) as error:
        await lanes.asking.run(partial(_note, plane, connection, error))
        raise


def _token_of(connection: Connection) -> str:
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise NotAuthenticated("there is no token: send it as `Authorization: Bearer mrt_...`")
    return token.strip()


def _note(plane: ControlPlane, connection: Connection, error: AnyscaleError) -> None:
    caller: Caller | None = connection.scope["state"].get("caller")
    known = caller.actor if caller else getattr(error, "actor", None)
    actor = known or "anonymous"
    # The route, not the path, which holds what somebody asks for.
    scope: Any = connection.scope
    call = f"{scope['method']} {scope.get('path_template', '')}"
    with suppress(StoreUnavailable):  # what is answered is the refusal all the same
        plane.trail.refuse(actor, error.code, call)
