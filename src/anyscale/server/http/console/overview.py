"""/console: the state of the control plane at a glance."""

from litestar.di import NamedDependency

from anyscale.server.core.batches.service import BatchService
from anyscale.server.http.console.rendering import Page, render_console_page
from anyscale.server.http.dependencies import UserRequest
from anyscale.server.http.route_handlers import get

__all__ = ["HANDLERS"]

_SHOWN_BATCHES = 10


@get("/", pool="read")
def show_overview(request: UserRequest, batches: NamedDependency[BatchService]) -> Page:
    unfinished = batches.page(open_only=True, before="", limit=_SHOWN_BATCHES)
    return render_console_page(request, "overview", "/console", unfinished=unfinished)


HANDLERS = [show_overview]
