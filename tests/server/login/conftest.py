"""The control plane of the tests of sign-in."""

from collections.abc import Iterator
from contextlib import closing

import pytest
from tests.support.callers import OPERATOR
from tests.support.servers.control_planes import Deployment
from tests.support.sign_in.sign_ins import EMAIL
from tests.support.users import PASSWORD, checked_user

from anyscale.server.control_plane import ControlPlane


@pytest.fixture
def control_plane(store_deployment: Deployment) -> Iterator[ControlPlane]:
    """A control plane with two accounts, one of them without a password."""
    with closing(store_deployment.control_plane()) as control_plane:
        users = [checked_user(EMAIL, PASSWORD), checked_user("none@example.com")]
        control_plane.batches.create("key", users, "fail", OPERATOR, [(0, PASSWORD)])
        yield control_plane
