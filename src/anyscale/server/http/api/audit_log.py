"""/v1/audit: the entries of the audit log, for clients that store or verify them."""

from typing import Annotated, Literal

from litestar import Router
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from anyscale.domain.models.audit import AuditFilter
from anyscale.domain.schemas.audit import AuditPage
from anyscale.server.core.audit.entries import AuditLog
from anyscale.server.http.errors import error_responses
from anyscale.server.http.route_handlers import get

__all__ = ["ROUTER"]


@get(
    "/",
    pool="read",
    operation_id="listAudit",
    summary="List the entries of the audit log by number, or the newest first.",
    description="Page by `after`, and the newest first by `before`. Both together are a range.",
    responses=error_responses(404),
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
) -> AuditPage:
    only, newest_first = AuditFilter(actor, event, subject), order == "-created"
    return AuditPage(
        audit_log.list(after, limit, before=before, newest_first=newest_first, only=only)
    )


ROUTER = Router("/audit", route_handlers=[list_entries], tags=["audit"])
