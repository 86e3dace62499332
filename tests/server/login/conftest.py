"""The control plane of the tests of sign-in."""

from collections.abc import Iterator
from contextlib import closing

import pytest
from tests.support.callers import OPERATOR
from tests.support.databases.filled_sqlite import filled_control_plane
from tests.support.servers.control_planes import Deployment
from tests.support.sign_in.sign_ins import EMAIL
from tests.support.users import PASSWORD, checked_user

from anyscale.server.control_plane import ControlPlane


@pytest.fixture
def control_plane(store_deployment: Deployment) -> Iterator[ControlPlane]:
    """A control plane with two accounts, one of them without a password."""
    control_plane, _ = filled_control_plane(store_deployment.settings(), _create_accounts)
    with closing(control_plane):
        yield control_plane


def _create_accounts(control_plane: ControlPlane) -> None:
    users = [checked_user(EMAIL, PASSWORD), checked_user("none@example.com")]
    control_plane.batches.create(OPERATOR, "key", users, "fail", [(0, PASSWORD)])
