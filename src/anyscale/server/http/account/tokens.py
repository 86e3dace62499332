"""/v1/me/tokens: a user's own tokens, which have the role that the user has at each call."""

from typing import Annotated

from litestar import delete, get, post
from litestar.di import NamedDependency
from litestar.params import PathParameter

from anyscale.server.core.tokens.api_tokens import TokenService
from anyscale.server.http.account.schemas import (
    CreatedToken,
    CreateTokenRequest,
    TokenList,
    token_info,
)
from anyscale.server.http.bodies import decode
from anyscale.server.http.dependencies import UserRequest
from anyscale.server.http.errors import error_responses
from anyscale.server.http.thread_pools import ThreadPools

__all__ = ["HANDLERS"]

TokenId = Annotated[str, PathParameter(max_length=64, description="`tok_...`")]


@get(
    "/tokens",
    operation_id="listMyTokens",
    summary="List your valid tokens, the latest first.",
    responses=error_responses(),
)
async def list_tokens(
    request: UserRequest,
    tokens: NamedDependency[TokenService],
    pools: NamedDependency[ThreadPools],
) -> TokenList:
    live = await pools.read.run(tokens.list_live, request.user.account.user_id)
    return TokenList([token_info(token) for token in live])


@post(
    "/tokens",
    operation_id="createMyToken",
    summary="Create a token. The response is the only one that contains its secret.",
    responses=error_responses(404, 413),
)
async def create_token(
    request: UserRequest,
    tokens: NamedDependency[TokenService],
    pools: NamedDependency[ThreadPools],
) -> CreatedToken:
    body = decode(await request.body(), CreateTokenRequest)
    secret, token = await pools.read.run(
        tokens.create_personal, request.user, body.name, body.expires_days
    )
    return CreatedToken(secret, token_info(token))


@delete(
    "/tokens/{token_id:str}",
    operation_id="revokeMyToken",
    summary="Revoke one of your tokens. It fails from the next request on.",
    responses=error_responses(404),
)
async def revoke_token(
    request: UserRequest,
    token_id: TokenId,
    tokens: NamedDependency[TokenService],
    pools: NamedDependency[ThreadPools],
) -> None:
    await pools.read.run(tokens.revoke_personal, request.user, token_id)


HANDLERS = [list_tokens, create_token, revoke_token]
