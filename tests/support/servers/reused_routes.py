"""The routes of the application, which a server takes over from one that has ended.

To make them is most of the work of a server that starts and of many a test. All that they have of a
control plane is in their state, and each server gets a state of its own.
"""

from litestar import Litestar
from litestar.datastructures import State

from anyscale.server.control_plane import ControlPlane
from anyscale.server.http import app
from anyscale.server.http.login import pages

__all__ = ["give_back_routes"]

_create = app._routes
_ROUTERS = pages.ROUTERS
_unused: list[Litestar] = []
_used: dict[ControlPlane, Litestar] = {}


def _take(services: State) -> Litestar:
    if pages.ROUTERS is not _ROUTERS:  # a test adds pages of its own
        return _create(services)
    if _unused:
        routes = _unused.pop()
        routes.state.update(services)
    else:
        routes = _create(services)
    _used[services.control_plane] = routes
    return routes


vars(app)["_routes"] = _take


def give_back_routes(control_plane: ControlPlane) -> None:
    """Let another server use the routes of one that has ended."""
    if routes := _used.pop(control_plane, None):
        routes.state.clear()
        _unused.append(routes)
