"""A transport of each kind."""

from collections.abc import Iterator
from contextlib import closing

import pytest
from tests.client.transports.steps import Connect
from tests.support.servers.control_planes import Deployment

from anyscale.transport.base import Transport


@pytest.fixture
def connect(deployment: Deployment) -> Connect:
    """Create a transport to the control plane of the test; the caller closes it."""
    return deployment.transport


@pytest.fixture
def transport(connect: Connect) -> Iterator[Transport]:
    with closing(connect()) as transport:
        yield transport
