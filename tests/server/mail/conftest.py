"""A relay, and a control plane that sends mail by it."""

from collections.abc import Iterator
from contextlib import closing

import pytest
from msgspec import structs
from tests.support.databases.empty_sqlite import cheap_control_plane
from tests.support.mail.relays import TestRelay, running_relay
from tests.support.mail.sending import close_senders
from tests.support.servers.control_planes import Deployment

from anyscale.server.control_plane import ControlPlane


@pytest.fixture(scope="module")
def module_relay() -> Iterator[TestRelay]:
    with running_relay() as relay:
        yield relay


@pytest.fixture
def relay(module_relay: TestRelay) -> TestRelay:
    """A relay that accepts all mails, and has none yet."""
    module_relay.received.clear()
    module_relay.on_recipient = module_relay.on_data = lambda _: None
    return module_relay


@pytest.fixture
def control_plane(store_deployment: Deployment, relay: TestRelay) -> Iterator[ControlPlane]:
    """A control plane in this process whose relay is that of the test."""
    settings = structs.replace(store_deployment.settings(), mail=relay.settings())
    with closing(cheap_control_plane(settings)) as control_plane:
        yield control_plane
        close_senders(control_plane)
