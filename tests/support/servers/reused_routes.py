"""The routes of the application, which a server takes over from one that has ended.

To make them is most of the work of a server that starts and of many a test. All that they have of a
control plane is in their state, and each server gets a state of its own.
"""

from litestar import Litestar
from litestar.datastructures import State

from anyscale.server.control_plane import ControlPlane
from anyscale.server.http.app import create_routes
from anyscale.server.http.login import pages

__all__ = ["give_back_routes", "routes_of", "take_routes"]

_ROUTERS = pages.ROUTERS
_unused: list[Litestar] = []
_used: dict[ControlPlane, Litestar] = {}


def take_routes(services: State) -> Litestar:
    """Return routes with these services: unused ones, or new ones."""
    if pages.ROUTERS is not _ROUTERS:  # a test adds pages of its own
        return create_routes(services)
    if _unused:
        routes = _unused.pop()
        routes.state.update(services)
    else:
        routes = create_routes(services)
    _used[services.control_plane] = routes
    return routes


def routes_of(control_plane: ControlPlane) -> Litestar:
    """Return the routes of the server of a control plane, which runs."""
    return _used[control_plane]


def give_back_routes(control_plane: ControlPlane) -> None:
    """Let another server use the routes of one that has ended."""
    if routes := _used.pop(control_plane, None):
        routes.state.clear()
        _unused.append(routes)
