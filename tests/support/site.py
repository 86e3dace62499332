"""What the browser's tests and the pictures start from: Chromium, a site, and people on it."""

import itertools
import re
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright
from tests.support.http_client import make_accounts
from tests.support.server_process import ServerProcess
from tests.support.users import PASSWORD

from anyscale.server.core.hashing.pool import CHEAPEST
from anyscale.server.core.secrets import hash_of, new_secret
from anyscale.server.main import ControlPlane, Settings
from anyscale.server.store.interface import LinkRecord

__all__ = ["SSO", "Site", "choose", "chromium", "set_by_link", "sign_in", "site_at"]

#: Debian's, which is never downloaded by the library; without what needs a screen or the network.
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

#: Of a provider that nobody asks: what the sign-in page needs to offer it.
SSO = {
    "ANYSCALE_OIDC_ISSUER": "https://login.example.com",
    "ANYSCALE_OIDC_CLIENT_ID": "accounts",
    "ANYSCALE_PUBLIC_URL": "https://accounts.example.com",
}

_numbers = itertools.count()


class Site:
    """A server that is ready, and its database.

    Args:
        server: that answers.
        database: its file.
    """

    def __init__(self, server: ServerProcess, database: Path) -> None:
        self.url = server.url
        #: of the links that were made
        self.secrets: list[str] = []
        self._settings = Settings(database=database)

    def plane(self) -> ControlPlane:
        """Look behind the server; the caller closes it."""
        return ControlPlane(self._settings, profile=CHEAPEST)

    def newcomer(self) -> str:
        """Create an account whose password an administrator gave; give its email."""
        name = f"person{next(_numbers)}"
        with closing(self.plane()) as plane:
            make_accounts(plane, name)
        return f"{name}@example.com"

    def link(self, email: str) -> str:
        """Make a one-time link; give its path."""
        secret = new_secret()
        self.secrets.append(secret)
        with closing(self.plane()) as plane, plane.store.write() as rows:
            account = rows.account(email_key=email)
            assert account
            end = rows.now() + 60_000
            rows.put_link(LinkRecord(account.user_id, hash_of(secret), "test", rows.now(), end))
        return f"/set-password#{secret}"


@contextmanager
def site_at(folder: Path, **settings: str) -> Iterator[Site]:
    """Start a server for a while; with `SSO`, one that offers single sign-on."""
    database = folder / "anyscale.db"
    url = f"sqlite:////{database.relative_to('/')}"
    with ServerProcess(url, folder, 1, **settings) as server:
        yield Site(server, database)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start a browser for a while."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=list(FLAGS)
        )
        yield browser
        browser.close()


def sign_in(page: Page, email: str, password: str = PASSWORD) -> None:
    """Fill in the form, and send it."""
    page.goto("/sign-in")
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password", exact=True).fill(password)
    page.get_by_role("button", name="Sign in").click()


def choose(page: Page, current: str, new: str, button: str = "Save and go on") -> None:
    """Fill in the form by which a password is changed, and send it."""
    page.get_by_label(re.compile("Current password|you were given")).fill(current)
    page.get_by_label("New password", exact=True).fill(new)
    page.get_by_label("New password, once more").fill(new)
    page.get_by_role("button", name=button).click()


def set_by_link(page: Page, new: str) -> None:
    """Fill in the form of a one-time link, and send it."""
    page.get_by_label("New password", exact=True).fill(new)
    page.get_by_label("New password, once more").fill(new)
    page.get_by_role("button", name="Set password and sign in").click()
