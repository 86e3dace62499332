"""A control plane on each store, and its batches."""

from collections.abc import Iterator
from contextlib import closing

import pytest
from tests.support.servers.control_planes import Deployment

from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.batches.service import BatchService


@pytest.fixture
def plane(store_deployment: Deployment) -> Iterator[ControlPlane]:
    with closing(store_deployment.control_plane()) as plane:
        yield plane


@pytest.fixture
def batches(plane: ControlPlane) -> BatchService:
    return plane.batches
