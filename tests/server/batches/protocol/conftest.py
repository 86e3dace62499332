"""The batches of a control plane."""

import pytest
from tests.support.hashing import record_hashed

from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.batches.service import BatchService


@pytest.fixture
def hashed(plane: ControlPlane) -> list[str]:
    """The passwords that the control plane has hashed."""
    return record_hashed(plane.hashing)


@pytest.fixture
def batches(plane: ControlPlane) -> BatchService:
    return plane.batches
