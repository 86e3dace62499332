"""What an operator's machines ask: whether the server is alive and ready, and its figures."""

import os

from litestar import Response, get
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client import REGISTRY as THIS_PROCESS
from prometheus_client.multiprocess import MultiProcessCollector

from anyscale.server.http.dependencies import GivenPlane, GivenPools
from anyscale.server.http.errors import answers

__all__ = ["HANDLERS"]


@get("/healthz", operation_id="health", summary="Whether the server is alive.", tags=["operations"])
async def health() -> dict[str, str]:
    return {"status": "alive"}


@get(
    "/readyz",
    operation_id="ready",
    summary="Whether its database can be reached, and has the schema of this version.",
    tags=["operations"],
    responses={503: answers()[503]},
)
async def ready(plane: GivenPlane, pools: GivenPools) -> dict[str, str]:
    await pools.monitoring.run(plane.store.ready)
    return {"status": "ready"}


@get(
    "/metrics",
    operation_id="metrics",
    summary="Figures for Prometheus.",
    tags=["operations"],
    media_type="text/plain",
)
async def metrics(pools: GivenPools) -> Response[bytes]:
    text = await pools.monitoring.run(_figures)
    return Response(text, media_type=_PLAIN)


def _figures() -> bytes:
    # Set by `server start` where several processes answer: each has counted a part.
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest(THIS_PROCESS)
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # it ships no types
    return generate_latest(registry)


# The framework adds the charset.
_PLAIN = CONTENT_TYPE_LATEST.partition("; charset")[0]

HANDLERS = [health, ready, metrics]
