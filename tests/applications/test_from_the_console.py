"""An owner connects a program with nothing but the console, and a member signs in there."""

from contextlib import closing

from playwright.sync_api import Browser, Page, expect
from tests.applications.conftest import Provider, sign_in
from tests.support.applications.generic_oauth import run_generic_oauth
from tests.support.ports import free_port


def create_in_the_console(page: Page, provider: Provider, callback: str) -> str:
    """Create an application as an owner does; give the text that the console shows for Grafana."""
    email = provider.create_user("console-owner")
    with closing(provider.control_plane()) as control_plane, control_plane.store.write() as tx:
        tx.accounts.set_role(provider.user_id(email), "owner")
    page.goto(f"{provider.url}/console/applications/new")
    sign_in(page, email)
    page.get_by_label("Name").fill("Grafana")
    page.get_by_label("Redirect URIs").fill(callback)
    page.get_by_label("Who may sign in").fill("@example.com")
    page.get_by_role("button", name="Create the application").click()
    return page.locator("#copy-grafana").inner_text()


def test_grafana_is_connected_with_only_the_console(
    page: Page, browser: Browser, provider: Provider
) -> None:
    port = free_port()
    callback = f"http://127.0.0.1:{port}/login/generic_oauth"
    member = provider.create_user("console-member")

    text = create_in_the_console(page, provider, callback)
    with run_generic_oauth(port, text) as url, browser.new_context() as context:
        other = context.new_page()
        other.goto(url)
        expect(other.get_by_role("heading")).to_have_text("Sign in to Grafana")
        sign_in(other, member)
        expect(other.get_by_text("collaborators")).to_be_visible()

        page.get_by_role("link", name="I have copied them").click()
        expect(page.get_by_text("Last sign-in")).to_be_visible()
        expect(page.locator("dd", has_text="none")).to_have_count(0)
