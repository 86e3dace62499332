"""The batches of a control plane."""

import pytest
from tests.support.hashing import record_hashed

from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.batches.service import BatchService


@pytest.fixture
def hashed(control_plane: ControlPlane) -> list[str]:
    """The passwords that the control plane has hashed."""
    return record_hashed(control_plane.hashing)


@pytest.fixture
def batches(control_plane: ControlPlane) -> BatchService:
    return control_plane.batches
