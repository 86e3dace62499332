"""A control plane that has every service."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
from msgspec import structs
from tests.support.databases.empty_sqlite import cheap_control_plane
from tests.support.mail.sending import UNUSED_RELAY
from tests.support.servers.control_planes import Deployment, NewDeployment

from anyscale.server.control_plane import ControlPlane


@pytest.fixture
def control_plane(store_deployment: Deployment) -> Iterator[ControlPlane]:
    """A control plane in this process, with a relay that no test reaches."""
    with _control_plane(store_deployment) as control_plane:
        yield control_plane


@pytest.fixture(scope="module")
def shared_control_plane(new_deployment: NewDeployment) -> Iterator[ControlPlane]:
    """The same, for the tests of a module: their calls have accounts of their own.

    A new one has new connections, with which the first statements take some ten times as long.
    """
    with new_deployment() as deployment, _control_plane(deployment) as control_plane:
        yield control_plane


@contextmanager
def _control_plane(deployment: Deployment) -> Iterator[ControlPlane]:
    settings = structs.replace(deployment.settings(), mail=UNUSED_RELAY)
    with closing(cheap_control_plane(settings)) as control_plane:
        yield control_plane
