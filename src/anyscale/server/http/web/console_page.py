"""The frame of the console's pages: navigation, style sheet, scripts, notes and problems."""

from collections.abc import Sequence
from typing import Any

from litestar import Response

from anyscale.errors import AnyscaleError, NotAuthenticated, NotFound, NotPermitted
from anyscale.server.http.dependencies import AnyRequest, UserRequest
from anyscale.server.http.web.forms import refusal
from anyscale.server.http.web.templating import render_page

Page = Response[str]

_Errors = tuple[type[AnyscaleError], ...]

#: errors that have pages of their own: the form is not wrong
NOT_OF_THE_FORM: _Errors = (NotFound, NotAuthenticated, NotPermitted)

#: a text, and the id of the field that it is about, or an empty text
Problem = tuple[str, str]

#: address and text of each link of the navigation
_SECTIONS = [
    ("/console", "Overview"),
    ("/console/users", "Users"),
    ("/console/batches", "Imports"),
    ("/console/applications", "Applications"),
    ("/console/tokens", "Tokens"),
    ("/console/mails", "Mails"),
    ("/console/audit", "Audit log"),
]


def render_console_page(
    request: UserRequest,
    template: str,
    section: str,
    *,
    note: str = "",
    note_kind: str = "note",
    problems: Sequence[Problem] = (),
    module: str = "",
    **values: Any,
) -> Page:
    """Render a page of the console from `templates/console`.

    Args:
        request: of the owner who opens the page.
        template: the name of its template, in the folder `console`.
        section: the address of the section that the navigation marks as the current one.
        note: what a form did, in words.
        note_kind: `warning` if its user has to look at something.
        problems: of a form, for a summary that takes the focus.
        module: an ES module of the page, besides the one of all pages.
        values: what the template and `render_page` receive.
    """
    options = request.app.state.login_options
    return render_page(
        f"console/{template}",
        options=options,
        user=request.user,
        sections=[one for one in _SECTIONS if options.has_mail or one[0] != "/console/mails"],
        section=section,
        note=note,
        note_kind=note_kind,
        problem=" ".join(text for text, _ in problems),
        problems=problems,
        modules=["console.js", *filter(None, [module])],
        **values,
    )


def host_of(request: AnyRequest) -> str:
    """Return the address for the lines to paste: the public one, or that of the request."""
    public_url: str | None = request.app.state.control_plane.settings.public_url
    return public_url or f"{request.url.scheme}://{request.url.netloc}"


def refused_form(
    error: AnyscaleError, field: str = "", own_pages: _Errors = NOT_OF_THE_FORM
) -> dict[str, Any]:
    """Count a refused form, and return the arguments of a page that shows it.

    Args:
        error: why it is refused.
        field: the wrong one.
        own_pages: errors that have a page of their own.

    Raises:
        AnyscaleError: the error itself, if it has a page of its own, as a fault of the server has.
    """
    if isinstance(error, own_pages):
        raise error
    shown = refusal(error)
    return {"problems": [(shown.pop("problem"), field)], **shown}
