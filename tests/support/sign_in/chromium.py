"""Chromium for the tests of a module."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="module")
def chromium() -> Iterator["Browser"]:
    """Chromium, until the module ends: it has an event loop, which other tests must not meet."""
    from tests.support.sign_in.site import run_chromium

    with run_chromium() as browser:
        yield browser
