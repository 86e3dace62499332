"""Chromium, and a server with accounts for it: for the browser tests and the screenshots."""

import itertools
import re
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, expect, sync_playwright
from tests.support.programs import program
from tests.support.servers.http_client import HttpClient
from tests.support.servers.server_process import ServerProcess
from tests.support.users import PASSWORD, create_accounts

from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.hashing.pool import CHEAPEST
from anyscale.server.core.link_secrets import new_link_secret
from anyscale.server.core.secrets import hash_of
from anyscale.server.settings import Settings
from anyscale.server.store.records.login import LinkRecord

_FEATURES = (
    "NetworkServiceInProcess2",
    # A page takes over the frame of the one before, and needs no new one.
    "RenderDocument:level/crashed-frame",
    # These are of Playwright, whose option is replaced.
    "CDPScreenshotNewSurface",
    "SkipListAccountsWithoutGaiaCookies",
)

#: no screen, no requests of its own, and as little as possible beside the page: with more processes
#: and threads, a page that is opened took twice the processor time
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--in-process-gpu",
    "--disable-site-isolation-trials",
    "--renderer-process-limit=1",
    f"--enable-features={','.join(_FEATURES)}",
    # The code of a page does not live long enough for what V8 gains by optimizing it.
    "--js-flags=--no-opt --no-maglev",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

#: of a provider that gets no request: the sign-in page offers it
SSO_SETTINGS = {
    "ANYSCALE_SSO_ISSUER": "https://login.example.com",
    "ANYSCALE_SSO_CLIENT_ID": "accounts",
    "ANYSCALE_PUBLIC_URL": "https://accounts.example.com",
}

_numbers = itertools.count()


class Site:
    """A server, and its database.

    Args:
        server: that is ready.
        database: its file, or its URL.
    """

    def __init__(self, server: ServerProcess, database: Path | str) -> None:
        self.url = server.url
        #: of the links that `create_link` created
        self.secrets: list[str] = []
        self._settings = Settings(database=database)

    def control_plane(self) -> ControlPlane:
        """Make a control plane on the same database; the caller closes it."""
        return ControlPlane(self._settings, profile=CHEAPEST)

    def create_user(self) -> str:
        """Create an account, which has to change its password; give its email."""
        name = f"person{next(_numbers)}"
        with closing(self.control_plane()) as control_plane:
            create_accounts(control_plane, name)
        return f"{name}@example.com"

    def create_owner(self) -> str:
        """Create an owner, as `create_user` does."""
        email = self.create_user()
        with closing(self.control_plane()) as control_plane, control_plane.store.write() as tx:
            account = tx.accounts.find(email)
            assert account
            tx.accounts.set_role(account.user_id, "owner")
        return email

    def signed_in(self, email: str) -> Any:
        """Sign a new user in, who chooses `NEW_PASSWORD`; give a browser's state, for Playwright.

        It needs a tenth of the processor time of the forms.
        """
        return state_of(HttpClient(self.url).sign_in_first_time(email.partition("@")[0]))

    def create_link(self, email: str) -> str:
        """Create a one-time link; give its path."""
        with closing(self.control_plane()) as control_plane:
            path = create_link(control_plane, email)
        self.secrets.append(path.partition("#")[2])
        return path


def state_of(client: HttpClient) -> Any:
    """Return the state of a browser with the cookies of a client, for Playwright."""
    common = {"domain": client.host.partition(":")[0], "path": "/", "expires": -1}
    common |= {"sameSite": "Lax", "secure": True, "httpOnly": True}
    return {"cookies": [{"name": n, "value": v, **common} for n, v in client.cookies.items()]}


def create_link(control_plane: ControlPlane, email: str) -> str:
    """Create a one-time link; give its path."""
    secret = new_link_secret()
    with control_plane.store.write() as tx:
        account = tx.accounts.find(email)
        assert account
        end = tx.now() + 60_000
        tx.links.replace(LinkRecord(account.user_id, hash_of(secret), "test", tx.now(), end))
    return f"/set-password#{secret}"


@contextmanager
def run_site(
    folder: Path, settings: Mapping[str, str], constants: Mapping[str, object] | None = None
) -> Iterator[Site]:
    """Run a server until the block ends; with `SSO_SETTINGS`, one that offers single sign-on."""
    database = folder / "anyscale.db"
    url = f"sqlite:////{database.relative_to('/')}"
    with ServerProcess(url, folder, settings=settings, constants=constants) as server:
        yield Site(server, database)


@contextmanager
def run_chromium() -> Iterator[Browser]:
    """Run Debian's Chromium without a window until the block ends.

    Its headless shell needs a third of the processor time of the whole browser.
    """
    # A loaded machine needs more than the 5 seconds of Playwright, and more than 30 for a start.
    expect.set_options(timeout=60_000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program("chromium-headless-shell"),
            args=list(FLAGS),
            timeout=120_000,
        )
        yield browser
        browser.close()


def sign_in(page: Page, email: str, password: str = PASSWORD) -> None:
    """Submit the sign-in form."""
    page.goto("/sign-in")
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password", exact=True).fill(password)
    page.get_by_role("button", name="Sign in").click()


def change_password(page: Page, current: str, new: str, button: str = "Save and continue") -> None:
    """Submit the form that changes a password."""
    page.get_by_label("New password", exact=True).fill(new)
    page.get_by_label("New password, once more").fill(new)
    typed = page.get_by_label(re.compile("Current password|you were given"))
    if typed.count():  # an initial password is not asked for again
        typed.fill(current)
    page.get_by_role("button", name=button).click()


def set_password_by_link(page: Page, new: str) -> None:
    """Submit the form of a one-time link."""
    page.get_by_label("New password", exact=True).fill(new)
    page.get_by_label("New password, once more").fill(new)
    page.get_by_role("button", name="Set password and sign in").click()
