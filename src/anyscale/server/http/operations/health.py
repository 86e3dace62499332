"""/healthz, /readyz and /metrics: for load balancers and Prometheus, without authentication."""

import os
import struct
import time
from collections.abc import Callable
from contextlib import suppress

from litestar import Response
from litestar.di import NamedDependency
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from anyscale.errors import Overloaded
from anyscale.server.http.errors import error_responses
from anyscale.server.http.metrics import DatabaseMetrics
from anyscale.server.http.route_handlers import get
from anyscale.server.http.thread_pools import ThreadPools

#: tries to read the files of all processes, and the seconds between two
_TRIES, _PAUSE = 20, 0.01

# The framework adds the charset.
_MEDIA_TYPE = CONTENT_TYPE_LATEST.partition("; charset")[0]


@get("/healthz", operation_id="health", summary="Check that the server runs.", tags=["operations"])
async def health() -> dict[str, str]:
    return {"status": "alive"}


@get(
    "/readyz",
    pool="monitoring",
    operation_id="ready",
    summary="Check that the database responds and has the schema of this version.",
    tags=["operations"],
    responses={503: error_responses()[503]},
)
def ready(check_database: NamedDependency[Callable[[], bool]]) -> dict[str, str]:
    return {"status": "ready" if check_database() else "writes_wait"}


@get(
    "/metrics",
    operation_id="metrics",
    summary="Get the metrics for Prometheus.",
    tags=["operations"],
    media_type="text/plain",
)
async def metrics(
    pools: NamedDependency[ThreadPools], database_metrics: NamedDependency[DatabaseMetrics]
) -> Response[bytes]:
    await database_metrics.refresh()
    text = await pools.monitoring.run(_exposition, database_metrics.registry)
    return Response(text, media_type=_MEDIA_TYPE)


def _exposition(database: CollectorRegistry) -> bytes:
    # `server start` sets this variable for several processes, and each counts its own
    # requests.
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest(REGISTRY) + generate_latest(database)
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # it ships no types
    for _ in range(_TRIES):
        # The file of a process that starts is empty at first, and prometheus_client cannot read it.
        # Nothing reports when that process has written to it.
        with suppress(struct.error):
            return generate_latest(registry) + generate_latest(database)
        time.sleep(_PAUSE)
    raise Overloaded("a process of the server is starting: its metrics cannot be read yet")


HANDLERS = [health, ready, metrics]
