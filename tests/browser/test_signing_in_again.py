"""An owner signs in again at a real identity provider, in Chromium, and continues."""

import re
from collections.abc import Iterator
from contextlib import closing

import pytest
from playwright.sync_api import Page, expect
from tests.browser.conftest import Visit
from tests.support.callers import OPERATOR
from tests.support.servers.server_process import ServerProcess
from tests.support.sign_in.oidc_provider import CLIENT_SECRET, OidcProvider
from tests.support.sign_in.sign_ins import let_time_pass
from tests.support.sign_in.site import Site

from anyscale.domain.validation import Policy, check
from anyscale.server.core.time_units import MINUTE_MS

GUARDED = "/console/tokens/new"


@pytest.fixture(scope="module")
def site(
    running_oidc_provider: OidcProvider,
    sso_port: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Site]:
    """A server with the provider, and two owners who sign in there: jane and nobody."""
    running_oidc_provider.reset()
    folder = tmp_path_factory.mktemp("site")
    file = folder / "client-secret"
    file.write_text(CLIENT_SECRET, encoding="ascii")
    file.chmod(0o600)
    settings = {
        "ANYSCALE_PUBLIC_URL": f"http://127.0.0.1:{sso_port}",
        "ANYSCALE_SSO_ISSUER": running_oidc_provider.issuer,
        "ANYSCALE_SSO_CLIENT_ID": "musterroll",
        "ANYSCALE_SSO_CLIENT_SECRET_FILE": str(file),
    }
    database = folder / "anyscale.db"
    server = ServerProcess(f"sqlite:////{database.relative_to('/')}", folder, settings=settings)
    server.port, server.url = sso_port, settings["ANYSCALE_PUBLIC_URL"]
    with server:
        site = Site(server, database)
        with closing(site.control_plane()) as control_plane:
            for name in ("jane", "nobody"):
                email = f"{name}@example.com"
                user = check(
                    Policy(),
                    name="Jane",
                    email=email,
                    password=None,
                    is_sso_user=True,
                    lastname=None,
                    title=None,
                )
                assert user
                control_plane.batches.create(OPERATOR, email, [user], "fail")
                with control_plane.store.write() as tx:
                    account = tx.accounts.find(email)
                    assert account
                    tx.accounts.set_role(account.user_id, "owner")
        yield site


@pytest.fixture
def old(visit: Visit, site: Site) -> Page:
    """A browser in which jane signed in at the provider more than 15 minutes ago."""
    page = visit("/sign-in")
    # The pages of the provider load fonts.
    page.route(
        re.compile("https://"), lambda route: route.fulfill(body="", content_type="text/css")
    )
    page.get_by_role("link", name="Sign in with single sign-on (SSO)").click()
    sign_in_there(page, "jane")
    expect(page.get_by_role("heading", name="Your account")).to_be_visible()
    with closing(site.control_plane()) as control_plane:
        let_time_pass(control_plane, 16 * MINUTE_MS)
    page.goto(GUARDED)
    expect(page.get_by_role("heading", name="Sign in again")).to_be_visible()
    return page


def sign_in_there(page: Page, login: str) -> None:
    page.get_by_placeholder("Enter any login").fill(login)
    page.get_by_placeholder("and password").fill("any")
    page.get_by_role("button", name="Sign-in").click()
    consent = page.get_by_role("button", name="Continue")
    expect(consent.or_(page.locator(".brand"))).to_be_visible()  # or one of our pages
    if consent.count():
        consent.click()


def start_again(page: Page) -> None:
    page.get_by_role("link", name="Sign in with single sign-on (SSO)").click()


def test_the_provider_asks_anew_and_only_the_same_owner_goes_on(old: Page, site: Site) -> None:
    expect(old.get_by_label("Password")).to_have_count(0)  # the account has none
    start_again(old)
    sign_in_there(old, "nobody")  # though the provider has a session of jane
    expect(old.get_by_role("alert")).to_contain_text("You signed in there as somebody else.")
    assert re.match(rf"{re.escape(site.url)}/sign-in-again\?", old.url)
    old.goto(GUARDED)
    expect(old.get_by_role("heading", name="Sign in again")).to_be_visible()
    start_again(old)
    sign_in_there(old, "jane")
    expect(old.get_by_role("heading", name="Create a token")).to_be_visible()
    assert old.url == f"{site.url}{GUARDED}"
    old.reload()
    expect(old.get_by_role("heading", name="Create a token")).to_be_visible()
