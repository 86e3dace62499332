"""The log line and the metrics of each request, and its id."""

import logging
import os
import re
import time
from typing import Any

from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from anyscale.server.http.metrics import IN_PROGRESS, REQUESTS, SECONDS
from anyscale.server.http.request_context import actor, request_id

_log = logging.getLogger("anyscale.server")

#: A client may send any word as its method, and each value of a label keeps its memory.
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

#: Requests of machines, several a minute: they are counted, and have no line in the log.
_NOT_LOGGED = frozenset({"/healthz", "/readyz", "/metrics"})

_VALID_ID = re.compile(rb"[0-9A-Za-z._-]{8,64}")


class RequestLogMiddleware(ASGIMiddleware):
    """Gives each request an id, counts it, and writes a log line when its response is sent."""

    scopes: tuple[ScopeType, ...] = (ScopeType.HTTP,)

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        request_id.set(_id_for(scope))
        actor.set(None)
        status, started = 500, time.perf_counter()

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                header = (b"x-request-id", request_id.get().encode())
                message["headers"] = [*message["headers"], header]
            await send(message)

        IN_PROGRESS.inc()
        try:
            await next_app(scope, receive, send_with_id)
        finally:
            IN_PROGRESS.dec()
            _record(scope, status, time.perf_counter() - started)


def _id_for(scope: Any) -> str:
    """Return the id that a proxy has set, or a new one."""
    sent = dict(scope["headers"]).get(b"x-request-id", b"")
    return sent.decode() if _VALID_ID.fullmatch(sent) else os.urandom(8).hex()


def _record(scope: Any, status: int, seconds: float) -> None:
    method = scope["method"] if scope["method"] in _METHODS else "other"
    # The route and not the path: a path has ids, and each value of a label keeps its memory.
    route = scope.get("path_template") or "unknown"
    REQUESTS.labels(method, route, status).inc()
    SECONDS.labels(route).observe(seconds)
    if route not in _NOT_LOGGED:
        milliseconds = round(seconds * 1000, 1)
        fields = {"method": method, "route": route, "status": status, "milliseconds": milliseconds}
        _log.info("request", extra=fields)
