"""/v1/policy and /v1/users: batches in a single request, lookups of emails, and the accounts."""

import os
from collections.abc import Iterable
from typing import Annotated, Literal

from litestar import Router, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromQuery, QueryParameter

from anyscale.api_schemas import (
    BatchCreate,
    BatchCreated,
    Conflicts,
    FindUsers,
    FoundUsers,
    LookUp,
    Role,
    Skipped,
    UserPage,
    UserQuery,
)
from anyscale.errors import BatchRefused, RequestInvalid, TooLarge
from anyscale.server.core.authorization import Principal
from anyscale.server.core.batches.service import BatchService
from anyscale.server.core.users.cursor import MAX_CURSOR
from anyscale.server.core.users.listing import UserListing
from anyscale.server.core.users.queries import UserQueries
from anyscale.server.core.users.search_query import MAX_SEARCH
from anyscale.server.http.api.parameters import AfterUser, IdempotencyKey
from anyscale.server.http.api.user_bodies import (
    check_chunk,
    check_users,
    decode_users,
    passwords_of,
)
from anyscale.server.http.bodies import decode
from anyscale.server.http.dependencies import OwnerRequest
from anyscale.server.http.errors import error_responses
from anyscale.server.http.metrics import BATCHES, HASHES, USERS
from anyscale.server.http.thread_pools import ThreadPools
from anyscale.user.models import Conflict, Created, User
from anyscale.user.validation import CheckedUser, Policy, conflict_problems, is_skipped

__all__ = ["ROUTER"]

_CONTAINED = "Only accounts whose {} contains this, without regard to case. Not with `search`."
Email = Annotated[str, QueryParameter(max_length=256, description=_CONTAINED.format("email"))]
Name = Annotated[
    str,
    QueryParameter(max_length=256, description=_CONTAINED.format("first name (`name`)")),
]

Cursor = Annotated[
    str | None,
    QueryParameter(
        max_length=MAX_CURSOR,
        description="The `cursor` of the previous page; empty for the first page.",
    ),
]

_LIST_USERS = (
    "With `cursor`, which is empty for the first page, each page has the cursor of the next one, "
    "or null if there is none. A page looks at accounts for about 30 ms: an empty page with a "
    "cursor is not the end. Without `search`, `cursor`, `order`, `role`, `sso` and "
    "`without_credentials`, page by `after`."
)

_SEARCH = (
    "Words and parts of the email, the name and the last name; with an `@` an email, or parts as "
    "they are written. The accounts that match best come first. `unindexed` of the response is "
    "the number of accounts whose words were not indexed at the first page: those are found by "
    "their email, and last by parts."
)


@get(
    "/policy",
    operation_id="getPolicy",
    summary="Get the password policy and the limits of a batch.",
    responses=error_responses(),
)
async def get_policy(batches: NamedDependency[BatchService]) -> Policy:
    return batches.available_policy()


@post(
    "/users:batchCreate",
    operation_id="createUsers",
    summary="Create a small batch of users: all of them or none.",
    status_code=200,
    responses=error_responses(409, 413, 422),
)
async def create_users(
    request: OwnerRequest,
    batches: NamedDependency[BatchService],
    pools: NamedDependency[ThreadPools],
    key: IdempotencyKey = None,
) -> BatchCreated:
    body = await request.body()
    return await pools.write.run(_create, batches, body, key, request.user)


def _create(batches: BatchService, body: bytes, key: str | None, caller: Principal) -> BatchCreated:
    policy = batches.available_policy()
    batch = decode_users(body, BatchCreate, policy)
    users, passwords = batch.create_users, passwords_of(batch.create_users)
    # First, since the check of one password may take 30 ms.
    if len(users) > policy.small_users or len(passwords) > policy.small_passwords:
        raise TooLarge(
            f"one call takes {policy.small_users} users and {policy.small_passwords} passwords: "
            "send more by /v1/batches"
        )
    checked = check_users(users, policy)
    if batch.dry_run:
        return _dry_run(batches, checked, batch.if_exists)
    if not users:
        return BatchCreated([], [])
    key = key or os.urandom(16).hex()
    created = batches.create(key, checked, batch.if_exists, caller, passwords)
    if not created.replayed:
        _count(created, len(passwords))
    return BatchCreated(created.users, _skipped(created.skipped), created.batch, created.replayed)


def _count(created: Created, passwords: int) -> None:
    HASHES.inc(passwords)
    BATCHES.labels("published").inc()
    USERS.inc(len(created.users))


def _skipped(conflicts: Iterable[Conflict]) -> list[Skipped]:
    return [Skipped(conflict.position, conflict.email) for conflict in conflicts]


def _dry_run(batches: BatchService, users: list[CheckedUser], if_exists: str) -> BatchCreated:
    conflicts = batches.look_up(users, 0)
    if refused := [one for one in conflicts if not is_skipped(one, if_exists)]:
        raise BatchRefused(conflict_problems(refused))
    return BatchCreated([], _skipped(conflicts))


@post(
    "/users:lookUp",
    operation_id="lookUpUsers",
    summary="List the emails of a chunk of users that are taken. Writes nothing.",
    status_code=200,
    responses=error_responses(413, 422),
)
async def look_up(
    request: OwnerRequest,
    batches: NamedDependency[BatchService],
    pools: NamedDependency[ThreadPools],
) -> Conflicts:
    body = await request.body()
    return await pools.read.run(_look_up, batches, body)


def _look_up(batches: BatchService, body: bytes) -> Conflicts:
    chunk = decode_users(body, LookUp, batches.policy)
    users = check_chunk(chunk.create_users, batches.policy, chunk.first)
    return Conflicts(batches.look_up(users, chunk.first))


@post(
    "/users:find",
    operation_id="findUsers",
    summary="Get the accounts with some emails, in the order of the emails. Writes nothing.",
    status_code=200,
    responses=error_responses(413),
)
async def find_users(
    request: OwnerRequest,
    users: NamedDependency[UserQueries],
    batches: NamedDependency[BatchService],
    pools: NamedDependency[ThreadPools],
) -> FoundUsers:
    body = await request.body()
    return await pools.read.run(_find, users, batches.policy, body)


def _find(users: UserQueries, policy: Policy, body: bytes) -> FoundUsers:
    emails = decode(body, FindUsers).emails
    if len(emails) > policy.chunk_users:
        raise TooLarge(f"{len(emails)} emails are more than a chunk: {policy.chunk_users}")
    return FoundUsers(users.with_emails(emails))


def _user_query(
    search: Annotated[
        str | None, QueryParameter(max_length=MAX_SEARCH, description=_SEARCH)
    ] = None,
    email: Email = "",
    name: Name = "",
    suspended: Annotated[bool, QueryParameter(description="Only suspended accounts.")] = False,
    role: Annotated[Role | None, QueryParameter(description="Only accounts of this role.")] = None,
    sso: Annotated[bool, QueryParameter(description="Only SSO users.")] = False,
    without_credentials: Annotated[
        bool, QueryParameter(description="Only accounts to which no user can sign in.")
    ] = False,
    order: Annotated[
        Literal["created", "-created"], QueryParameter(description="`-created`: newest first.")
    ] = "created",
) -> UserQuery:
    if search == "":  # a client that sends an empty field of a form does not mean all accounts
        raise RequestInvalid("search for at least one character that is not blank")
    return UserQuery(
        search=search or "",
        email=email,
        name=name,
        suspended=suspended,
        role=role,
        sso=sso,
        without_credentials=without_credentials,
        newest_first=order == "-created",
    )


@get(
    "/users",
    operation_id="listUsers",
    summary="List accounts in the order of their creation.",
    description=_LIST_USERS,
    dependencies={"chosen": Provide(_user_query, sync_to_thread=False)},
    responses=error_responses(),
)
async def list_users(
    users: NamedDependency[UserQueries],
    listing: NamedDependency[UserListing],
    pools: NamedDependency[ThreadPools],
    chosen: NamedDependency[UserQuery],
    cursor: Cursor = None,
    match: FromQuery[Literal["contains", "exact"]] = "contains",
    after: AfterUser = "",
    limit: Annotated[int, QueryParameter(ge=1, le=1000, description="Users in a page.")] = 100,
) -> UserPage:
    if cursor is None and chosen.is_plain:
        return UserPage(await pools.read.run(_find_plainly, users, chosen, match, after, limit))
    if after or match == "exact":
        raise RequestInvalid(
            "search, cursor, order, role, sso and without_credentials go neither with after nor "
            "with an exact match: page by cursor"
        )
    return await pools.read.run(listing.page, chosen, cursor or "", limit)


def _find_plainly(
    users: UserQueries, query: UserQuery, match: str, after: str, limit: int
) -> list[User]:
    email, name, suspended = query.email, query.name, query.suspended
    if match == "contains":
        return users.page(email=email, name=name, suspended=suspended, after=after, limit=limit)
    if bool(email) == bool(name) or suspended:
        raise RequestInvalid("an exact match is of either an email or a name, and of nothing else")
    return users.with_email(email) if email else users.with_name(name)


ROUTER = Router(
    "/", route_handlers=[get_policy, create_users, look_up, find_users, list_users], tags=["users"]
)
