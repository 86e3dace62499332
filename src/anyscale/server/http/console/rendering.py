"""The frame of the console's pages: navigation, style sheet and script."""

from typing import Any

from litestar import Response

from anyscale.server.http.dependencies import UserRequest
from anyscale.server.http.web.templating import render_page

__all__ = ["Page", "render_console_page"]

Page = Response[str]

#: address and text of each link of the navigation
_SECTIONS = [
    ("/console", "Overview"),
    ("/console/batches", "Batches"),
]


def render_console_page(request: UserRequest, template: str, section: str, **values: Any) -> Page:
    """Render a page of the console from `templates/console`.

    Args:
        request: of the owner who opens the page.
        template: the name of its template, in the folder `console`.
        section: the address of the section that the navigation marks as the current one.
        values: what the template and `render_page` receive.
    """
    return render_page(
        f"console/{template}",
        options=request.app.state.login_options,
        user=request.user,
        sections=_SECTIONS,
        section=section,
        **values,
    )
