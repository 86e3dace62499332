"""One provider over HTTP for the attacks of a module."""

from collections.abc import Iterator

import pytest
from tests.support.sign_in.application_browser import Browser, open_browser

EVIL = "https://evil.example.com"
OTHER_CALLBACK = "https://wiki.example.com/callback"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser of a provider with the applications Hub and Wiki."""
    with open_browser(tmp_path_factory.mktemp("provider")) as browser:
        browser.site.create_application(
            name="Wiki",
            redirect_uris=[OTHER_CALLBACK],
            post_logout_redirect_uris=[OTHER_CALLBACK],
        )
        yield browser


@pytest.fixture
def browser(shared: Browser) -> Browser:
    """A browser without cookies."""
    return shared.another()


@pytest.fixture
def signed_in(browser: Browser) -> Browser:
    """A browser with a session of Jane."""
    browser.cookies["__Host-session"] = browser.site.sign_in()
    return browser
