"""/v1/audit: the entries of the audit log, for clients that store or verify them."""

from typing import Annotated

from litestar import Router, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from anyscale.api_schemas import AuditPage
from anyscale.server.core.audit.log import AuditLog
from anyscale.server.http.errors import error_responses
from anyscale.server.http.thread_pools import ThreadPools

__all__ = ["ROUTER"]


@get(
    "/",
    operation_id="listAudit",
    summary="List the entries of the audit log in order.",
    responses=error_responses(),
)
async def list_entries(
    audit_log: NamedDependency[AuditLog],
    pools: NamedDependency[ThreadPools],
    after: Annotated[
        int, QueryParameter(ge=0, le=2**53, description="The last number of the previous page.")
    ] = 0,
    limit: Annotated[int, QueryParameter(ge=1, le=1000)] = 100,
) -> AuditPage:
    return AuditPage(await pools.read.run(audit_log.list, after, limit))


ROUTER = Router("/audit", route_handlers=[list_entries], tags=["audit"])
