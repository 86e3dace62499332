"""/v1/batches: the steps of a large batch. Each call is short, and can be repeated."""

from typing import Annotated

from litestar import Router, get, post, put
from litestar.di import NamedDependency
from litestar.params import JSONBody, PathParameter, QueryParameter

from anyscale.domain.models.batches import Batch, ReservedChunk
from anyscale.domain.schemas.batches import (
    BatchOpen,
    BatchPage,
    BatchPublish,
    BatchUndo,
    BatchUsers,
    Conflicts,
    PasswordChunk,
    Stored,
    UndoPart,
    UserChunk,
)
from anyscale.domain.schemas.users import UserList
from anyscale.errors import BatchRefused, Problem, RequestInvalid, TooLarge
from anyscale.server.core.batches.service import MAX_POSITION, BatchService
from anyscale.server.core.callers import Caller
from anyscale.server.core.users.password_links import PasswordLinkService
from anyscale.server.http.api.parameters import AfterUser, BatchId, IdempotencyKey, PageOfUsers
from anyscale.server.http.api.user_bodies import check_chunk, decode_users
from anyscale.server.http.bodies import decode
from anyscale.server.http.dependencies import OwnerRequest
from anyscale.server.http.errors import error_responses
from anyscale.server.http.operations.metrics import BATCHES, HASHES, UNDONE, USERS
from anyscale.server.http.thread_pools import ThreadPools

__all__ = ["ROUTER"]


@post(
    "/",
    operation_id="openBatch",
    summary="Open a batch, or return the open one with this key.",
    status_code=200,
    responses=error_responses(409),
)
async def open_batch(
    request: OwnerRequest,
    data: JSONBody[BatchOpen],
    batches: NamedDependency[BatchService],
    pools: NamedDependency[ThreadPools],
    key: IdempotencyKey = None,
) -> Batch:
    if not key:
        raise RequestInvalid("a batch is opened with a key: send the header Idempotency-Key")
    return await pools.write.run(batches.open, key, data.if_exists, request.user)


@get(
    "/",
    operation_id="listBatches",
    summary="List batches, the latest first; with a key only the open or published one with it.",
    responses=error_responses(),
)
async def list_batches(
    batches: NamedDependency[BatchService],
    pools: NamedDependency[ThreadPools],
    open_only: Annotated[
        bool, QueryParameter(description="Only those that are `open` or `undoing`.")
    ] = False,
    before: Annotated[str, QueryParameter(max_length=64)] = "",
    limit: Annotated[int, QueryParameter(ge=1, le=1000)] = 100,
    key: IdempotencyKey = None,
) -> BatchPage:
    if key:
        batch = await pools.read.run(batches.find, key)
        return BatchPage([batch] if batch else [])
    page = await pools.read.run(batches.page, open_only=open_only, before=before, limit=limit)
    return BatchPage(page)


@get(
    "/{batch_id:str}",
    operation_id="showBatch",
    summary="Get a batch: its state and its counts.",
    responses=error_responses(404),
)
async def show_batch(
    request: OwnerRequest,
    batch_id: BatchId,
    batches: NamedDependency[BatchService],
    pools: NamedDependency[ThreadPools],
) -> Batch:
    return await pools.read.run(batches.show, batch_id, request.user)


@put(
    "/{batch_id:str}/chunks/{number:int}",
    operation_id="reserveChunk",
    summary="Reserve the emails of a chunk of users, without their passwords.",
    responses=error_responses(404, 409, 413, 422),
)
async def reserve_chunk(
    request: OwnerRequest,
    batch_id: BatchId,
    number: Annotated[int, PathParameter(ge=0, le=MAX_POSITION)],
    batches: NamedDependency[BatchService],
    pools: NamedDependency[ThreadPools],
) -> ReservedChunk:
    body = await request.body()
    return await pools.write.run(_reserve, batches, batch_id, number, body, request.user)


def _reserve(
    batches: BatchService, batch_id: str, number: int, body: bytes, caller: Caller
) -> ReservedChunk:
    policy = batches.available_policy()
    if (number + 1) * policy.chunk_users > MAX_POSITION:
        raise TooLarge(f"a batch has at most {MAX_POSITION} users")
    chunk = decode_users(body, UserChunk, policy)
    users = check_chunk(chunk.create_users, policy, number * policy.chunk_users)
    return batches.reserve(batch_id, number, users, caller)


@post(
    "/{batch_id:str}/passwords",
    operation_id="hashPasswords",
    summary="Hash passwords of reserved users, and store the hashes. A stored hash is kept.",
    status_code=200,
    responses=error_responses(404, 409, 413, 422),
)
async def hash_passwords(
    request: OwnerRequest,
    batch_id: BatchId,
    batches: NamedDependency[BatchService],
    pools: NamedDependency[ThreadPools],
) -> Stored:
    body = await request.body()
    return Stored(await pools.hashing.run(_hash, batches, batch_id, body, request.user))


def _hash(batches: BatchService, batch_id: str, body: bytes, caller: Caller) -> int:
    passwords = decode(body, PasswordChunk).passwords
    _check_passwords(passwords, batches.policy.chunk_passwords)
    stored = batches.hash(batch_id, passwords, caller)
    HASHES.inc(stored)
    return stored


def _check_passwords(passwords: list[tuple[int, str]], limit: int) -> None:
    if len(passwords) > limit:
        raise TooLarge(f"{len(passwords)} passwords are more than a chunk: {limit}")
    problems = [
        Problem(index=at, field="password", code="required", detail="is empty, and was announced")
        for at, password in passwords
        if not password or not 0 <= at <= MAX_POSITION
    ]
    if problems:
        raise BatchRefused(problems)


@post(
    "/{batch_id:str}/publish",
    operation_id="publishBatch",
    summary="Publish a batch: all of its users become accounts at once.",
    status_code=200,
    responses=error_responses(404, 409),
)
async def publish_batch(
    request: OwnerRequest,
    data: JSONBody[BatchPublish],
    batch_id: BatchId,
    batches: NamedDependency[BatchService],
    pools: NamedDependency[ThreadPools],
) -> Batch:
    batch = await pools.write.run(batches.publish, batch_id, data.entries, request.user)
    BATCHES.labels(batch.state).inc()
    USERS.inc(batch.users)
    return batch


@post(
    "/{batch_id:str}/release",
    operation_id="releaseBatch",
    summary="Release the reserved emails to another batch; the batch stays open.",
    status_code=204,
    responses=error_responses(404, 409),
)
async def release_batch(
    request: OwnerRequest,
    batch_id: BatchId,
    batches: NamedDependency[BatchService],
    pools: NamedDependency[ThreadPools],
) -> None:
    await pools.write.run(batches.release, batch_id, request.user)


@post(
    "/{batch_id:str}/drop",
    operation_id="dropBatch",
    summary="Drop an open batch: no user is created, and its emails are released.",
    status_code=200,
    responses=error_responses(404, 409),
)
async def drop_batch(
    request: OwnerRequest,
    batch_id: BatchId,
    batches: NamedDependency[BatchService],
    pools: NamedDependency[ThreadPools],
) -> Batch:
    batch = await pools.write.run(batches.drop, batch_id, request.user)
    BATCHES.labels(batch.state).inc()
    return batch


@post(
    "/{batch_id:str}/undo",
    operation_id="undoBatch",
    summary="Delete accounts that a batch created, for about a second; `after` goes on.",
    status_code=200,
    responses=error_responses(404, 409),
)
async def undo_batch(
    request: OwnerRequest,
    data: JSONBody[BatchUndo],
    batch_id: BatchId,
    batches: NamedDependency[BatchService],
    pools: NamedDependency[ThreadPools],
) -> UndoPart:
    options = {"force": data.force, "dry_run": data.dry_run}
    part = await pools.write.run(batches.undo, batch_id, data.after, request.user, **options)
    if not data.dry_run:
        UNDONE.inc(part.removed)
    return part


@get(
    "/{batch_id:str}/conflicts",
    operation_id="listConflicts",
    summary="List the entries whose emails others have, by position.",
    responses=error_responses(404),
)
async def list_conflicts(
    batch_id: BatchId,
    batches: NamedDependency[BatchService],
    pools: NamedDependency[ThreadPools],
    after: Annotated[int, QueryParameter(ge=-1, le=MAX_POSITION)] = -1,
    limit: Annotated[int, QueryParameter(ge=1, le=10_000)] = 1000,
) -> Conflicts:
    return Conflicts(await pools.read.run(batches.conflicts, batch_id, after, limit))


@get(
    "/{batch_id:str}/users",
    operation_id="listBatchUsers",
    summary="List the users that a published batch created, in the order of the input.",
    responses=error_responses(404),
)
async def list_created(
    batch_id: BatchId,
    batches: NamedDependency[BatchService],
    pools: NamedDependency[ThreadPools],
    after: AfterUser = "",
    limit: PageOfUsers = 1000,
) -> BatchUsers:
    return BatchUsers(await pools.read.run(batches.created, batch_id, after, limit))


@get(
    "/{batch_id:str}/usersWithoutCredentials",
    operation_id="listUsersWithoutCredentials",
    summary="List the accounts of a published batch that have no sign-in method yet.",
    responses=error_responses(404),
)
async def list_without_credentials(
    batch_id: BatchId,
    links: NamedDependency[PasswordLinkService],
    pools: NamedDependency[ThreadPools],
    after: AfterUser = "",
    limit: PageOfUsers = 1000,
) -> UserList:
    return UserList(await pools.read.run(links.without_credentials, batch_id, after, limit))


ROUTER = Router(
    "/batches",
    route_handlers=[
        open_batch,
        list_batches,
        show_batch,
        reserve_chunk,
        hash_passwords,
        publish_batch,
        release_batch,
        drop_batch,
        undo_batch,
        list_conflicts,
        list_created,
        list_without_credentials,
    ],
    tags=["batches"],
)
