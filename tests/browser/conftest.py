"""Chromium, and a server with accounts."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page
from tests.support.sign_in.site import SSO_SETTINGS, Site, run_site
from tests.support.users import NEW_PASSWORD, PASSWORD

#: Chromium logs on the console the status of a refused page, a connection that a test cuts, and
#: that a field was filled before the first frame, at which `autofocus` moves the focus
_EXPECTED = re.compile(
    r"the server responded with a status of 4\d\d"
    r"|net::ERR_[A-Z_]+"
    r"|Autofocus processing was blocked because a document already has a focused element"
)


#: rows of a page of the console, in place of 50: axe looks at each of them twice
ROWS = 12

#: entries that one step of a verification of the audit log reads, in place of 20,000
SLICE = 1_000

_SMALL = {
    "anyscale.server.http.console.audit.pages._PAGE": ROWS,
    "anyscale.server.http.console.users.listing.PAGE_USERS": ROWS,
    "anyscale.server.core.audit.verification._SLICE": SLICE,
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server, in whose log no secret may be."""
    folder = tmp_path_factory.mktemp("site")
    with run_site(folder, SSO_SETTINGS, _SMALL) as site:
        yield site
        (log,) = folder.glob("*.log")
        text = log.read_text(encoding="utf-8")
    assert '"event": "listening"' in text  # it is the log that the server writes
    for secret in (PASSWORD, NEW_PASSWORD, *site.secrets):
        assert secret not in text


@pytest.fixture(scope="module")
def browser(chromium: Browser) -> Browser:
    """Chromium, whose pages share no cookies."""
    return chromium


Visit = Callable[..., Page]


@pytest.fixture(scope="module")
def kept_context(browser: Browser, site: Site) -> Iterator[BrowserContext]:
    """A browser for the first page of each test of a module.

    A new one needs a process of its own and has empty caches: twice the processor time.
    """
    context = browser.new_context(base_url=site.url)
    context.new_page()  # the process ends with the last page
    yield context
    context.close()


@pytest.fixture
def context(kept_context: BrowserContext) -> Iterator[BrowserContext]:
    """This browser, without the cookies of the test before."""
    yield kept_context
    kept_context.clear_cookies()
    kept_context.set_offline(False)


@pytest.fixture
def visit(browser: Browser, site: Site, context: BrowserContext) -> Iterator[Visit]:
    """Opens a page with no cookies; its console has to stay empty."""
    with visits(browser, site, context) as visit:
        yield visit


@contextmanager
def visits(browser: Browser, site: Site, first: BrowserContext | None = None) -> Iterator[Visit]:
    """Open pages as `visit` does, until the block ends.

    Args:
        browser: for contexts, which share no cookies.
        site: with the pages.
        first: the context of the first page, if this has no options but cookies.
    """
    messages: list[str] = []
    pages: list[Page] = []

    def opened(path: str = "/", storage_state: Any = None, **options: Any) -> Page:
        context = first if first and not (pages or options) else None
        context = context or browser.new_context(base_url=site.url, **options)
        if storage_state:
            context.add_cookies(storage_state["cookies"])
        page = context.new_page()
        pages.append(page)
        page.set_default_timeout(60_000)
        page.on("console", lambda message: messages.extend(_complaint(message)))
        page.on("pageerror", lambda error: messages.append(str(error)))
        page.goto(path)
        return page

    yield opened
    for page in pages:
        page.close()
        if page.context is not first:
            page.context.close()
    assert messages == []


def _complaint(message: ConsoleMessage) -> Iterator[str]:
    of_page = "/assets/" not in message.location["url"]
    if not (of_page and _EXPECTED.search(message.text)):
        yield f"{message.type}: {message.text}"
