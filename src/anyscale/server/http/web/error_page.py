"""HTML error pages."""

from http import HTTPStatus

from litestar import Response

from anyscale.domain.schemas.protocol import ProblemDocument
from anyscale.server.http.web.templating import render_page
from anyscale.server.login_options import LoginOptions

#: status -> heading and text; any other status is shown as 500
_TEXTS: dict[int, tuple[str, str]] = {
    HTTPStatus.BAD_REQUEST: (
        "This did not work",
        "Something about what was sent is wrong. Please go back and try again.",
    ),
    HTTPStatus.FORBIDDEN: (
        "This is not allowed",
        "Please open the page again, and try from there.",
    ),
    HTTPStatus.NOT_FOUND: (
        "There is no such page",
        "The address may be mistyped, or the page may have moved.",
    ),
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: (
        "This is too long",
        "Please go back and enter less.",
    ),
    HTTPStatus.TOO_MANY_REQUESTS: (
        "Please wait a moment",
        "The server is busy. Please try again in a moment.",
    ),
    HTTPStatus.INTERNAL_SERVER_ERROR: (
        "Something went wrong",
        "The fault is on our side. Please try again in a few minutes.",
    ),
}

#: characters of a request id that a user sees
_SHOWN = 8

#: status -> the status whose text a user sees
_SHOWN_AS: dict[int, int] = {
    HTTPStatus.UNAUTHORIZED: HTTPStatus.FORBIDDEN,
    HTTPStatus.METHOD_NOT_ALLOWED: HTTPStatus.NOT_FOUND,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: HTTPStatus.BAD_REQUEST,
    HTTPStatus.UNPROCESSABLE_ENTITY: HTTPStatus.BAD_REQUEST,
}


def error_page(
    document: ProblemDocument, headers: dict[str, str], options: LoginOptions | None
) -> Response[str]:
    """Create the page for an error, which shows the request id of its document."""
    status = _SHOWN_AS.get(document.status, document.status)
    heading, text = _TEXTS.get(status, _TEXTS[HTTPStatus.INTERNAL_SERVER_ERROR])
    return render_page(
        "error",
        options=options,
        status=document.status,
        headers=headers,
        heading=heading,
        text=text,
        script=True,
        # The log finds a request by the beginning of its id, which can be read out.
        request_id="" if status == HTTPStatus.NOT_FOUND else document.request_id[:_SHOWN],
    )
