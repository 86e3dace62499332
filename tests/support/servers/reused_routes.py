"""The routes of the application, which a server takes over from one that has ended.

To make them is most of the work of a server that starts and of many a test. All that they have of a
control plane is in their state, and each server gets a state of its own.
"""

from collections import defaultdict

from litestar import Litestar, Router
from litestar.datastructures import State

from anyscale.server.control_plane import ControlPlane
from anyscale.server.http.app import create_routes
from anyscale.server.http.login import pages

#: what a test may add pages to
_Routers = tuple[Router, ...]

_unused: defaultdict[_Routers, list[Litestar]] = defaultdict(list)
_used: dict[ControlPlane, tuple[_Routers, Litestar]] = {}


def take_routes(services: State) -> Litestar:
    """Return routes with these services: unused ones, or new ones."""
    routers = tuple(pages.ROUTERS)
    if unused := _unused[routers]:
        routes = unused.pop()
        routes.state.update(services)
    else:
        routes = create_routes(services)
    _used[services.control_plane] = routers, routes
    return routes


def routes_of(control_plane: ControlPlane) -> Litestar:
    """Return the routes of the server of a control plane, which runs."""
    return _used[control_plane][1]


def give_back_routes(control_plane: ControlPlane) -> None:
    """Let another server use the routes of one that has ended."""
    if control_plane in _used:
        routers, routes = _used.pop(control_plane)
        routes.state.clear()
        if _State.are_reused:
            _unused[routers].append(routes)


def reuse_nothing() -> None:
    """Let each server make its own routes."""
    _State.are_reused = False


class _State:
    are_reused = True
