"""/v1/batches: the steps of a large batch, each short, each the same when it is repeated."""

from functools import partial
from typing import Annotated, Any

from litestar import Request, Router, get, post, put
from litestar.params import FromQuery, JSONBody, PathParameter, QueryParameter

from anyscale.api_schemas import (
    BatchOpen,
    BatchPage,
    BatchPublish,
    BatchUsers,
    Conflicts,
    PasswordChunk,
    Stored,
    UserChunk,
    UserPage,
)
from anyscale.errors import BatchRefused, Problem, RequestInvalid, TooLarge
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.batches.records import MAX_POSITION
from anyscale.server.http.api.user_bodies import checked_chunk, decoded, decoded_users
from anyscale.server.http.api.users import Key
from anyscale.server.http.authentication import TOKEN_AUTHENTICATION, require_owner
from anyscale.server.http.dependencies import GivenCaller, GivenPlane, GivenPools
from anyscale.server.http.errors import answers
from anyscale.server.http.metrics import BATCHES, HASHES, USERS
from anyscale.user.models import Batch, ReservedChunk
from anyscale.user.passwords import normalized

__all__ = ["router"]

AnyRequest = Request[Any, Any, Any]

Id = Annotated[str, PathParameter(max_length=64, description="`bat_...`")]
After = Annotated[str, QueryParameter(max_length=64, description="What the last page ended with.")]
Limit = Annotated[int, QueryParameter(ge=1, le=10_000, description="How many a page.")]


@post(
    "/",
    operation_id="openBatch",
    summary="Open a batch, or take up the one with this key where it stopped.",
    status_code=200,
    responses=answers(409),
)
async def open_batch(
    data: JSONBody[BatchOpen],
    plane: GivenPlane,
    caller: GivenCaller,
    pools: GivenPools,
    key: Key = None,
) -> Batch:
    if not key:
        raise RequestInvalid("a batch is opened with a key: send the header Idempotency-Key")
    return await pools.write.run(partial(plane.batches.open, key, data.if_exists, caller))


@get(
    "/",
    operation_id="listBatches",
    summary="List batches, the latest first, or give the live one with a key.",
    responses=answers(),
)
async def list_batches(
    plane: GivenPlane,
    pools: GivenPools,
    open_only: FromQuery[bool] = False,
    before: Annotated[str, QueryParameter(max_length=64)] = "",
    limit: Annotated[int, QueryParameter(ge=1, le=1000)] = 100,
    key: Key = None,
) -> BatchPage:
    if key:
        found = await pools.read.run(partial(plane.batches.find, key))
        return BatchPage([found] if found else [])
    page = partial(plane.batches.page, open_only=open_only, before=before, limit=limit)
    return BatchPage(await pools.read.run(page))


@get(
    "/{batch_id:str}",
    operation_id="showBatch",
    summary="Show one batch: its state and its counts.",
    responses=answers(404),
)
async def show_batch(batch_id: Id, plane: GivenPlane, pools: GivenPools) -> Batch:
    return await pools.read.run(partial(plane.batches.show, batch_id))


@put(
    "/{batch_id:str}/chunks/{number:int}",
    operation_id="claimChunk",
    summary="Claim the emails of a chunk of users, without their passwords.",
    responses=answers(404, 409, 413, 422),
)
async def claim_chunk(
    request: AnyRequest,
    batch_id: Id,
    number: Annotated[int, PathParameter(ge=0, le=MAX_POSITION)],
    plane: GivenPlane,
    pools: GivenPools,
) -> ReservedChunk:
    body = await request.body()
    return await pools.write.run(partial(_claim, plane, batch_id, number, body))


def _claim(plane: ControlPlane, batch_id: str, number: int, body: bytes) -> ReservedChunk:
    policy = plane.batches.available_policy()
    if (number + 1) * policy.chunk_users > MAX_POSITION:
        raise TooLarge(f"a batch has at most {MAX_POSITION} users")
    chunk = decoded_users(body, UserChunk, policy)
    users = checked_chunk(chunk.create_users, policy, number * policy.chunk_users)
    return plane.batches.claim(batch_id, number, users)


@post(
    "/{batch_id:str}/passwords",
    operation_id="hashPasswords",
    summary="Hash passwords of claimed users and store the hashes; the first one stays.",
    status_code=200,
    responses=answers(404, 409, 413, 422),
)
async def hash_passwords(
    request: AnyRequest, batch_id: Id, plane: GivenPlane, pools: GivenPools
) -> Stored:
    body = await request.body()
    return Stored(await pools.hashing.run(partial(_hash, plane, batch_id, body)))


def _hash(plane: ControlPlane, batch_id: str, body: bytes) -> int:
    chunk, most = decoded(body, PasswordChunk), plane.batches.policy.chunk_passwords
    if len(chunk.passwords) > most:
        raise TooLarge(f"{len(chunk.passwords)} passwords are more than a chunk: {most}")
    wrong = [
        Problem(index=at, field="password", code="required", detail="is empty, and was announced")
        for at, text in chunk.passwords
        if not text or not 0 <= at <= MAX_POSITION
    ]
    if wrong:
        raise BatchRefused(wrong)
    pairs = [(at, normalized(text)) for at, text in chunk.passwords]
    stored = plane.batches.hash(batch_id, pairs)
    HASHES.inc(stored)
    return stored


@post(
    "/{batch_id:str}/publish",
    operation_id="publishBatch",
    summary="Make every user of the batch an account, at one moment.",
    status_code=200,
    responses=answers(404, 409),
)
async def publish_batch(
    data: JSONBody[BatchPublish],
    batch_id: Id,
    plane: GivenPlane,
    caller: GivenCaller,
    pools: GivenPools,
) -> Batch:
    publish = partial(plane.batches.publish, batch_id, data.entries, caller)
    batch = await pools.write.run(publish)
    BATCHES.labels(batch.state).inc()
    USERS.inc(batch.users)
    return batch


@post(
    "/{batch_id:str}/release",
    operation_id="releaseBatch",
    summary="Give up the claimed emails and stay open, so that another batch gets through.",
    status_code=204,
    responses=answers(404, 409),
)
async def release_batch(batch_id: Id, plane: GivenPlane, pools: GivenPools) -> None:
    await pools.write.run(partial(plane.batches.release, batch_id))


@post(
    "/{batch_id:str}/drop",
    operation_id="dropBatch",
    summary="End an open batch: nobody is created, and its emails are free again.",
    status_code=200,
    responses=answers(404, 409),
)
async def drop_batch(
    batch_id: Id, plane: GivenPlane, caller: GivenCaller, pools: GivenPools
) -> Batch:
    batch = await pools.write.run(partial(plane.batches.drop, batch_id, caller))
    BATCHES.labels(batch.state).inc()
    return batch


@get(
    "/{batch_id:str}/conflicts",
    operation_id="listConflicts",
    summary="The report: the entries whose emails somebody else has, by position.",
    responses=answers(404),
)
async def list_conflicts(
    batch_id: Id,
    plane: GivenPlane,
    pools: GivenPools,
    after: Annotated[int, QueryParameter(ge=-1, le=MAX_POSITION)] = -1,
    limit: Limit = 1000,
) -> Conflicts:
    page = partial(plane.batches.conflicts_page, batch_id, after, limit)
    return Conflicts(await pools.read.run(page))


@get(
    "/{batch_id:str}/users",
    operation_id="listBatchUsers",
    summary="The users that a published batch created, in the order of the input.",
    responses=answers(404),
)
async def list_created(
    batch_id: Id, plane: GivenPlane, pools: GivenPools, after: After = "", limit: Limit = 1000
) -> BatchUsers:
    page = partial(plane.batches.created, batch_id, after, limit)
    return BatchUsers(await pools.read.run(page))


@get(
    "/{batch_id:str}/usersWithoutCredentials",
    operation_id="listUsersWithoutCredentials",
    summary="The accounts of a published batch that nobody can sign in to yet.",
    responses=answers(404),
)
async def list_without_credentials(
    batch_id: Id, plane: GivenPlane, pools: GivenPools, after: After = "", limit: Limit = 1000
) -> UserPage:
    page = partial(plane.links.without_credentials, batch_id, after, limit)
    return UserPage(await pools.read.run(page))


def router() -> Router:
    """Give what is under /v1/batches."""
    return Router(
        "/v1/batches",
        route_handlers=[
            open_batch,
            list_batches,
            show_batch,
            claim_chunk,
            hash_passwords,
            publish_batch,
            release_batch,
            drop_batch,
            list_conflicts,
            list_created,
            list_without_credentials,
        ],
        middleware=[TOKEN_AUTHENTICATION],
        guards=[require_owner],
        tags=["batches"],
        security=[{"token": []}],
    )
