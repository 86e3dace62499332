"""An OpenID provider on each store, and one over HTTP."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.servers.control_planes import Deployment
from tests.support.sign_in.application_browser import Browser, open_browser
from tests.support.sign_in.openid_provider import Site, open_site


@pytest.fixture
def site(store_deployment: Deployment, tmp_path: Path) -> Iterator[Site]:
    with open_site(store_deployment, tmp_path) as site:
        yield site


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    with open_browser(tmp_path) as browser:
        yield browser
