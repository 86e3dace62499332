"""What every handler may ask for by its name, and what guards find by the connection."""

from collections.abc import Callable
from typing import Any, TypeVar

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
    "looked_up",
    "plane_of",
]

Found = TypeVar("Found")

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


async def looked_up(connection: Connection, look_up: Callable[[], Found]) -> Found:
    """Look something up: here where the rows are near, else in a thread.

    While every core hashes, to wake a thread and be woken by it may take longer than the rest.

    Args:
        connection: whose request it is for.
        look_up: what only reads, and few rows.
    """
    if plane_of(connection).store.is_near:
        return look_up()
    return await lanes_of(connection).asking.run(look_up)
