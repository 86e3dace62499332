"""Fixtures of the tests of the control plane."""

from collections.abc import Iterator
from contextlib import closing

import pytest
from tests.support.servers.control_planes import Deployment

from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.login import rate_limit


@pytest.fixture
def control_plane(store_deployment: Deployment) -> Iterator[ControlPlane]:
    """A control plane in this process."""
    with closing(store_deployment.control_plane()) as control_plane:
        yield control_plane


@pytest.fixture(autouse=True)
def many_sign_ins() -> Iterator[pytest.MonkeyPatch]:
    """Let an account sign in more often in a minute than a user does: tests share accounts.

    A test of the limit itself undoes it.
    """
    with pytest.MonkeyPatch.context() as patch:
        many = rate_limit._Limit(100_000, 60.0, "sign-ins")
        for name in ("_SIGN_INS", "_HALF_SIGN_INS", "_ALL_HALF_SIGN_INS"):
            patch.setattr(rate_limit, name, many)
        yield patch
