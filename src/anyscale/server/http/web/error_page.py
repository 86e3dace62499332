"""Errors as people are told of them, who came by a browser."""

from litestar import Response

from anyscale.api_schemas import ProblemDocument
from anyscale.server.http.web.templating import rendered

__all__ = ["problem_page"]

_FAULT = 500
_MISSING = 404

#: status -> heading and text; what is not here is told as the fault at 500
_WORDS = {
    400: (
        "This did not work",
        "Something about what was sent is wrong. Please go back and try again.",
    ),
    403: (
        "This is not allowed",
        "Please open the page anew, and try again from there.",
    ),
    _MISSING: (
        "There is no such page",
        "The address may be mistyped, or the page may have moved.",
    ),
    413: (
        "This is too long",
        "Please go back and enter less.",
    ),
    429: (
        "Please wait a moment",
        "Many people are asking at the same time. Please try again soon.",
    ),
    _FAULT: (
        "Something went wrong",
        "The fault is on our side. Please try again in a few minutes.",
    ),
}

#: status -> the one as which a person meets it
_LIKE = {401: 403, 405: _MISSING, 415: 400, 422: 400}


def problem_page(document: ProblemDocument, headers: dict[str, str]) -> Response[str]:
    """Make the page that stands for an error.

    Args:
        document: what a machine would be told; of it a person is given the request's id.
        headers: of the answer.
    """
    kind = _LIKE.get(document.status, document.status)
    heading, text = _WORDS.get(kind, _WORDS[_FAULT])
    return rendered(
        "problem",
        status=document.status,
        headers=headers,
        heading=heading,
        text=text,
        problem="",
        request_id="" if kind == _MISSING else document.request_id,
    )
