"""/v1/me/tokens: a person's own tokens, which have that person's role at each call."""

from functools import partial
from typing import Annotated, Any

from litestar import Request, delete, get, post
from litestar.params import PathParameter

from anyscale.errors import NotFound
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.login.sessions import AuthenticatedUser
from anyscale.server.http.account.authentication import own_password_only
from anyscale.server.http.api.user_bodies import decoded
from anyscale.server.http.dependencies import GivenLanes, GivenMember, GivenPlane
from anyscale.server.http.errors import answers
from anyscale.server.http.login.schemas import (
    CreatedToken,
    CreateTokenRequest,
    TokenInfo,
    TokenList,
    token_seen,
)

__all__ = ["HANDLERS", "live_tokens", "make_token"]

AnyRequest = Request[Any, Any, Any]

TokenId = Annotated[str, PathParameter(max_length=64, description="`tok_...`")]


@get(
    "/me/tokens",
    operation_id="listMyTokens",
    summary="List the own tokens that are good, the latest first.",
    responses=answers(),
    guards=[own_password_only],
)
async def list_tokens(plane: GivenPlane, lanes: GivenLanes, member: GivenMember) -> TokenList:
    return TokenList(await lanes.reading.run(partial(live_tokens, plane, member)))


@post(
    "/me/tokens",
    operation_id="createMyToken",
    summary="Make a token of one's own, which is shown this once.",
    responses=answers(404, 413),
    guards=[own_password_only],
)
async def create_token(
    request: AnyRequest, plane: GivenPlane, lanes: GivenLanes, member: GivenMember
) -> CreatedToken:
    asked = decoded(await request.body(), CreateTokenRequest)
    return await lanes.reading.run(
        partial(make_token, plane, member, asked.name, asked.expires_days)
    )


@delete(
    "/me/tokens/{token_id:str}",
    operation_id="revokeMyToken",
    summary="End one of the own tokens, from the next call on.",
    responses=answers(404),
    guards=[own_password_only],
)
async def revoke_token(
    plane: GivenPlane, lanes: GivenLanes, member: GivenMember, token_id: TokenId
) -> None:
    revoke = partial(plane.tokens.revoke_personal, member.account.user_id, token_id)
    await lanes.reading.run(revoke)


def live_tokens(plane: ControlPlane, member: AuthenticatedUser) -> list[TokenInfo]:
    """Give a person's tokens that are neither revoked nor expired, the latest first."""
    now = plane.now()
    live = [
        token
        for token in plane.tokens.personal(member.account.user_id)
        if token.revoked_at is None and (token.expires_at is None or token.expires_at > now)
    ]
    return [token_seen(token) for token in reversed(live)]


def make_token(
    plane: ControlPlane, member: AuthenticatedUser, name: str, days: int | None
) -> CreatedToken:
    """Make a token for a person, as `TokenList.create_personal` does."""
    token = plane.tokens.create_personal(member.account.user_id, name, days)
    for made in live_tokens(plane, member):
        if made.name == name:
            return CreatedToken(token, made)
    raise NotFound("the token was revoked at once")


HANDLERS = [list_tokens, create_token, revoke_token]
