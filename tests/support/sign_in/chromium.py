"""One Chromium for the tests of a process that follow each other and need one."""

from collections.abc import Generator
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

_running: list[tuple["Browser", ExitStack]] = []


@pytest.fixture(scope="module")
def chromium() -> "Browser":
    """Chromium, which ends before a module that does not begin with it: it has an event loop."""
    from tests.support.sign_in.site import run_chromium

    if not _running:
        with ExitStack() as stack:
            browser = stack.enter_context(run_chromium())
            _running.append((browser, stack.pop_all()))
    return _running[0][0]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None]:
    """End Chromium after a module, unless the next test takes it."""
    try:
        yield
    finally:
        in_use = nextitem and (
            nextitem.path == item.path or "chromium" in getattr(nextitem, "fixturenames", ())
        )
        if _running and not in_use:
            _running.pop()[1].close()
