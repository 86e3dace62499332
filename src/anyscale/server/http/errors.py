"""Errors as HTTP tells them: problem documents (RFC 9457), each with a code and a request id."""

import logging
from http import HTTPStatus
from typing import Any

from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.openapi.datastructures import ResponseSpec
from msgspec import json

from anyscale.api_schemas import ProblemDocument
from anyscale.errors import (
    AnyscaleError,
    BatchRefused,
    BatchUnfinished,
    NotAuthenticated,
    Overloaded,
    StoreUnavailable,
)
from anyscale.server.http.metrics import REFUSALS
from anyscale.server.http.request_context import request_id
from anyscale.server.http.web.error_page import problem_page
from anyscale.server.http.web.templating import wants_page

__all__ = ["HANDLERS", "PROBLEM", "answers"]

PROBLEM = "application/problem+json"

_log = logging.getLogger("anyscale.server")

#: codes of what the framework refuses
_CODES = {
    400: "request_invalid",
    404: "not_found",
    405: "method_not_allowed",
    413: "batch_too_large",
    415: "request_invalid",
    431: "request_invalid",
}

#: Status titles of RFC 9110, section 15.5, which Python before 3.13 has from older RFCs
_TITLES = {
    413: "Content Too Large",
    414: "URI Too Long",
    416: "Range Not Satisfiable",
    422: "Unprocessable Content",
}

#: What any call under /v1 may be answered, besides what it is asked for.
_ALWAYS = (400, 401, 403, 429, 500, 503)


def _title(status: int) -> str:
    """Give the title of a status, the same on every version of Python."""
    return _TITLES.get(status) or HTTPStatus(status).phrase


def answers(*statuses: int) -> dict[int, ResponseSpec]:
    """Say for the OpenAPI document by which errors a call may be answered."""
    return {
        status: ResponseSpec(
            ProblemDocument,
            generate_examples=False,
            description=_title(status),
            media_type=PROBLEM,
        )
        for status in sorted({*_ALWAYS, *statuses})
    }


def _ours(request: Request[Any, Any, Any], error: AnyscaleError) -> Response[Any]:
    REFUSALS.labels(error.code).inc()
    detail, problems = str(error), []
    if isinstance(error, BatchRefused):
        detail, problems = "entries are refused; nobody was created", error.problems
    if isinstance(error, StoreUnavailable):
        _log.error("store unavailable", extra={"detail": detail})
        # Where the database is concerns the operator alone.
        detail = "the control plane's database cannot do its part now: its log says why"
    document = ProblemDocument(
        title=_title(error.status),
        status=error.status,
        detail=detail,
        code=error.code,
        request_id=request_id(),
        problems=problems,
        batch_id=error.batch_id if isinstance(error, BatchUnfinished) else None,
    )
    headers = {}
    if isinstance(error, NotAuthenticated):
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, Overloaded):
        headers["Retry-After"] = f"{error.retry_after_seconds:.0f}"
    return _response(request, document, headers)


def _frameworks(request: Request[Any, Any, Any], error: HTTPException) -> Response[Any]:
    status = error.status_code
    document = ProblemDocument(
        title=_title(status),
        status=status,
        # Of what was sent nothing is repeated.
        detail=_details(error) if status == HTTPStatus.BAD_REQUEST else _title(status),
        code=_CODES.get(status, _unknown(status)),
        request_id=request_id(),
    )
    # The framework writes it in small letters.
    given = {key.lower(): text for key, text in (error.headers or {}).items()}
    headers = {"Allow": given["allow"]} if "allow" in given else {}
    return _response(request, document, headers)


def _unknown(status: int) -> str:
    return "request_invalid" if status < HTTPStatus.INTERNAL_SERVER_ERROR else "internal"


def _details(error: HTTPException) -> str:
    extra = error.extra if isinstance(error.extra, list) else []
    told = (f"{one.get('key', 'request')}: {one.get('message')}" for one in extra)
    return "; ".join(told) or "the request makes no sense"


def _internal(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    # The place alone: texts and values of an error may be a person's.
    where = error.__traceback__
    while where and where.tb_next:
        where = where.tb_next
    place = f"{where.tb_frame.f_code.co_filename}:{where.tb_lineno}" if where else "?"
    _log.error("internal error", extra={"kind": type(error).__name__, "place": place})
    detail = "a fault of the control plane: its log says where"
    document = ProblemDocument(
        title=_title(500),
        status=500,
        detail=detail,
        code="internal",
        request_id=request_id(),
    )
    return _response(request, document, {})


def _response(
    request: Request[Any, Any, Any], document: ProblemDocument, headers: dict[str, str]
) -> Response[Any]:
    if wants_page(request):
        return problem_page(document, headers)
    return Response(
        json.encode(document),
        status_code=document.status,
        headers=headers,
        media_type=PROBLEM,
    )


HANDLERS: dict[Any, Any] = {
    AnyscaleError: _ours,
    HTTPException: _frameworks,
    Exception: _internal,
}
