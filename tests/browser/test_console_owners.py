"""Signing in again, audit log, applications and tokens in a browser: accessible, by keyboard."""

import re
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any, NamedTuple

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.browser.conftest import ROWS, SLICE, Visit, visits
from tests.support.accessibility.axe import keep_axe, violations
from tests.support.accessibility.checks import assert_accessible, press_until
from tests.support.callers import OPERATOR
from tests.support.sign_in.sign_ins import let_time_pass
from tests.support.sign_in.site import Site
from tests.support.users import NEW_PASSWORD

from anyscale.domain.models.applications import NewApplication
from anyscale.server.core.audit.entries import Entry, append_entries
from anyscale.server.core.time_units import MINUTE_MS

LONG = "W" * 200
HUB = "https://hub.example.com/hub/oauth_callback"


class Owner(NamedTuple):
    """An owner of the site, and the cookies of a browser in which the owner is signed in."""

    state: Any
    email: str
    #: of an application
    client_id: str


@pytest.fixture(scope="module")
def owner(site: Site) -> Owner:
    """An owner, an application, and an audit log of more than one slice."""
    email = site.create_owner()
    site.create_user()
    state = site.signed_in(email)
    with closing(site.control_plane()) as control_plane:
        user = control_plane.sessions.authenticate(secret_in(state))
        new = NewApplication(name=f"Wiki {LONG}"[:200], redirect_uris=[HUB], audience=["owners"])
        created = control_plane.applications.create(user, new)
        control_plane.tokens.create(OPERATOR, f"robot-{LONG}"[:64], "owner", None)
        with control_plane.store.write() as tx:
            entries = [
                Entry(f"token:robot{at % 3}", "batch.dropped", f"bat_{at}", {"text": "W" * 60})
                for at in range(SLICE)
            ]
            append_entries(tx, entries)
    return Owner(state, email, created.application.client_id)


def secret_in(state: Any) -> str:
    return str({one["name"]: one["value"] for one in state["cookies"]}["__Host-session"])


@pytest.fixture(scope="module")
def page(browser: Browser, site: Site, owner: Owner) -> Iterator[Page]:
    """A page of the owner, whose console has to stay empty."""
    with visits(browser, site) as visit:
        allowed = ["clipboard-read", "clipboard-write"]
        page = visit("/console", storage_state=owner.state, permissions=allowed)
        keep_axe(page)
        yield page


@pytest.fixture(autouse=True)
def wide(request: pytest.FixtureRequest) -> None:
    if "page" in request.fixturenames:
        request.getfixturevalue("page").set_viewport_size({"width": 1280, "height": 800})


def let_the_sign_in_be_old(site: Site) -> None:
    with closing(site.control_plane()) as control_plane:
        let_time_pass(control_plane, 16 * MINUTE_MS)


def sign_in_again(page: Page, site: Site) -> None:
    let_the_sign_in_be_old(site)
    page.goto("/console/tokens/new")
    expect(page.get_by_role("heading", name="Sign in again")).to_be_visible()


def refuse_again(page: Page, site: Site) -> None:
    sign_in_again(page, site)
    page.get_by_label("Password").fill("not the password")
    page.get_by_role("button", name="Sign in again").click()


def complete(page: Page, password: str = NEW_PASSWORD) -> None:
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in again").click()


def verify(page: Page, _: Site) -> None:
    page.goto("/console/audit")
    page.get_by_role("button", name="Verify the log").click()
    # It goes on to the end without a click.
    expect(page.get_by_text(re.compile(r"Unbroken up to entry 1,\d+, the newest"))).to_be_visible()
    expect(page.get_by_role("button", name="Copy the head")).to_be_visible()


def refuse_application(page: Page, _: Site) -> None:
    page.goto("/console/applications/new")
    page.get_by_label("Name").fill("Hub")
    page.get_by_label("Redirect URIs").fill("http://hub.example.com")
    page.get_by_role("button", name="Create the application").click()


def show_secret(page: Page, _: Site) -> None:
    page.goto("/console/applications/new")
    page.get_by_label("Name").fill("Shown once")
    page.get_by_label("Redirect URIs").fill(HUB)
    page.get_by_role("button", name="Create the application").click()


def check_application(page: Page, _: Site) -> None:
    page.goto("/console/applications/new")
    page.get_by_label("Name").fill("Checked")
    page.get_by_label("Redirect URIs").fill(HUB)
    page.get_by_label("Who may sign in").fill("example.com, exmaple.com")
    page.get_by_text("Where known programs return to").click()
    page.get_by_role("button", name="Only check").click()


def refuse_token(page: Page, _: Site) -> None:
    page.goto("/console/tokens/new")
    page.get_by_role("button", name="Create the token").click()


def show_token(page: Page, _: Site, name: str = "laptop") -> None:
    page.goto("/console/tokens/new")
    page.get_by_label("Name").fill(name)
    page.get_by_role("button", name="Create the token").click()


def open_question(page: Page, _: Site) -> None:
    page.goto("/console/tokens")
    page.locator("summary", has_text="Revoke").first.click()


Step = Callable[[Page, Site], object]

#: each with its heading; {id} is that of the application
PAGES: dict[str, tuple[str, str | Step]] = {
    "last entries": ("Audit log", "/console/audit?after=0"),
    "nobody": ("There is a problem", "/console/audit?q=nobody@example.com"),
    "several users": ("Which one is", "/console/audit?q=jane"),
    "filters": ("No entry matches", "/console/audit?actor=token:nobody&from=2026-10-01"),
    "verified": ("Verify the audit log", verify),
    "application": ("Wiki", "/console/applications/{id}"),
    "refused application": ("There is a problem", refuse_application),
    "checked application": ("Create an application", check_application),
    "secret": ("The application is created", show_secret),
    "edit": ("Change Wiki", "/console/applications/{id}/edit"),
    "rotate": ("Replace the secret of", "/console/applications/{id}/rotate-secret"),
    "delete": ("Delete Wiki", "/console/applications/{id}/delete"),
    "deleted": ("Applications", "/console/applications?note=deleted"),
    "tokens": ("Tokens of no user", open_question),
    "refused token": ("There is a problem", refuse_token),
    "token": ("Your new token", show_token),
    "refused sign-in": ("There is a problem", refuse_again),
}


@pytest.mark.parametrize("name", PAGES)
def test_every_page_is_accessible_narrow_and_wide_in_light_and_dark(
    page: Page, site: Site, owner: Owner, name: str
) -> None:
    heading, step = PAGES[name]
    if isinstance(step, str):
        page.goto(step.format(id=owner.client_id))
    else:
        step(page, site)
    expect(page.get_by_role("heading", name=heading).first).to_be_visible()
    assert_accessible(page)
    if "Sign in again" in page.title():
        complete(page)


def test_a_form_that_is_sent_too_late_leads_back_to_its_page(page: Page, site: Site) -> None:
    page.goto("/console/tokens/new")
    page.get_by_label("Name").fill("late")
    let_the_sign_in_be_old(site)
    page.get_by_role("button", name="Create the token").click()
    complete(page)
    expect(page.get_by_role("heading", name="Create a token")).to_be_visible()
    page.goto("/console/tokens")
    expect(page.get_by_text("late", exact=True)).to_have_count(0)


def test_a_wrong_password_has_the_focus_and_leads_to_its_field(page: Page, site: Site) -> None:
    refuse_again(page, site)
    field = page.get_by_label("Password")
    expect(field).to_be_focused()
    page.get_by_label("Email").focus()
    page.get_by_role("alert").get_by_role("link", name="The current password is wrong.").click()
    expect(field).to_be_focused()
    expect(field).to_have_value("")
    expect(field).to_have_accessible_description("The current password is wrong.")
    complete(page)


def test_the_owner_signs_in_again_by_keyboard_and_goes_on_where_the_owner_was(
    page: Page, site: Site
) -> None:
    sign_in_again(page, site)
    expect(page.get_by_label("Email")).to_have_value(re.compile("@example.com"))
    press_until(page, "Password")
    page.keyboard.type(NEW_PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Create a token")).to_be_visible()
    assert page.url == f"{site.url}/console/tokens/new"
    page.reload()
    expect(page.get_by_role("heading", name="Create a token")).to_be_visible()


def test_the_log_is_filtered_by_its_links_and_back_leads_back(page: Page, site: Site) -> None:
    page.goto("/console/audit")
    page.get_by_label("What happened").select_option("Import cancelled")
    page.get_by_role("button", name="Show").click()
    entries = page.locator(".log > li")
    page.get_by_role("link", name="the token robot1", exact=False).first.click()
    # The click replaces the event.
    expect(page.get_by_label("What happened")).to_have_value("")
    expect(entries).to_have_count(ROWS)
    expect(entries.filter(has_text="robot1 cancelled")).to_have_count(ROWS)
    page.get_by_role("link", name="Next").click()
    expect(page.get_by_role("link", name="First")).to_be_visible()
    address = page.url
    first = entries.first.inner_text()
    page.get_by_role("link", name="Next").click()
    expect(entries.first).not_to_have_text(first)
    page.go_back()
    page.reload()
    assert page.url == address
    assert entries.first.inner_text() == first
    page.get_by_role("link", name="Remove the filter Done by the token robot1").click()
    expect(page).to_have_url(f"{site.url}/console/audit")


def test_a_token_is_copied_and_shown_once(page: Page, site: Site) -> None:
    show_token(page, site, "copied")
    page.get_by_role("button", name="Copy the token").click()
    expect(page.get_by_text("Copied.")).to_be_visible()
    secret = page.evaluate("navigator.clipboard.readText()")
    assert re.fullmatch(r"mrt_\w+", secret)
    site.secrets.append(secret)
    page.reload()
    expect(page.get_by_text("The token copied was created once")).to_be_visible()
    assert_accessible(page)
    assert secret not in page.content()
    page.go_back()
    assert secret not in page.content()


def test_the_text_for_a_program_and_each_address_are_copied(page: Page, site: Site) -> None:
    page.goto("/console/applications/new")
    page.get_by_label("Name").fill("Grafana")
    page.get_by_label("Redirect URIs").fill("https://grafana.example.com/login/generic_oauth")
    page.get_by_label("Address to open").fill("https://grafana.example.com")
    page.get_by_role("button", name="Create the application").click()
    page.get_by_role("button", name="Copy the text for Grafana").click()
    expect(page.locator("#copy-grafana-copied")).to_have_text("Copied.")
    secret = page.locator("#client .whole").inner_text()
    site.secrets.append(secret)
    text = page.evaluate("navigator.clipboard.readText()")
    assert f"client_secret = {secret}\nscopes = " in text
    page.get_by_role("link", name="I have copied them").click()
    assert secret not in page.content()
    page.get_by_role("button", name="Copy the address: Token").click()
    expect(page.locator("#copy-token_endpoint-copied")).to_have_text("Copied.")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == "https://accounts.example.com/oauth2/token"


def test_a_member_sees_the_application_as_a_tile_and_no_console(
    visit: Visit, owner: Owner, site: Site
) -> None:
    audiences = {"Tile": ["example.com"], f"Tile {LONG}"[:99]: [], "Tile of owners": ["owners"]}
    with closing(site.control_plane()) as control_plane:
        user = control_plane.sessions.authenticate(secret_in(owner.state))
        for name, audience in audiences.items():
            new = NewApplication(
                name=name,
                redirect_uris=[HUB],
                audience=audience,
                address="https://hub.example.com/start",
            )
            control_plane.applications.create(user, new)
    page = visit("/", storage_state=site.signed_in(site.create_user()))
    section = page.get_by_role("region", name="Your applications")
    tiles = section.get_by_role("link", name="Tile")
    expect(tiles).to_have_count(2)
    expect(tiles.first).to_have_accessible_name("Tile hub.example.com")
    expect(tiles.first).to_have_attribute("rel", "noopener noreferrer")
    expect(page.get_by_role("link", name="Open the console")).to_have_count(0)
    assert_accessible(page)
    page.goto("/console/users")
    expect(page.get_by_role("heading", name="Only for owners")).to_be_visible()
    assert violations(page) == []


def test_all_works_without_javascript(visit: Visit, owner: Owner, site: Site) -> None:
    page = visit("/console", storage_state=owner.state, java_script_enabled=False)
    page.get_by_role("link", name="Audit log").first.click()
    page.get_by_role("button", name="Verify the log").click()
    expect(page.get_by_text(f"Unbroken up to entry {SLICE:,}.")).to_be_visible()
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_text("the newest one")).to_be_visible()
    let_the_sign_in_be_old(site)
    page.get_by_role("link", name="Applications").click()
    page.get_by_role("link", name="Create an application").click()
    complete(page, "wrong")
    expect(page.get_by_label("Password")).to_be_focused()
    complete(page)
    page.get_by_label("Name").fill("Without script")
    page.get_by_label("Redirect URIs").fill(HUB)
    page.get_by_role("button", name="Create the application").click()
    expect(page.locator("#client")).to_contain_text("client_secret=mrc_")
    page.get_by_role("link", name="I have copied them").click()
    page.get_by_role("link", name="Delete the application").click()
    page.get_by_role("button", name="Delete the application").click()
    expect(page.get_by_role("status").first).to_contain_text("The application is deleted.")
    show_token(page, site, "no script")
    expect(page.locator("#token")).to_contain_text("mrt_")
    page.get_by_role("link", name="I have copied it").click()
    page.get_by_role("listitem").filter(has_text="no script").locator("summary").click()
    page.get_by_role("listitem").filter(has_text="no script").get_by_role("button").click()
    expect(page.get_by_role("status").first).to_contain_text("The token is revoked.")


def test_a_choice_looks_like_a_field(page: Page) -> None:
    page.goto("/console/audit")
    font = "one => getComputedStyle(one).fontSize"
    choice, field = page.get_by_label("What happened"), page.get_by_label("Name, email or id")
    assert choice.evaluate(font) == field.evaluate(font)
