"""What every handler may ask for by its name, and what guards find by the connection."""

from typing import Any

from litestar.connection import ASGIConnection
from litestar.di import NamedDependency

from anyscale.server.core.access import Caller
from anyscale.server.core.sessions import Member
from anyscale.server.http.lanes import Lanes
from anyscale.server.plane import ControlPlane

__all__ = [
    "Connection",
    "GivenCaller",
    "GivenLanes",
    "GivenMember",
    "GivenPlane",
    "lanes_of",
    "plane_of",
]

Connection = ASGIConnection[Any, Any, Any, Any]

GivenPlane = NamedDependency[ControlPlane]
GivenLanes = NamedDependency[Lanes]
GivenCaller = NamedDependency[Caller]
GivenMember = NamedDependency[Member]


def plane_of(connection: Connection) -> ControlPlane:
    """Give the control plane that a connection leads to."""
    plane: ControlPlane = connection.app.state.plane
    return plane


def lanes_of(connection: Connection) -> Lanes:
    """Give the threads of its process."""
    lanes: Lanes = connection.app.state.lanes
    return lanes
