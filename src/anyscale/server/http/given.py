"""What every handler may ask for by its name."""

from litestar.di import NamedDependency

from anyscale.server.core.access import Caller
from anyscale.server.http.lanes import Lanes
from anyscale.server.plane import ControlPlane

__all__ = ["GivenCaller", "GivenLanes", "GivenPlane"]

GivenPlane = NamedDependency[ControlPlane]
GivenLanes = NamedDependency[Lanes]
GivenCaller = NamedDependency[Caller]
