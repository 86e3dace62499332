"""/v1/users: small batches, look-ups, and the accounts."""

import os
from functools import partial
from typing import Annotated, Any, Literal

from litestar import Request, Router, get, post
from litestar.params import FromQuery, HeaderParameter, QueryParameter

from anyscale.api_schemas import BatchCreate, BatchCreated, Conflicts, LookUp, Skipped, UserPage
from anyscale.errors import BatchRefused, RequestInvalid, TooLarge
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.authorization import Principal
from anyscale.server.core.batches.records import is_skipped
from anyscale.server.http.api.user_bodies import (
    checked_chunk,
    checked_users,
    decoded_users,
    passwords_of,
)
from anyscale.server.http.authentication import TOKEN_AUTHENTICATION, require_owner
from anyscale.server.http.dependencies import GivenCaller, GivenPlane, GivenPools
from anyscale.server.http.errors import answers
from anyscale.server.http.metrics import BATCHES, HASHES, USERS
from anyscale.user.conflict_problems import problems_of
from anyscale.user.models import User
from anyscale.user.validation import CheckedUser, Policy

__all__ = ["router"]

AnyRequest = Request[Any, Any, Any]

Key = Annotated[
    str | None,
    HeaderParameter(
        name="Idempotency-Key",
        min_length=1,
        max_length=200,
        description="The same call with the same key gives the same answer.",
    ),
]
After = Annotated[
    str,
    QueryParameter(max_length=64, description="The `user_id` that the last page ended with."),
]
Limit = Annotated[int, QueryParameter(ge=1, le=1000, description="UserPage a page.")]
Text = Annotated[str, QueryParameter(max_length=256)]
Suspended = Annotated[bool, QueryParameter(description="Only the accounts that are suspended.")]


@get(
    "/policy",
    operation_id="getPolicy",
    summary="What the control plane asks of a batch, and its limits.",
    responses=answers(),
)
async def get_policy(plane: GivenPlane) -> Policy:
    return plane.batches.available_policy()


@post(
    "/users:batchCreate",
    operation_id="createUsers",
    summary="Create a small batch of users: every one of them, or nobody.",
    status_code=200,
    responses=answers(409, 413, 422),
)
async def create_users(
    request: AnyRequest, plane: GivenPlane, caller: GivenCaller, pools: GivenPools, key: Key = None
) -> BatchCreated:
    body = await request.body()
    return await pools.write.run(partial(_create, plane, body, key, caller))


def _create(plane: ControlPlane, body: bytes, key: str | None, caller: Principal) -> BatchCreated:
    policy = plane.batches.available_policy()
    asked = decoded_users(body, BatchCreate, policy)
    users = checked_users(asked.create_users, policy)
    passwords = passwords_of(asked.create_users)
    if len(users) > policy.small_users or len(passwords) > policy.small_passwords:
        raise TooLarge(
            f"one call takes {policy.small_users} users and {policy.small_passwords} passwords: "
            "send more by /v1/batches"
        )
    if asked.dry_run:
        return _looked_up(plane, users, asked.if_exists)
    if not users:
        return BatchCreated([], [])
    key = key or os.urandom(16).hex()
    created = plane.batches.create(key, users, asked.if_exists, caller, passwords)
    if not created.replayed:
        HASHES.inc(len(passwords))
        BATCHES.labels("published").inc()
        USERS.inc(len(created.users))
    skipped = [Skipped(one.position, one.email) for one in created.skipped]
    return BatchCreated(created.users, skipped, created.batch, created.replayed)


def _looked_up(plane: ControlPlane, users: list[CheckedUser], if_exists: str) -> BatchCreated:
    taken = plane.batches.look_up(users, 0)
    if refused := [one for one in taken if not is_skipped(one, if_exists)]:
        raise BatchRefused(problems_of(refused))
    return BatchCreated([], [Skipped(one.position, one.email) for one in taken])


@post(
    "/users:lookUp",
    operation_id="lookUpUsers",
    summary="Say which emails of a chunk of users are taken; write nothing.",
    status_code=200,
    responses=answers(413, 422),
)
async def look_up(request: AnyRequest, plane: GivenPlane, pools: GivenPools) -> Conflicts:
    body = await request.body()
    return await pools.read.run(partial(_look_up, plane, body))


def _look_up(plane: ControlPlane, body: bytes) -> Conflicts:
    policy = plane.batches.policy
    asked = decoded_users(body, LookUp, policy)
    users = checked_chunk(asked.create_users, policy, asked.first)
    return Conflicts(plane.batches.look_up(users, asked.first))


@get(
    "/users",
    operation_id="listUsers",
    summary="List accounts, in the order of their creation.",
    responses=answers(),
)
async def list_users(
    plane: GivenPlane,
    pools: GivenPools,
    email: Text = "",
    name: Text = "",
    match: FromQuery[Literal["contains", "exact"]] = "contains",
    suspended: Suspended = False,
    after: After = "",
    limit: Limit = 100,
) -> UserPage:
    if match == "exact":
        exact = partial(_exact, plane, email, name, suspended=suspended)
        return UserPage(await pools.read.run(exact))
    asked = partial(plane.users.page, email=email, name=name, suspended=suspended)
    return UserPage(await pools.read.run(partial(asked, after=after, limit=limit)))


def _exact(plane: ControlPlane, email: str, name: str, *, suspended: bool) -> list[User]:
    if bool(email) == bool(name) or suspended:
        raise RequestInvalid("an exact match is of either an email or a name, and of nothing else")
    return plane.users.with_email(email) if email else plane.users.with_name(name)


def router() -> Router:
    """Give what is under /v1 about users."""
    return Router(
        "/v1",
        route_handlers=[get_policy, create_users, look_up, list_users],
        middleware=[TOKEN_AUTHENTICATION],
        guards=[require_owner],
        tags=["users"],
        security=[{"token": []}],
    )
