"""/console/users/download: the list with its filters as a file, in one response of any length."""

from collections.abc import AsyncIterator
from typing import Annotated

from litestar.di import NamedDependency, Provide
from litestar.params import QueryParameter
from litestar.response import Stream
from msgspec import structs

from anyscale.domain.times import day_of, from_milliseconds
from anyscale.server.core.audit.entries import USERS_EXPORTED, AuditLog
from anyscale.server.core.search import UserListing
from anyscale.server.http.console.users.fields import TEXTS
from anyscale.server.http.console.users.filters import UserFilters, read_filters
from anyscale.server.http.dependencies import UserRequest
from anyscale.server.http.route_handlers import get
from anyscale.server.http.thread_pools import ThreadPools
from anyscale.server.http.web.records_file import FileFormat, RecordsFile, Rows, while_permitted
from anyscale.server.store.records.search import FoundUserRecord

_PAGE = 1_000

FIELDS = (
    "user_id",
    "email",
    *TEXTS,
    "permission_level",
    "is_sso_user",
    "sign_in",
    "created_at",
    "suspended_at",
    "last_sign_in_on",
)


@get("/users/download", dependencies={"filters": Provide(read_filters, sync_to_thread=False)})
async def download_users(
    request: UserRequest,
    listing: NamedDependency[UserListing],
    pools: NamedDependency[ThreadPools],
    audit_log: NamedDependency[AuditLog],
    filters: NamedDependency[UserFilters],
    file_format: Annotated[FileFormat, QueryParameter(name="format")] = "csv",
) -> Stream:
    if filters.q:  # a wrong one is refused before the file begins
        listing.check(filters.query)
    # Without the texts of the filters: the log has no personal data.
    details = {"format": file_format, "filtered": filters != UserFilters()}
    await pools.write.run(audit_log.record_export, USERS_EXPORTED, request.user, details)
    pages = while_permitted(request, _pages(listing, pools, filters))
    return RecordsFile("users", file_format, FIELDS).stream(pages)


async def _pages(
    listing: UserListing, pools: ThreadPools, filters: UserFilters
) -> AsyncIterator[Rows]:
    place: str | None = ""
    while place is not None:
        found = await pools.read.run(listing.part, filters.query, place, _PAGE)
        yield [_row(user) for user in found.users]
        place = found.place


def _row(user: FoundUserRecord) -> dict[str, object]:
    suspended = user.suspended_at
    return structs.asdict(user) | {
        "created_at": from_milliseconds(user.created_at),
        "suspended_at": None if suspended is None else from_milliseconds(suspended),
        "last_sign_in_on": day_of(user.last_sign_in),
    }


HANDLERS = [download_users]
