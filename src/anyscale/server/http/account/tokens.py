"""/v1/me/tokens: a user's own tokens, which have the role that the user has at each call."""

from typing import Annotated

from litestar.di import NamedDependency
from litestar.params import PathParameter, RawBody

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
from anyscale.server.http.route_handlers import delete, get, post

TokenId = Annotated[str, PathParameter(max_length=64, description="`tok_...`")]


@get(
    "/tokens",
    pool="read",
    operation_id="listMyTokens",
    summary="List your valid tokens, the latest first.",
    responses=error_responses(),
)
def list_tokens(request: UserRequest, tokens: NamedDependency[TokenService]) -> TokenList:
    live = tokens.list_live(request.user.account.user_id)
    return TokenList([token_info(token) for token in live])


@post(
    "/tokens",
    pool="read",
    operation_id="createMyToken",
    summary="Create a token. The response is the only one that contains its secret.",
    responses=error_responses(404, 413),
)
def create_token(
    request: UserRequest, body: RawBody, tokens: NamedDependency[TokenService]
) -> CreatedToken:
    wanted = decode(body, CreateTokenRequest)
    secret, token = tokens.create_personal(request.user, wanted.name, wanted.expires_days)
    return CreatedToken(secret, token_info(token))


@delete(
    "/tokens/{token_id:str}",
    pool="read",
    operation_id="revokeMyToken",
    summary="Revoke one of your tokens. It fails from the next request on.",
    responses=error_responses(404),
)
def revoke_token(
    request: UserRequest, token_id: TokenId, tokens: NamedDependency[TokenService]
) -> None:
    tokens.revoke_personal(request.user, token_id)


HANDLERS = [list_tokens, create_token, revoke_token]
