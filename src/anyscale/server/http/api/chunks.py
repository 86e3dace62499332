"""/v1/batches/{batch_id}: fill a batch with chunks of users and of passwords, in any order."""

from collections.abc import Sequence
from itertools import starmap
from typing import Annotated

from litestar import Router
from litestar.di import NamedDependency
from litestar.params import PathParameter, RawBody

from anyscale.domain.models.batches import ReservedChunk
from anyscale.domain.schemas.batches import PasswordChunk, Stored, UserChunk
from anyscale.domain.user_sources import WeakHash
from anyscale.domain.validation import Policy
from anyscale.errors import BatchRefused, Problem, TooLarge
from anyscale.server.core.batches.service import MAX_POSITION, BatchService
from anyscale.server.core.permissions import Permission
from anyscale.server.http.api.parameters import BatchId
from anyscale.server.http.api.user_bodies import check_chunk, decode_users
from anyscale.server.http.bodies import decode
from anyscale.server.http.dependencies import TokenRequest
from anyscale.server.http.errors import error_responses
from anyscale.server.http.route_handlers import post, put

#: the last chunk where all users have a position
_LAST_CHUNK = MAX_POSITION // Policy().chunk_users - 1


@put(
    "/{batch_id:str}/chunks/{number:int}",
    pool="write",
    permission=Permission.CREATE_ACCOUNTS,
    operation_id="reserveChunk",
    summary="Reserve the emails of a chunk of users, without their passwords.",
    responses=error_responses(404, 409, 413, 422),
)
def reserve_chunk(
    request: TokenRequest,
    body: RawBody,
    batch_id: BatchId,
    number: Annotated[int, PathParameter(ge=0, le=_LAST_CHUNK)],
    batches: NamedDependency[BatchService],
) -> ReservedChunk:
    policy = batches.available_policy()
    chunk = decode_users(body, UserChunk, policy)
    users = check_chunk(chunk.create_users, policy, number * policy.chunk_users)
    return batches.reserve(request.user, batch_id, number, users)


@post(
    "/{batch_id:str}/passwords",
    pool="hashing",
    permission=Permission.CREATE_ACCOUNTS,
    operation_id="hashPasswords",
    summary="Hash passwords of reserved users, or wrap weak hashes. A stored hash is kept.",
    status_code=200,
    responses=error_responses(404, 409, 413, 422),
)
def hash_passwords(
    request: TokenRequest, body: RawBody, batch_id: BatchId, batches: NamedDependency[BatchService]
) -> Stored:
    chunk = decode(body, PasswordChunk)
    passwords = [*chunk.passwords, *starmap(WeakHash, chunk.weak_hashes)]
    _check_passwords(passwords, batches.policy.chunk_passwords)
    return Stored(batches.hash(request.user, batch_id, passwords))


def _check_passwords(passwords: Sequence[tuple[int, str]], limit: int) -> None:
    if len(passwords) > limit:
        raise TooLarge(f"{len(passwords)} passwords are more than a chunk: {limit}")
    problems = [
        Problem(index=at, field="password", code="required", detail="is empty, and was announced")
        for at, password in passwords
        if not password
    ]
    if problems:
        raise BatchRefused(problems)


ROUTER = Router("/batches", route_handlers=[reserve_chunk, hash_passwords], tags=["batches"])
