"""An OpenID provider in this process, and one over HTTP."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.support.servers.control_planes import Deployment
from tests.support.sign_in.application_browser import Browser, open_browser
from tests.support.sign_in.openid_provider import Site, open_site

from anyscale.server.core.openid import signing_keys


@pytest.fixture
def site(store_deployment: Deployment, tmp_path: Path) -> Iterator[Site]:
    with open_site(store_deployment, tmp_path) as site:
        yield site


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    with open_browser(tmp_path) as browser:
        yield browser


@pytest.fixture
def later(site: Site, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Let a minute pass for the keys."""
    now = time.monotonic()

    def pass_a_minute() -> None:
        nonlocal now
        now += 61
        clock = SimpleNamespace(monotonic=lambda: now, time=time.time)
        monkeypatch.setattr(signing_keys, "time", clock)

    return pass_a_minute
