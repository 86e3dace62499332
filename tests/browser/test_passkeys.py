"""Passkeys in Chromium, whose virtual authenticators stand in for phones and security keys."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, Request, expect
from tests.browser.conftest import Visit
from tests.support.accessibility.checks import assert_accessible
from tests.support.ports import free_port
from tests.support.second_factor.virtual_authenticators import INTERNAL, USB, Device, add_passkey
from tests.support.servers.server_process import ServerProcess
from tests.support.sign_in.site import Site
from tests.support.users import NEW_PASSWORD

#: keeps what the page gave to the browser for the field
NOTE_OFFER = """const get = navigator.credentials?.get.bind(navigator.credentials);
if (get) navigator.credentials.get = (options) => {
  if (options.mediation === "conditional") window.offer = options;
  return get(options);
};"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server at localhost, which browsers allow to have passkeys."""
    folder, port = tmp_path_factory.mktemp("site"), free_port()
    database = folder / "anyscale.db"
    settings = {
        "ANYSCALE_PUBLIC_URL": f"http://localhost:{port}",
        "ANYSCALE_SECOND_FACTOR_KEYS": str(folder / "second-factor-keys"),
    }
    url = f"sqlite:////{database.relative_to('/')}"
    with ServerProcess(url, folder, port=port, settings=settings) as server:
        site = Site(server, database)
        site.url = f"http://localhost:{port}"
        yield site


def new_member(site: Site, visit: Visit) -> tuple[Page, str]:
    """Open the account page of a new member, who has chosen a password."""
    email = site.create_user()
    return visit("/", storage_state=site.signed_in(email)), email


def sign_in_here(page: Page, email: str) -> None:
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password", exact=True).fill(NEW_PASSWORD)
    page.get_by_role("button", name="Sign in").click()


def sign_out(page: Page) -> None:
    page.goto("/")
    page.get_by_role("button", name="Sign out", exact=True).click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def requests_of(page: Page) -> list[str]:
    """Collect the methods of a page's requests, but those for pictures, styles and scripts."""
    sent: list[str] = []

    def note(request: Request) -> None:
        if "/assets/" not in request.url:
            sent.append(request.method)

    page.on("request", note)
    return sent


def test_a_member_adds_a_passkey_and_signs_in_by_it_alone(site: Site, visit: Visit) -> None:
    page, email = new_member(site, visit)
    device = Device(page, INTERNAL)
    add_passkey(page)
    expect(page.get_by_role("heading", name=re.compile("recovery codes"))).to_be_visible()
    (credential,) = device.credentials()
    assert credential["rpId"] == "localhost"
    assert email not in str(credential["userHandle"])
    sign_out(page)
    sent = requests_of(page)

    page.get_by_role("button", name="Use a passkey").click()

    expect(page.get_by_role("heading", name="Your account")).to_be_visible()
    expect(page.get_by_text(email)).to_be_visible()
    assert sent == ["POST", "GET"]


def test_the_field_of_the_email_offers_the_passkey(site: Site, visit: Visit) -> None:
    page, email = new_member(site, visit)
    device = Device(page, INTERNAL, offered_in_field=True)
    add_passkey(page)
    expect(page.get_by_role("heading", name=re.compile("recovery codes"))).to_be_visible()
    device.touches(by_itself=False)
    sign_out(page)
    device.touches(by_itself=True)

    page.goto("/sign-in")  # the user chooses the passkey in the list of the field

    expect(page.get_by_text(email)).to_be_visible()


def test_the_button_ends_the_offer_in_the_field(site: Site, visit: Visit) -> None:
    page, _ = new_member(site, visit)
    device = Device(page, INTERNAL, offered_in_field=True)
    add_passkey(page)
    expect(page.get_by_role("heading", name=re.compile("recovery codes"))).to_be_visible()
    device.touches(by_itself=False)
    page.add_init_script(NOTE_OFFER)
    sign_out(page)
    page.wait_for_function("() => window.offer")

    page.get_by_role("button", name="Use a passkey").click()

    page.wait_for_function("() => window.offer.signal.aborted")


def test_after_the_password_a_passkey_is_the_second_step(site: Site, visit: Visit) -> None:
    page, email = new_member(site, visit)
    Device(page, USB)
    add_passkey(page)
    expect(page.get_by_role("heading", name=re.compile("recovery codes"))).to_be_visible()
    sign_out(page)
    sign_in_here(page, email)
    expect(page.get_by_role("heading", name="Confirm that it is you")).to_be_visible()
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.get_by_role("heading", name="Your account")).to_be_visible()


def test_a_device_has_one_passkey_of_an_account(site: Site, visit: Visit) -> None:
    page, _ = new_member(site, visit)
    Device(page, INTERNAL)
    add_passkey(page)
    expect(page.get_by_role("heading", name=re.compile("recovery codes"))).to_be_visible()
    page.goto("/")
    add_passkey(page, "Again")
    expect(page.get_by_text("This device has a passkey for your account already.")).to_be_visible()


def test_a_cloned_authenticator_is_refused_and_the_page_works_on(site: Site, visit: Visit) -> None:
    page, _ = new_member(site, visit)
    device = Device(page, USB)
    add_passkey(page)
    expect(page.get_by_role("heading", name=re.compile("recovery codes"))).to_be_visible()
    (clone,) = device.credentials()
    device.replace(clone)
    sign_out(page)
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.get_by_role("alert").first).to_contain_text("may have been copied")
    expect(page.get_by_role("button", name="Use a passkey")).to_be_visible()


def test_the_pages_with_a_passkey_are_accessible(site: Site, visit: Visit) -> None:
    page, email = new_member(site, visit)
    device = Device(page, INTERNAL | {"isUserVerified": False})
    add_passkey(page)
    expect(page.get_by_text("No passkey was chosen, or it took too long.")).to_be_visible()
    assert page.url.endswith("/account/second-factor/passkey")
    assert_accessible(page)
    device.send("setUserVerified", isUserVerified=True)
    page.get_by_role("button", name="Create the passkey").click()
    expect(page.get_by_role("heading", name=re.compile("recovery codes"))).to_be_visible()
    page.goto("/")
    assert_accessible(page)
    sign_out(page)
    assert_accessible(page)
    sign_in_here(page, email)
    expect(page.get_by_role("button", name="Use a passkey")).to_be_visible()
    assert_accessible(page)


def test_without_scripts_no_page_shows_a_button_that_does_nothing(site: Site, visit: Visit) -> None:
    page = visit("/sign-in", java_script_enabled=False)
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    expect(page.get_by_role("button", name="Use a passkey")).to_be_hidden()
