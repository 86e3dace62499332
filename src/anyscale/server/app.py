"""The composition root: what the doors of the client side open to."""

from anyscale.server.core.access import Caller, local_actor
from anyscale.server.plane import ControlPlane
from anyscale.server.settings import Settings

__all__ = ["Caller", "ControlPlane", "Settings", "local_actor"]
