"""/v1/users: find accounts by email, list, search and export them."""

from datetime import date
from typing import Annotated, Literal

from litestar import Router
from litestar.di import NamedDependency, Provide
from litestar.params import QueryParameter, RawBody

from anyscale.domain.schemas.exports import EXPORT_PAGE, ExportPage
from anyscale.domain.schemas.users import USER_PAGE, FindUsers, FoundUsers, Role, UserPage
from anyscale.domain.user_query import MAX_QUERY_TEXT, UserQuery
from anyscale.errors import TooLarge
from anyscale.server.core.accounts.export import UserExports
from anyscale.server.core.accounts.queries import UserQueries
from anyscale.server.core.batches.service import BatchService
from anyscale.server.core.permissions import Permission
from anyscale.server.core.search import MAX_CURSOR, UserListing
from anyscale.server.http.api.parameters import AfterUser
from anyscale.server.http.bodies import decode
from anyscale.server.http.errors import error_responses
from anyscale.server.http.route_handlers import get, post

_CONTAINED = (
    "Only accounts whose {} contains this, without regard to case; with `match=exact`, only those "
    "{}. Not with `search`."
)
Email = Annotated[
    str,
    QueryParameter(
        max_length=MAX_QUERY_TEXT,
        description=_CONTAINED.format("email", "with this email in any spelling")
        + " The account with exactly this email comes first.",
    ),
]
Name = Annotated[
    str,
    QueryParameter(
        max_length=MAX_QUERY_TEXT,
        description=_CONTAINED.format("first name (`name`)", "with exactly this name"),
    ),
]

Cursor = Annotated[
    str,
    QueryParameter(
        max_length=MAX_CURSOR,
        description="The `cursor` of the previous page; empty for the first page.",
    ),
]

_LIST_USERS = (
    "Each page has the `cursor` of the next page, or null if there is none. The first page looks "
    "at accounts for about 30 ms, later ones for 300 ms: an empty page with a cursor is not the "
    "end."
)

_SEARCH = (
    "Words and parts of the email, the name and the last name; with an `@` an email, or parts as "
    "they are written. The accounts that match best come first. `unindexed` of the response is "
    "the number of accounts whose words were not indexed at the first page: those are found by "
    "their email, and last by parts."
)


@post(
    "/users:find",
    pool="read",
    permission=Permission.READ_ACCOUNTS,
    operation_id="findUsers",
    summary="Get the accounts with some emails, then those with some external ids. Writes nothing.",
    status_code=200,
    responses=error_responses(413),
)
def find_users(
    body: RawBody, users: NamedDependency[UserQueries], batches: NamedDependency[BatchService]
) -> FoundUsers:
    wanted, limit = decode(body, FindUsers), batches.policy.chunk_users
    if (count := len(wanted.emails) + len(wanted.external_ids)) > limit:
        raise TooLarge(f"{count} emails and external ids are more than a chunk: {limit}")
    return FoundUsers(users.find(wanted.emails, wanted.external_ids))


def _user_query(
    search: Annotated[
        str | None, QueryParameter(max_length=MAX_QUERY_TEXT, description=_SEARCH)
    ] = None,
    email: Email = "",
    name: Name = "",
    suspended: Annotated[bool, QueryParameter(description="Only suspended accounts.")] = False,
    role: Annotated[Role | None, QueryParameter(description="Only accounts of this role.")] = None,
    sso: Annotated[bool, QueryParameter(description="Only SSO users.")] = False,
    without_credentials: Annotated[
        bool, QueryParameter(description="Only accounts that nobody can sign in to.")
    ] = False,
    without_second_factor: Annotated[
        bool,
        QueryParameter(
            description="Only accounts that are not suspended and have no second factor."
        ),
    ] = False,
    not_since: Annotated[
        date | None,
        QueryParameter(
            description="Only accounts without a sign-in on this day (UTC) and since, such as "
            "`2026-09-30`; also those without any sign-in."
        ),
    ] = None,
    order: Annotated[
        Literal["created", "-created"], QueryParameter(description="`-created`: newest first.")
    ] = "created",
    match: Annotated[
        Literal["contains", "exact"],
        QueryParameter(description="`exact`: either an email or a name, and nothing else."),
    ] = "contains",
) -> UserQuery:
    return UserQuery(
        search=search,
        email=email,
        name=name,
        suspended=suspended,
        role=role,
        sso=sso,
        without_credentials=without_credentials,
        without_second_factor=without_second_factor,
        not_since=not_since,
        newest_first=order == "-created",
        exact=match == "exact",
    )


@get(
    "/users",
    pool="read",
    permission=Permission.READ_ACCOUNTS,
    operation_id="listUsers",
    summary="List accounts in the order of their creation.",
    description=_LIST_USERS,
    dependencies={"user_query": Provide(_user_query, sync_to_thread=False)},
    responses=error_responses(),
)
def list_users(
    listing: NamedDependency[UserListing],
    user_query: NamedDependency[UserQuery],
    cursor: Cursor = "",
    limit: Annotated[int, QueryParameter(ge=1, le=USER_PAGE, description="Users in a page.")] = 100,
) -> UserPage:
    return listing.page(user_query, cursor, limit)


@get(
    "/users:export",
    pool="read",
    permission=Permission.READ_ACCOUNTS,
    operation_id="exportUsers",
    summary="Get all accounts in pages, as `anyscale user export` writes them, without hashes.",
    responses=error_responses(),
)
def export_users(
    exports: NamedDependency[UserExports],
    after: AfterUser = "",
    limit: Annotated[
        int, QueryParameter(ge=1, le=EXPORT_PAGE, description="Users in a page.")
    ] = EXPORT_PAGE,
) -> ExportPage:
    return exports.page(after, limit)


ROUTER = Router("/", route_handlers=[find_users, list_users, export_users], tags=["users"])
