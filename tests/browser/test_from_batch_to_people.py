"""From a users file to signed-in users: one batch on PostgreSQL, and each sign-in method.

The command, the server, the database, the browser and the identity provider are real.
"""

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.support.commands.running import RunAnyscale
from tests.support.servers.server_process import ServerProcess
from tests.support.sign_in.oidc_provider import CLIENT_SECRET, OidcProvider, run_oidc_provider
from tests.support.sign_in.site import change_password, set_password_by_link, sign_in
from tests.support.users import NEW_PASSWORD, PASSWORD

USERS: dict[str, list[dict[str, object]]] = {
    "create_users": [
        {"name": "Given", "email": "given@example.com", "password": PASSWORD},
        {"name": "Linked", "email": "linked@example.com"},
        {"name": "Jane", "email": "jane@example.com", "is_sso_user": True},
        {"name": "Password", "email": "password@example.com", "password": PASSWORD},
    ]
}


@pytest.fixture
def provider_and_server(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[OidcProvider, ServerProcess]]:
    """A server with single sign-on, and its OpenID provider."""
    server = ServerProcess(postgres_url, tmp_path)
    secret = tmp_path / "client-secret"
    secret.touch(0o600)
    secret.write_text(CLIENT_SECRET, encoding="utf-8")
    with run_oidc_provider(f"{server.url}/sso/callback") as oidc_provider:
        server.set(
            ANYSCALE_PUBLIC_URL=server.url,
            ANYSCALE_SSO_ISSUER=oidc_provider.issuer,
            ANYSCALE_SSO_CLIENT_ID="musterroll",
            ANYSCALE_SSO_CLIENT_SECRET_FILE=str(secret),
            ANYSCALE_SSO_DOMAINS="example.com",
        )
        with server:
            monkeypatch.setenv("ANYSCALE_HOST", server.url)
            monkeypatch.setenv("ANYSCALE_CLI_TOKEN", server.token())
            yield oidc_provider, server


@pytest.fixture
def visit(
    browser: Browser, provider_and_server: tuple[OidcProvider, ServerProcess]
) -> Iterator[Callable[[], Page]]:
    """Gives the page of the server, without cookies."""
    context = browser.new_context(base_url=provider_and_server[1].url)
    page = context.new_page()
    page.set_default_timeout(60_000)

    def cleared() -> Page:
        context.clear_cookies()
        return page

    yield cleared
    context.close()


Visit = Callable[[], Page]


def test_each_user_of_a_batch_signs_in_by_the_right_method_only(
    provider_and_server: tuple[OidcProvider, ServerProcess],
    anyscale: RunAnyscale,
    visit: Visit,
    tmp_path: Path,
) -> None:
    batch_id = created(anyscale, tmp_path)
    assert without_credentials(anyscale, batch_id) == 1
    one_has_a_password_and_must_change_it(visit())
    one_has_a_link(visit(), link_of(anyscale, batch_id, tmp_path))
    assert without_credentials(anyscale, batch_id) == 0
    by_sso(page := visit(), "jane")
    is_at_home(page, "jane@example.com")
    by_sso(page := visit(), "password")  # a user without SSO
    is_outside(page)
    listed = anyscale("user", "list", "-o", "jsonl").stdout.splitlines()
    assert [json.loads(line)["email"] for line in listed] == [
        user["email"] for user in USERS["create_users"]
    ]


def created(anyscale: RunAnyscale, folder: Path) -> str:
    file = folder / "users.json"
    file.write_text(json.dumps(USERS), encoding="utf-8")
    result = anyscale("user", "batch-create", "-f", str(file), "-o", "json")
    assert result.returncode == 0, result.stderr
    (batch,) = json.loads(anyscale("batch", "list", "-o", "json").stdout)
    return str(batch["batch_id"])


def without_credentials(anyscale: RunAnyscale, batch_id: str) -> int:
    shown = anyscale("batch", "show", batch_id, "-o", "json")
    return int(json.loads(shown.stdout)["without_credentials"])


def link_of(anyscale: RunAnyscale, batch_id: str, folder: Path) -> str:
    file = folder / "links.csv"
    result = anyscale("user", "set-password-link", "--batch", batch_id, "--output-file", str(file))
    assert result.returncode == 0, result.stderr
    assert file.stat().st_mode & 0o777 == 0o600
    (link,) = csv.DictReader(file.read_text(encoding="utf-8").splitlines())
    assert link["email"] == "linked@example.com"
    return link["url"]


def one_has_a_password_and_must_change_it(page: Page) -> None:
    sign_in(page, "given@example.com")
    for _ in range(2):
        expect(page.get_by_role("heading", name="Choose your own password")).to_be_visible()
        page.goto("/")
    change_password(page, PASSWORD, NEW_PASSWORD)
    is_at_home(page, "given@example.com")


def one_has_a_link(page: Page, link: str) -> None:
    page.goto(link)
    set_password_by_link(page, NEW_PASSWORD)
    is_at_home(page, "linked@example.com")


def by_sso(page: Page, login: str) -> None:
    """Sign in at the pages of the provider."""
    page.goto("/sign-in")
    page.get_by_role("link", name="single sign-on").click()
    page.locator("input[name=login]").fill(login)
    page.locator("input[name=password]").fill("any")
    page.get_by_role("button", name="Sign-in").click()
    page.get_by_role("button", name="Continue").click()


def is_at_home(page: Page, email: str) -> None:
    expect(page.get_by_role("heading", name="Your account")).to_be_visible()
    expect(page.get_by_text(email)).to_be_visible()


def is_outside(page: Page) -> None:
    expect(page.get_by_role("alert")).to_be_visible()
    page.goto("/")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
