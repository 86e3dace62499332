"""Fixtures of the tests of the control plane."""

from collections.abc import Iterator
from contextlib import closing

import pytest
from tests.support.servers.control_planes import Deployment

from anyscale.server.control_plane import ControlPlane


@pytest.fixture
def control_plane(store_deployment: Deployment) -> Iterator[ControlPlane]:
    """A control plane on each store, in this process."""
    with closing(store_deployment.control_plane()) as control_plane:
        yield control_plane
