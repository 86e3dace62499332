"""/v1/users: find accounts by email, list and search them."""

from typing import Annotated, Literal

from litestar import Router, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromQuery, QueryParameter

from anyscale.domain.models.users import User
from anyscale.domain.schemas.users import FindUsers, FoundUsers, Role, UserPage, UserQuery
from anyscale.domain.validation import Policy
from anyscale.errors import RequestInvalid, TooLarge
from anyscale.server.core.batches.service import BatchService
from anyscale.server.core.users.queries import UserQueries
from anyscale.server.core.users.search import MAX_CURSOR, MAX_SEARCH, UserListing
from anyscale.server.http.api.parameters import AfterUser
from anyscale.server.http.bodies import decode
from anyscale.server.http.dependencies import OwnerRequest
from anyscale.server.http.errors import error_responses
from anyscale.server.http.thread_pools import ThreadPools

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
    dependencies={"user_query": Provide(_user_query, sync_to_thread=False)},
    responses=error_responses(),
)
async def list_users(
    users: NamedDependency[UserQueries],
    listing: NamedDependency[UserListing],
    pools: NamedDependency[ThreadPools],
    user_query: NamedDependency[UserQuery],
    cursor: Cursor = None,
    match: FromQuery[Literal["contains", "exact"]] = "contains",
    after: AfterUser = "",
    limit: Annotated[int, QueryParameter(ge=1, le=1000, description="Users in a page.")] = 100,
) -> UserPage:
    if cursor is None and user_query.is_plain:
        return UserPage(await pools.read.run(_list_by_id, users, user_query, match, after, limit))
    if after or match == "exact":
        raise RequestInvalid(
            "search, cursor, order, role, sso and without_credentials go neither with after nor "
            "with an exact match: page by cursor"
        )
    return await pools.read.run(listing.page, user_query, cursor or "", limit)


def _list_by_id(
    users: UserQueries, query: UserQuery, match: str, after: str, limit: int
) -> list[User]:
    """Return a page of accounts by `user_id`, or those that match exactly."""
    email, name, suspended = query.email, query.name, query.suspended
    if match == "contains":
        return users.page(email=email, name=name, suspended=suspended, after=after, limit=limit)
    if bool(email) == bool(name) or suspended:
        raise RequestInvalid("an exact match is of either an email or a name, and of nothing else")
    return users.with_email(email) if email else users.with_name(name)


ROUTER = Router("/", route_handlers=[find_users, list_users], tags=["users"])
