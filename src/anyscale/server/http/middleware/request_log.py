"""What an operator sees of each request: a line in the log, and figures for Prometheus."""

import json
import logging
import os
import re
import sys
import time
from collections.abc import Iterable
from typing import Any

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from anyscale.api_schemas import API, IDENTITY
from anyscale.server.http.metrics import IN_PROGRESS, REQUESTS, SECONDS

Headers = list[tuple[bytes, bytes]]

__all__ = ["RequestLogMiddleware", "actor_of", "request_id_of", "set_up_logging"]

_log = logging.getLogger("anyscale.server")

#: A client may call any word a method, and each label of a figure is kept.
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

_GIVEN = re.compile(rb"[0-9A-Za-z._-]{8,64}")

#: What every answer says unless it says otherwise: nothing is kept, and nothing runs or is shown
#: elsewhere. The address of a page is told to our own pages alone: to nobody at all, and browsers
#: would leave the origin out of forms as well (Fetch, 3.2).
_HEADERS = [
    (IDENTITY.lower().encode(), API.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (
        b"content-security-policy",
        b"default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
]

#: For a year, browsers come by TLS alone (RFC 6797, 6.1). Not for subdomains, which are others'.
_BY_TLS = (b"strict-transport-security", b"max-age=31536000")


def request_id_of(scope: Any) -> str:
    """Give the id of a request, which its answer has in the header `X-Request-Id`."""
    return str(scope.get("state", {}).get("request_id", ""))


def actor_of(scope: Any) -> str | None:
    """Give who makes a request, as the trail names them; None where that is not known yet."""
    state = scope.get("state", {})
    who = state.get("caller") or state.get("member")
    return who.actor if who else None


class RequestLogMiddleware:
    """An application whose requests have ids, and are logged and counted.

    Args:
        application: the one that answers.
        by_tls: whether people reach it by TLS alone, whatever a proxy in front says.
    """

    def __init__(self, application: ASGIApp, *, by_tls: bool) -> None:
        self._application = application
        self._by_tls = by_tls

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != ScopeType.HTTP:
            await self._application(scope, receive, send)
            return
        request_id = _request_id(scope)
        scope.setdefault("state", {})["request_id"] = request_id
        status, begun = 500, time.perf_counter()

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                own = [(b"x-request-id", request_id.encode()), *_HEADERS]
                if self._by_tls or scope["scheme"] == "https":
                    own.append(_BY_TLS)
                message["headers"] = _with(own, message["headers"])
            await send(message)

        IN_PROGRESS.inc()
        try:
            await self._application(scope, receive, sending)
        finally:
            IN_PROGRESS.dec()
            # The route, not the path: labels must be few, and a path holds what was asked for.
            route = scope.get("path_template") or "unknown"
            _told(scope, route, status, time.perf_counter() - begun)


def _with(own: Headers, given: Iterable[tuple[bytes, bytes]]) -> Headers:
    given = list(given)
    names = {name.lower() for name, _ in given}
    return [*given, *(header for header in own if header[0] not in names)]


def _request_id(scope: Any) -> str:
    given = dict(scope["headers"]).get(b"x-request-id", b"")
    return given.decode() if _GIVEN.fullmatch(given) else os.urandom(8).hex()


def _told(scope: Any, route: str, status: int, seconds: float) -> None:
    method = scope["method"] if scope["method"] in _METHODS else "other"
    REQUESTS.labels(method, route, status).inc()
    SECONDS.labels(route).observe(seconds)
    if route in ("/healthz", "/readyz", "/metrics"):
        return
    told = {
        "method": method,
        "route": route,
        "status": status,
        "milliseconds": round(seconds * 1000, 1),
        "request_id": request_id_of(scope),
        "actor": actor_of(scope),
    }
    _log.info("request", extra=told)


_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message"}


_ENCODER = json.JSONEncoder(default=str, ensure_ascii=False)


class _Lines(logging.Formatter):
    """One JSON document a line."""

    def format(self, record: logging.LogRecord) -> str:
        at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        told = {
            "time": f"{at}.{record.msecs:03.0f}Z",
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            "process": record.process,
        }
        told |= {key: text for key, text in vars(record).items() if key not in _STANDARD}
        return _ENCODER.encode(told)


def set_up_logging() -> None:
    """Send what the server and uvicorn tell to standard error, as JSON lines."""
    # No line tells of these, and to find them out takes a tenth of what a line costs.
    logging.logThreads = logging.logMultiprocessing = False
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Lines())
    logging.basicConfig(handlers=[handler], level=logging.INFO, force=True)
    for name in ("uvicorn", "uvicorn.error"):
        logging.getLogger(name).handlers = []
        logging.getLogger(name).propagate = True
    logging.getLogger("uvicorn.access").disabled = True
    # It would tell of each call of the identity provider.
    logging.getLogger("httpx").setLevel(logging.WARNING)
