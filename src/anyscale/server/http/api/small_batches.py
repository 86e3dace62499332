"""/v1/policy, and batches in a single request: create, dry run, and the look-up of taken emails."""

import os
from collections.abc import Iterable, Sequence

from litestar import Router
from litestar.di import NamedDependency
from litestar.params import RawBody
from msgspec import structs

from anyscale.domain.models.batches import Conflict, Created
from anyscale.domain.schemas.batches import BatchCreate, BatchCreated, Conflicts, LookUp, Skipped
from anyscale.domain.validation import Policy
from anyscale.errors import TooLarge
from anyscale.server.core.batches.service import BatchService
from anyscale.server.core.permissions import Permission
from anyscale.server.http.api.parameters import CreationKey
from anyscale.server.http.api.user_bodies import (
    check_chunk,
    check_users,
    decode_users,
    passwords_of,
)
from anyscale.server.http.dependencies import TokenRequest
from anyscale.server.http.errors import error_responses
from anyscale.server.http.route_handlers import get, post


@get(
    "/policy",
    permission=Permission.READ_ACCOUNTS,
    operation_id="getPolicy",
    summary="Get the password policy and the limits of a batch.",
    responses=error_responses(),
)
async def get_policy(batches: NamedDependency[BatchService]) -> Policy:
    return batches.available_policy()


@post(
    "/users:batchCreate",
    pool="write",
    permission=Permission.CREATE_ACCOUNTS,
    operation_id="createUsers",
    summary="Create a small batch of users: all of them or none.",
    status_code=200,
    responses=error_responses(409, 413, 422),
)
def create_users(
    request: TokenRequest,
    body: RawBody,
    batches: NamedDependency[BatchService],
    key: CreationKey = None,
) -> BatchCreated:
    policy = batches.available_policy()
    batch = decode_users(body, BatchCreate, policy)
    policy = structs.replace(policy, accept_weak_hashes=batch.accept_weak_hashes)
    users, passwords = batch.create_users, passwords_of(batch.create_users)
    # The count comes first, because the check of one password may take 30 ms.
    _require_small(users, passwords, policy)
    checked, weak = check_users(users, policy)
    _require_small(users, [*passwords, *weak], policy)
    if batch.dry_run:
        if key and (replay := batches.find_replay(key, checked, batch.if_exists)):
            return _result(replay)
        return BatchCreated([], _skipped(batches.dry_run(checked, batch.if_exists)))
    if not users:
        return BatchCreated([], [])
    key = key or os.urandom(16).hex()
    return _result(
        batches.create(
            request.user,
            key,
            checked,
            batch.if_exists,
            [*passwords, *weak],
            mail_links=batch.mail_links,
            label=batch.label,
        )
    )


def _require_small(users: Sequence[object], passwords: Sequence[object], policy: Policy) -> None:
    if len(users) > policy.small_users or len(passwords) > policy.small_passwords:
        raise TooLarge(
            f"a call accepts {policy.small_users} users and {policy.small_passwords} passwords or "
            "weak hashes: send more by /v1/batches"
        )


def _result(created: Created) -> BatchCreated:
    return BatchCreated(created.users, _skipped(created.skipped), created.batch, created.replayed)


def _skipped(conflicts: Iterable[Conflict]) -> list[Skipped]:
    return [Skipped(conflict.position, conflict.email) for conflict in conflicts]


@post(
    "/users:lookUp",
    pool="read",
    permission=Permission.READ_ACCOUNTS,
    operation_id="lookUpUsers",
    summary="List the emails of a chunk of users that are taken. Writes nothing.",
    status_code=200,
    responses=error_responses(413, 422),
)
def look_up(body: RawBody, batches: NamedDependency[BatchService]) -> Conflicts:
    chunk = decode_users(body, LookUp, batches.policy)
    users = check_chunk(chunk.create_users, batches.policy, chunk.first)
    return Conflicts(batches.look_up(users, chunk.first))


ROUTER = Router("/", route_handlers=[get_policy, create_users, look_up], tags=["users"])
