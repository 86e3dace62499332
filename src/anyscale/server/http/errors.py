"""Error responses: problem documents (RFC 9457) with a code and a request id, or HTML pages."""

import logging
import re
from http import HTTPStatus
from traceback import extract_tb
from typing import Any

from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.openapi.datastructures import ResponseSpec
from litestar.serialization import msgspec_hooks
from litestar.types import Receive, Send
from msgspec import json

from anyscale.domain.schemas.protocol import ProblemDocument
from anyscale.errors import (
    AnyscaleError,
    BatchRefused,
    BatchUnfinished,
    ConfigError,
    RequestInvalid,
    StoreUnavailable,
    Unavailable,
)
from anyscale.errors.memory import is_lack_of_memory
from anyscale.server.fault_place import place_of
from anyscale.server.http.bodies import invalid_body
from anyscale.server.http.dependencies import AnyRequest
from anyscale.server.http.refusals import count_refusal, retry_after
from anyscale.server.http.request_context import request_id
from anyscale.server.http.web.error_page import error_page
from anyscale.server.http.web.templating import accepts_page
from anyscale.server.login_options import LoginOptions

_PROBLEM = "application/problem+json"

_log = logging.getLogger("anyscale.server")

#: status of an error of the framework -> code, where it is not `request_invalid` or `internal`
_CODES = {
    404: "not_found",
    405: "method_not_allowed",
    413: "batch_too_large",
}

#: status of an error of the framework -> detail, where the title of the status says too little
_DETAILS = {404: "the server has no such path: /openapi.json describes those that it has"}

#: what the framework says about a number that is too small or too large
_BOUND = re.compile(r"Expected `int` (<=|>=) (-?\d+)")
_BOUNDS = {"<=": "at most", ">=": "at least"}

#: what it says about a header or a query parameter that is missing
_MISSING = re.compile(r"Missing required (\w+) parameter '([\w-]+)'")

#: what it says about a text that is too long
_LENGTH = re.compile(r"Expected `str` of length <= (\d+)")

#: what it says, with status 500, about a body whose end does not arrive
_CUT_OFF = "client disconnected prematurely"

#: Status titles of RFC 9110, section 15.5, which Python before 3.13 has from older RFCs
_TITLES = {
    413: "Content Too Large",
    414: "URI Too Long",
    416: "Range Not Satisfiable",
    422: "Unprocessable Content",
}

#: The errors of every call under /v1.
_ALWAYS = (400, 401, 403, 429, 500, 503)


def title_of(status: int) -> str:
    """Return the title of a status, the same on every version of Python."""
    return _TITLES.get(status) or HTTPStatus(status).phrase


def error_responses(*statuses: int) -> dict[int, ResponseSpec]:
    """Describe the error responses of a call for the OpenAPI document: those of all, and more."""
    return {
        status: ResponseSpec(
            ProblemDocument,
            generate_examples=False,
            description=title_of(status),
            media_type=_PROBLEM,
        )
        for status in sorted({*_ALWAYS, *statuses})
    }


async def send_refusal(error: AnyscaleError, scope: Any, receive: Receive, send: Send) -> None:
    """Refuse a request before it is routed, and close its connection.

    The server may not know where the body of the request ends.
    """
    request: AnyRequest = Request(scope)
    response = refusal_response(request, error)
    closing = response.to_asgi_response(None, request, headers={"Connection": "close"})
    await closing(scope, receive, send)


def refusal_response(request: AnyRequest, error: AnyscaleError, **more: Any) -> Response[Any]:
    """Return the response to a request that is refused; `more` are fields of the document."""
    count_refusal(error)
    headers = retry_after(error)
    if error.status == HTTPStatus.UNAUTHORIZED:  # RFC 9110, 15.5.2
        headers["WWW-Authenticate"] = "Bearer"
    problems = error.problems if isinstance(error, BatchRefused) else []
    batch_id = error.batch_id if isinstance(error, BatchUnfinished) else None
    details = error.args if isinstance(error, ConfigError) and len(error.args) > 1 else []
    more = {"details": details, "problems": problems, "batch_id": batch_id, **more}
    return _respond(request, error.status, error.code, _detail(error), headers, **more)


def _detail(error: AnyscaleError) -> str:
    if isinstance(error, BatchRefused):
        return "entries are refused; nobody was created"
    if isinstance(error, StoreUnavailable):
        # Clients do not learn where the database is.
        _log.error("store unavailable", extra={"detail": str(error)})
        return "the control plane's database cannot do its part now: its log says why"
    return str(error)


def _handle_http_exception(request: AnyRequest, error: HTTPException) -> Response[Any]:
    if error.detail == _CUT_OFF:
        return refusal_response(request, RequestInvalid("the body ends in the middle"))
    status = error.status_code
    default = "request_invalid" if status < HTTPStatus.INTERNAL_SERVER_ERROR else "internal"
    # The framework's own text may repeat what the client has sent.
    is_invalid = status == HTTPStatus.BAD_REQUEST
    detail = _validation_detail(error) if is_invalid else _DETAILS.get(status, title_of(status))
    # The framework writes it in lower case.
    headers = {key.lower(): value for key, value in (error.headers or {}).items()}
    allow = {"Allow": headers["allow"]} if "allow" in headers else {}
    return _respond(request, status, _CODES.get(status, default), detail, allow)


def _validation_detail(error: HTTPException) -> str:
    if missing := _MISSING.match(error.detail):
        return f"the {missing[1]} {missing[2]} is missing"
    extra = error.extra if isinstance(error.extra, list) else []
    return "; ".join(map(_fault, extra)) or "the request is invalid"


def _fault(item: dict[str, Any]) -> str:
    key, message = item.get("key", "request"), str(item.get("message"))
    if bound := _BOUND.fullmatch(message):
        return f"{key} must be {_BOUNDS[bound[1]]} {bound[2]}"
    if length := _LENGTH.fullmatch(message):
        return f"{key} must have at most {length[1]} characters"
    return f"{key}: {message}"


def _handle_recursion(request: AnyRequest, error: RecursionError) -> Response[Any]:
    # The framework decodes some bodies, and nested JSON is not an error of its decoder.
    if extract_tb(error.__traceback__)[-1].filename == msgspec_hooks.__file__:
        return refusal_response(request, invalid_body(error))
    return _handle_bug(request, error)


def _handle_lack_of_memory(request: AnyRequest) -> Response[Any]:
    _log.error("not enough memory for a request")
    return refusal_response(request, Unavailable("the control plane has too little memory now"))


def _handle_bug(request: AnyRequest, error: Exception) -> Response[Any]:
    if is_lack_of_memory(error):
        return _handle_lack_of_memory(request)
    extra = {"kind": type(error).__name__, "place": place_of(error)}
    _log.error("internal error", extra=extra)
    detail = "a fault of the control plane: its log says where"
    return _respond(request, HTTPStatus.INTERNAL_SERVER_ERROR, "internal", detail, {})


def _respond(
    request: AnyRequest, status: int, code: str, detail: str, headers: dict[str, str], **more: Any
) -> Response[Any]:
    document = ProblemDocument(
        title=title_of(status),
        status=status,
        detail=detail,
        code=code,
        request_id=request_id.get(),
        **more,
    )
    if accepts_page(request):
        return error_page(document, headers, _login_options(request))
    body = json.encode(document)
    return Response(body, status_code=status, headers=headers, media_type=_PROBLEM)


def _login_options(request: AnyRequest) -> LoginOptions | None:
    """Return what the pages show; None for a request that is refused before it is routed."""
    app: Any = request.scope.get("litestar_app")
    options: LoginOptions | None = app.state.login_options if app else None
    return options


EXCEPTION_HANDLERS: dict[Any, Any] = {
    AnyscaleError: refusal_response,
    HTTPException: _handle_http_exception,
    RecursionError: _handle_recursion,
    Exception: _handle_bug,
}
