"""/v1/audit: the trail, to be read and checked elsewhere."""

from functools import partial
from typing import Annotated

from litestar import Router, get
from litestar.params import Parameter

from anyscale.server.http.lanes import Lanes
from anyscale.server.http.problems import answers
from anyscale.server.http.security import owners_only
from anyscale.server.plane import ControlPlane
from anyscale.wire import AuditPage

__all__ = ["router"]


@get(
    "/",
    operation_id="listAudit",
    summary="List the entries of the audit trail, in their order.",
    responses=answers(),
)
async def list_entries(
    plane: ControlPlane,
    lanes: Lanes,
    after: Annotated[
        int, Parameter(ge=0, le=2**53, description="The number the last page ended with.")
    ] = 0,
    limit: Annotated[int, Parameter(ge=1, le=1000)] = 100,
) -> AuditPage:
    return AuditPage(await lanes.reading.run(partial(plane.trail.page, after, limit)))


def router() -> Router:
    """Give what is under /v1/audit."""
    return Router(
        "/v1/audit",
        route_handlers=[list_entries],
        guards=[owners_only],
        tags=["audit"],
        security=[{"token": []}],
    )
