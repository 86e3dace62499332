"""/v1/audit: the entries of the audit log, for clients that store or verify them."""

from datetime import UTC
from typing import Annotated, Any, Literal

from litestar import Router
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from anyscale.domain.models.audit import AuditFilter
from anyscale.domain.schemas.audit import AuditPage
from anyscale.domain.times import moment
from anyscale.errors import RequestInvalid
from anyscale.server.core.audit.entries import AuditLog
from anyscale.server.core.permissions import Permission
from anyscale.server.http.errors import error_responses
from anyscale.server.http.route_handlers import get


def _time(name: str, description: str) -> Any:
    return QueryParameter(
        name=name,
        max_length=40,
        description=f"{description} An ISO 8601 date, or time; in UTC if it has no zone.",
    )


@get(
    "/",
    pool="read",
    permission=Permission.READ_AUDIT_LOG,
    operation_id="listAudit",
    summary="List the entries of the audit log by number, or the newest first.",
    description="Page by `after`, and the newest first by `before`. Both together are a range.",
    responses=error_responses(400, 404),
)
def list_entries(
    audit_log: NamedDependency[AuditLog],
    after: Annotated[
        int, QueryParameter(ge=0, le=2**53, description="Only entries with a larger number.")
    ] = 0,
    before: Annotated[
        int | None,
        QueryParameter(ge=1, le=2**53, description="Only entries with a smaller number."),
    ] = None,
    order: Annotated[
        Literal["created", "-created"], QueryParameter(description="`-created`: newest first.")
    ] = "created",
    limit: Annotated[int, QueryParameter(ge=1, le=1000)] = 100,
    actor: Annotated[
        str,
        QueryParameter(max_length=400, description="Only entries of this actor or email."),
    ] = "",
    event: Annotated[
        str, QueryParameter(max_length=400, description="Only entries with this event.")
    ] = "",
    subject: Annotated[
        str,
        QueryParameter(
            max_length=400,
            description="Only entries about this id; an email is the account that has or had it.",
        ),
    ] = "",
    account: Annotated[
        str,
        QueryParameter(
            max_length=400,
            description="Only what happened to this account, and what its user did: `usr_...`, or "
            "an email that it has or had.",
        ),
    ] = "",
    since: Annotated[str, _time("from", "Only entries from this date or time on.")] = "",
    until: Annotated[
        str, _time("until", "Only entries up to this date, or from before this time.")
    ] = "",
) -> AuditPage:
    only = AuditFilter(
        actor,
        event,
        subject,
        account,
        since=_moment("from", since),
        until=_moment("until", until),
    )
    newest_first = order == "-created"
    return AuditPage(
        audit_log.list(after, limit, before=before, newest_first=newest_first, only=only)
    )


def _moment(name: str, text: str) -> int | None:
    try:
        return moment(text, UTC, is_end=name == "until") if text else None
    except ValueError:
        raise RequestInvalid(
            f"`{name}` is not a date such as 2026-10-01, or a time such as 2026-10-01T08:00:00Z"
        ) from None


ROUTER = Router("/audit", route_handlers=[list_entries], tags=["audit"])
