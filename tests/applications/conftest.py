"""Our OpenID provider on a port of this machine, with accounts that a batch created."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs
from playwright.sync_api import Browser, BrowserContext, Page, expect
from tests.support.applications.redirecting import (
    RedirectingApplication,
    run_redirecting_application,
)
from tests.support.callers import OPERATOR
from tests.support.ports import free_port
from tests.support.programs import program
from tests.support.second_factor.authenticator_apps import add_app, seed_keys_folder
from tests.support.second_factor.virtual_authenticators import Device, add_passkey
from tests.support.servers.server_process import ServerProcess
from tests.support.sign_in.oidc_provider import CLIENT_SECRET, OidcProvider, run_oidc_provider
from tests.support.sign_in.openid_provider import keys_folder
from tests.support.sign_in.site import create_link
from tests.support.users import PASSWORD, checked_user, create_accounts

from anyscale.domain.models.applications import NewApplication
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.hashing.pool import CHEAPEST
from anyscale.server.http.console.application_programs import connection
from anyscale.server.settings import Settings


class Provider:
    """The provider, and the database that it shares with this process.

    Users may sign in to it at another provider: then it is provider and relying party at once.
    """

    def __init__(self, folder: Path, port: int, upstream: OidcProvider) -> None:
        self.port = port
        # Passkeys need a domain. Applications are at 127.0.0.1, which is another site.
        self.url = f"http://localhost:{self.port}"
        self.database = folder / "anyscale.db"
        self.upstream = upstream
        secret = folder / "secret"
        secret.touch(mode=0o600)
        secret.write_text(CLIENT_SECRET)
        self.environment = {
            "ANYSCALE_PUBLIC_URL": self.url,
            "ANYSCALE_SIGNING_KEYS": str(keys_folder(folder / "keys")),
            "ANYSCALE_SECOND_FACTOR_KEYS": str(seed_keys_folder()),
            "ANYSCALE_SSO_ISSUER": upstream.issuer,
            "ANYSCALE_SSO_CLIENT_ID": "musterroll",
            "ANYSCALE_SSO_CLIENT_SECRET_FILE": str(secret),
        }

    def control_plane(self) -> ControlPlane:
        settings = Settings(database=self.database, second_factor_keys=seed_keys_folder())
        return ControlPlane(settings, profile=CHEAPEST)

    def create_user(self, name: str) -> str:
        """Create an account whose user has chosen a password; give its email."""
        email = self.create_new_user(name)
        with closing(self.control_plane()) as control_plane, control_plane.store.write() as tx:
            account = tx.accounts.find(email)
            assert account
            assert account.password_hash
            tx.accounts.set_password(account.user_id, account.password_hash, tx.now())
        return email

    def create_user_with_app(self, name: str) -> tuple[str, str]:
        """Create an account that has an app; give its email, and a code that the app shows."""
        email = self.create_user(name)
        with closing(self.control_plane()) as control_plane:
            seed = add_app(control_plane, self.user_id(email))
        command = [program("oathtool"), "--totp", seed.hex()]
        return email, subprocess.run(
            command, capture_output=True, text=True, check=True
        ).stdout.strip()

    def create_new_user(self, name: str) -> str:
        """Create an account whose user has an initial password; give its email."""
        with closing(self.control_plane()) as control_plane:
            create_accounts(control_plane, name)
        return f"{name}@example.com"

    def user_id(self, email: str) -> str:
        """Give the id of an account, which is the claim `sub`."""
        with closing(self.control_plane()) as control_plane, control_plane.store.read() as tx:
            account = tx.accounts.find(email)
        assert account
        return account.user_id

    def create_link(self, email: str) -> str:
        """Create a one-time link to set a password."""
        with closing(self.control_plane()) as control_plane:
            return self.url + create_link(control_plane, email)

    def create_sso_user(self, name: str) -> str:
        """Create an account whose user signs in at the other provider, by this name there."""
        email = f"{name}@example.com"
        self.upstream.change(name, email=email, email_verified=True)
        user = structs.replace(checked_user(email), is_sso_user=True)
        with closing(self.control_plane()) as control_plane:
            control_plane.batches.create(OPERATOR, f"sso {name}", [user], "fail")
        return email

    def suspend(self, email: str) -> None:
        with closing(self.control_plane()) as control_plane:
            with control_plane.store.read() as tx:
                account = tx.accounts.find(email)
            assert account
            control_plane.lifecycle.suspend(OPERATOR, account.user_id)

    def text_for(self, program: str, **fields: Any) -> str:
        """Create an application; give the text that the console shows for its program."""
        with closing(self.control_plane()) as control_plane:
            created = control_plane.applications.create(OPERATOR, NewApplication(**fields))
        secret = created.client_secret or ""
        shown = connection(created.application, self.url, secret)
        assert shown
        return next(one.text for one in shown.texts if one.program.key == program)

    def create_application(self, **fields: Any) -> tuple[str, str]:
        """Create an application; give its id and its secret, which is empty for a public one."""
        with closing(self.control_plane()) as control_plane:
            created = control_plane.applications.create(OPERATOR, NewApplication(**fields))
        return created.application.client_id, created.client_secret or ""


@pytest.fixture(scope="session")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    """One for all files of a process, each of which has users of its own."""
    folder = tmp_path_factory.mktemp("provider")
    port = free_port()
    with run_oidc_provider(f"http://localhost:{port}/sso/callback") as upstream:
        provider = Provider(folder, port, upstream)
        url = f"sqlite:////{provider.database.relative_to('/')}"
        with ServerProcess(url, folder, port=port, settings=provider.environment):
            yield provider


@pytest.fixture
def application(request: pytest.FixtureRequest) -> Iterator[RedirectingApplication]:
    """An application whose callback redirects to another origin; its host may be a parameter."""
    with run_redirecting_application(getattr(request, "param", "127.0.0.1")) as application:
        yield application


@pytest.fixture
def client_id(application: RedirectingApplication, provider: Provider) -> str:
    """The id of this application."""
    client_id, _ = provider.create_application(
        name=f"Gate {application.callback}",
        redirect_uris=[application.callback],
        post_logout_redirect_uris=[application.after_logout],
    )
    return client_id


def name_of(client_id: str) -> str:
    """Give a name that no other user has."""
    return client_id.removeprefix("app_").lower()


@pytest.fixture(scope="module")
def browser(chromium: Browser) -> Browser:
    return chromium


@pytest.fixture(scope="module")
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A browser whose process goes on from one test to the next."""
    context = browser.new_context()
    context.new_page()  # the process ends with the last page
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """A page of a browser without cookies."""
    page = context.new_page()
    page.set_default_timeout(60_000)
    yield page
    page.close()
    context.clear_cookies()


def sign_in_by_sso(page: Page, login: str) -> None:
    """Sign in at the other provider, and let it pass the claims on."""
    page.get_by_role("link", name="single sign-on").click()
    page.locator("input[name=login]").fill(login)
    page.locator("input[name=password]").fill("any")
    page.get_by_role("button").click()
    page.get_by_role("button", name="Continue").click()


def sign_in(page: Page, email: str, password: str = PASSWORD) -> None:
    """Submit the sign-in form to which the application has redirected the browser."""
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password", exact=True).fill(password)
    page.get_by_role("button", name="Sign in").click()


def enter_code(page: Page, code: str) -> None:
    """Show the second factor, after the password."""
    page.get_by_label("Code", exact=True).fill(code)
    page.get_by_role("button", name="Sign in").click()


def create_user_with_passkey(
    provider: Provider, page: Page, name: str, options: dict[str, Any]
) -> str:
    """Create an account whose user adds a passkey and signs out; give its email."""
    email = provider.create_user(name)
    page.goto(provider.url)
    sign_in(page, email)
    Device(page, options)
    add_passkey(page)
    expect(page.get_by_role("heading", name=re.compile("recovery codes"))).to_be_visible()
    page.context.clear_cookies()
    return email


def use_passkey(page: Page) -> None:
    """Sign in by the passkey alone, at the page to which the application has redirected."""
    page.get_by_role("button", name="Use a passkey").click()
