"""/v1/users/...: the life of an account, and the links by which people set passwords."""

from functools import partial
from typing import Annotated, Any

from litestar import Request, Router, delete, post, put
from litestar.params import JSONBody, PathParameter

from anyscale.api_schemas import PasswordLinks, RoleSet, SetPasswordLinks
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.authorization import Principal
from anyscale.server.http.api.user_bodies import decoded
from anyscale.server.http.authentication import TOKEN_AUTHENTICATION, require_owner
from anyscale.server.http.dependencies import GivenCaller, GivenPlane, GivenPools
from anyscale.server.http.errors import answers

__all__ = ["router"]

Id = Annotated[str, PathParameter(max_length=64, description="`usr_...`")]


@post(
    "/users/{user_id:str}/suspend",
    operation_id="suspendUser",
    summary="Suspend an account: nobody signs in to it, and its sessions and own tokens end.",
    status_code=204,
    responses=answers(404, 409),
)
async def suspend(user_id: Id, plane: GivenPlane, caller: GivenCaller, pools: GivenPools) -> None:
    await pools.write.run(partial(plane.accounts.suspend, user_id, caller))


@post(
    "/users/{user_id:str}/restore",
    operation_id="restoreUser",
    summary="Let the owner of a suspended account sign in again.",
    status_code=204,
    responses=answers(404),
)
async def restore(user_id: Id, plane: GivenPlane, caller: GivenCaller, pools: GivenPools) -> None:
    await pools.write.run(partial(plane.accounts.restore, user_id, caller))


@put(
    "/users/{user_id:str}/role",
    operation_id="setUserRole",
    summary="Make an account an owner's or a collaborator's; its sessions end.",
    status_code=204,
    responses=answers(404, 409),
)
async def set_role(
    data: JSONBody[RoleSet],
    user_id: Id,
    plane: GivenPlane,
    caller: GivenCaller,
    pools: GivenPools,
) -> None:
    await pools.write.run(partial(plane.accounts.set_role, user_id, data.role, caller))


@delete(
    "/users/{user_id:str}",
    operation_id="deleteUser",
    summary="Delete an account, and erase all that is kept of the person.",
    responses=answers(404, 409),
)
async def delete_user(
    user_id: Id, plane: GivenPlane, caller: GivenCaller, pools: GivenPools
) -> None:
    await pools.write.run(partial(plane.accounts.delete, user_id, caller))


@post(
    "/users:setPasswordLinks",
    operation_id="createSetPasswordLinks",
    summary="Make one-time links by which people set their passwords; earlier ones end.",
    status_code=200,
    responses=answers(404, 409, 413),
)
async def create_links(
    request: Request[Any, Any, Any], plane: GivenPlane, caller: GivenCaller, pools: GivenPools
) -> PasswordLinks:
    body = await request.body()
    return await pools.write.run(partial(_create_links, plane, body, caller))


def _create_links(plane: ControlPlane, body: bytes, caller: Principal) -> PasswordLinks:
    return PasswordLinks(plane.links.create(decoded(body, SetPasswordLinks).user_ids, caller))


def router() -> Router:
    """Give what is under /v1/users about single accounts."""
    return Router(
        "/v1",
        route_handlers=[suspend, restore, set_role, delete_user, create_links],
        middleware=[TOKEN_AUTHENTICATION],
        guards=[require_owner],
        tags=["accounts"],
        security=[{"token": []}],
    )
