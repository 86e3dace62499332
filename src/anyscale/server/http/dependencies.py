"""What every handler may ask for by its name, and what guards find by the connection."""

from collections.abc import Callable
from typing import Any, TypeVar

from litestar.connection import ASGIConnection
from litestar.di import NamedDependency

from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.authorization import Principal
from anyscale.server.core.login.sessions import AuthenticatedUser
from anyscale.server.http.thread_pools import ThreadPools

__all__ = [
    "Connection",
    "GivenCaller",
    "GivenMember",
    "GivenPlane",
    "GivenPools",
    "looked_up",
    "plane_of",
    "pools_of",
]

Found = TypeVar("Found")

Connection = ASGIConnection[Any, Any, Any, Any]

GivenPlane = NamedDependency[ControlPlane]
GivenPools = NamedDependency[ThreadPools]
GivenCaller = NamedDependency[Principal]
GivenMember = NamedDependency[AuthenticatedUser]


def plane_of(connection: Connection) -> ControlPlane:
    """Give the control plane that a connection leads to."""
    plane: ControlPlane = connection.app.state.plane
    return plane


def pools_of(connection: Connection) -> ThreadPools:
    """Give the threads of its process."""
    pools: ThreadPools = connection.app.state.pools
    return pools


async def looked_up(connection: Connection, look_up: Callable[[], Found]) -> Found:
    """Look something up: here where the rows are near, else in a thread.

    While every core hashes, to wake a thread and be woken by it may take longer than the rest.

    Args:
        connection: whose request it is for.
        look_up: what only reads, and few rows.
    """
    if plane_of(connection).store.is_near:
        return look_up()
    return await pools_of(connection).auth.run(look_up)
