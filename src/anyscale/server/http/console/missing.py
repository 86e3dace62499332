"""The page for an address of the console where nothing is: it keeps the navigation."""

from typing import Any, NamedTuple

from litestar import Response

from anyscale.errors import NotFound
from anyscale.server.http.dependencies import AnyRequest
from anyscale.server.http.errors import refusal_response
from anyscale.server.http.route_handlers import get
from anyscale.server.http.web.console_page import render_console_page
from anyscale.server.http.web.templating import accepts_page


class Missing(NamedTuple):
    """What is not there, in words, and the address of the list to look in."""

    heading: str
    text: str
    back: str
    back_words: str


_PAGE = Missing(
    "There is no such page",
    "The address may be mistyped, or the page may have moved.",
    "/console",
    "Overview",
)

#: section -> what is missing in it
_IN_SECTION = {
    "users": Missing(
        "There is no such account",
        "It may have been deleted. Search for its user by name or email.",
        "/console/users",
        "All users",
    ),
    "batches": Missing(
        "There is no such import",
        "It may have been removed.",
        "/console/batches",
        "All imports",
    ),
    "sync": Missing(
        "There is no such update",
        "It may have been removed, since it is old.",
        "/console/sync",
        "Update from a file",
    ),
    "applications": Missing(
        "There is no such application",
        "It may have been deleted.",
        "/console/applications",
        "All applications",
    ),
}


@get("/{rest:path}")
async def refuse_address() -> None:
    raise NotFound("there is no such page")


def show_missing(request: AnyRequest, error: NotFound) -> Response[Any]:
    """Return the page for a request of an owner that found nothing."""
    if not accepts_page(request):
        return refusal_response(request, error)
    section, _, rest = request.scope["path"].removeprefix("/console/").partition("/")
    missing = _IN_SECTION.get(section, _PAGE) if rest else _PAGE
    current = missing.back if missing is not _PAGE else ""
    return render_console_page(request, "not_found", current, missing=missing, status=error.status)


HANDLERS = [refuse_address]
