"""A control plane that has every service."""

from collections.abc import Iterator
from contextlib import closing

import pytest
from msgspec import structs
from tests.support.databases.empty_sqlite import cheap_control_plane
from tests.support.mail.sending import UNUSED_RELAY
from tests.support.servers.control_planes import Deployment

from anyscale.server.control_plane import ControlPlane


@pytest.fixture
def control_plane(store_deployment: Deployment) -> Iterator[ControlPlane]:
    """A control plane in this process, with a relay that no test reaches."""
    settings = structs.replace(store_deployment.settings(), mail=UNUSED_RELAY)
    with closing(cheap_control_plane(settings)) as control_plane:
        yield control_plane
