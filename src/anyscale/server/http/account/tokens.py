"""/v1/me/tokens: a person's own tokens, which have that person's role at each call."""

from functools import partial
from typing import Annotated, Any

from litestar import Request, delete, get, post
from litestar.params import PathParameter

from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.login.sessions import AuthenticatedUser
from anyscale.server.http.api.user_bodies import decoded
from anyscale.server.http.authentication import require_own_password
from anyscale.server.http.dependencies import GivenMember, GivenPlane, GivenPools
from anyscale.server.http.errors import answers
from anyscale.server.http.login.schemas import (
    CreatedToken,
    CreateTokenRequest,
    TokenList,
    token_seen,
)

__all__ = ["HANDLERS"]

AnyRequest = Request[Any, Any, Any]

TokenId = Annotated[str, PathParameter(max_length=64, description="`tok_...`")]


@get(
    "/me/tokens",
    operation_id="listMyTokens",
    summary="List the own tokens that are good, the latest first.",
    responses=answers(),
    guards=[require_own_password],
)
async def list_tokens(plane: GivenPlane, pools: GivenPools, member: GivenMember) -> TokenList:
    return await pools.read.run(partial(_list, plane, member))


@post(
    "/me/tokens",
    operation_id="createMyToken",
    summary="Make a token of one's own, which is shown this once.",
    responses=answers(404, 413),
    guards=[require_own_password],
)
async def create_token(
    request: AnyRequest, plane: GivenPlane, pools: GivenPools, member: GivenMember
) -> CreatedToken:
    asked = decoded(await request.body(), CreateTokenRequest)
    return await pools.read.run(partial(_create, plane, member, asked.name, asked.expires_days))


@delete(
    "/me/tokens/{token_id:str}",
    operation_id="revokeMyToken",
    summary="End one of the own tokens, from the next call on.",
    responses=answers(404),
    guards=[require_own_password],
)
async def revoke_token(
    plane: GivenPlane, pools: GivenPools, member: GivenMember, token_id: TokenId
) -> None:
    revoke = partial(plane.tokens.revoke_personal, member.account.user_id, token_id)
    await pools.read.run(revoke)


def _list(plane: ControlPlane, member: AuthenticatedUser) -> TokenList:
    live = plane.tokens.list_live(member.account.user_id)
    return TokenList([token_seen(token) for token in live])


def _create(
    plane: ControlPlane, member: AuthenticatedUser, name: str, days: int | None
) -> CreatedToken:
    secret, token = plane.tokens.create_personal(member.account.user_id, name, days)
    return CreatedToken(secret, token_seen(token))


HANDLERS = [list_tokens, create_token, revoke_token]
