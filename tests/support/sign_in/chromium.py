"""One Chromium for the tests of a process that follow each other and need one."""

from collections.abc import Generator
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

__all__ = ["chromium"]

_running: list[tuple["Browser", ExitStack]] = []


@pytest.fixture(scope="module")
def chromium() -> "Browser":
    """Chromium, which ends before a test that does not take it: Playwright has an event loop."""
    from tests.support.sign_in.site import run_chromium

    if not _running:
        with ExitStack() as stack:
            browser = stack.enter_context(run_chromium())
            _running.append((browser, stack.pop_all()))
    return _running[0][0]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(nextitem: pytest.Item | None) -> Generator[None]:
    """End Chromium, unless the next test takes it."""
    yield
    if _running and "chromium" not in getattr(nextitem, "fixturenames", ()):
        _running.pop()[1].close()
