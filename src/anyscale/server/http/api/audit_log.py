"""/v1/audit: the trail, to be read and checked elsewhere."""

from functools import partial
from typing import Annotated

from litestar import Router, get
from litestar.params import QueryParameter

from anyscale.api_schemas import AuditPage
from anyscale.server.http.authentication import TOKEN_AUTHENTICATION, require_owner
from anyscale.server.http.dependencies import GivenPlane, GivenPools
from anyscale.server.http.errors import answers

__all__ = ["router"]


@get(
    "/",
    operation_id="listAudit",
    summary="List the entries of the audit trail, in their order.",
    responses=answers(),
)
async def list_entries(
    plane: GivenPlane,
    pools: GivenPools,
    after: Annotated[
        int, QueryParameter(ge=0, le=2**53, description="The number the last page ended with.")
    ] = 0,
    limit: Annotated[int, QueryParameter(ge=1, le=1000)] = 100,
) -> AuditPage:
    return AuditPage(await pools.read.run(partial(plane.trail.page, after, limit)))


def router() -> Router:
    """Give what is under /v1/audit."""
    return Router(
        "/v1/audit",
        route_handlers=[list_entries],
        middleware=[TOKEN_AUTHENTICATION],
        guards=[require_owner],
        tags=["audit"],
        security=[{"token": []}],
    )
