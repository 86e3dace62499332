"""The batches of a control plane."""

import pytest

from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.batches.service import BatchService


@pytest.fixture
def batches(plane: ControlPlane) -> BatchService:
    return plane.batches
