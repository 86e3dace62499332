"""Adding an authenticator app, losing the phone, and getting back in; with and without script."""

import re
import subprocess
from base64 import b32decode
from pathlib import Path

from playwright.sync_api import Page, expect
from tests.browser.conftest import Visit
from tests.support.accessibility.checks import assert_accessible
from tests.support.programs import program
from tests.support.second_factor.authenticator_apps import code_shown
from tests.support.sign_in.site import Site, sign_in
from tests.support.users import NEW_PASSWORD

CODE = re.compile(r"(?:[0-9A-HJKMNP-TV-Z]{4}-){5}[0-9A-HJKMNP-TV-Z]{4}")


def seed_of(page: Page) -> bytes:
    """Read the seed of the page, as a person types it into an app."""
    return b32decode(page.locator("#secret").inner_text().replace(" ", ""))


def add_app(page: Page, name: str) -> bytes:
    """Send the form with the first code; give the seed."""
    seed = seed_of(page)
    page.get_by_label("Code that the app shows now").fill(code_shown(seed))
    page.get_by_label("Name (optional)").fill(name)
    page.get_by_role("button", name="Add it").click()
    return seed


def read_by_phone(page: Page, folder: Path) -> str:
    """Read the QR code of the page as a camera does."""
    picture = folder / "screen.png"
    page.screenshot(path=picture)
    command = [program("zbarimg"), "--quiet", "--raw", str(picture)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def confirm(page: Page, question: str, button: str) -> None:
    page.locator("summary", has_text=question).click()
    page.get_by_role("button", name=button).click()


def test_a_user_adds_an_app_loses_the_phone_and_gets_back_in(visit: Visit, site: Site) -> None:
    email = site.create_user()
    page = visit("/", storage_state=site.signed_in(email))
    page.get_by_role("button", name="Add an authenticator app").click()
    expect(page.get_by_role("img", name="QR code for an authenticator app")).to_be_visible()
    seed = add_app(page, "Old phone")

    expect(page.get_by_role("heading", name="Your recovery codes")).to_be_visible()
    codes = CODE.findall(page.locator("#codes").inner_text())
    assert len(codes) == 8
    for button in ("Copy", "Print"):
        expect(page.get_by_role("button", name=button)).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    assert download.value.suggested_filename == "recovery-codes.txt"
    assert CODE.findall(download.value.path().read_text(encoding="ascii")) == codes
    page.get_by_role("link", name="I have kept them").click()
    expect(page.locator("strong", has_text="Old phone")).to_be_visible()
    site.secrets.extend(codes)

    page.context.clear_cookies()
    sign_in(page, email, NEW_PASSWORD)
    page.get_by_label("Code").fill(code_shown(seed, seconds_ahead=30))
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Your account")).to_be_visible()

    page.context.clear_cookies()
    sign_in(page, email, NEW_PASSWORD)
    page.get_by_role("link", name="Use a recovery code").click()
    page.get_by_label("Recovery code").fill(codes[3].lower().replace("-", " "))
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("button", name="Replace Old phone by an app").click()
    add_app(page, "New phone")
    expect(page.get_by_text("the old one is removed")).to_be_visible()
    expect(page.locator("strong", has_text="New phone")).to_be_visible()
    expect(page.locator("strong", has_text="Old phone")).to_be_hidden()
    expect(page.get_by_text("7 are left")).to_be_visible()
    confirm(page, "Make new ones", "Create new recovery codes")
    new = CODE.findall(page.locator("#codes").inner_text())
    assert len({*new} - {*codes}) == 8
    assert all(text not in page.url for text in new)


def test_without_script_the_codes_have_no_button_that_does_nothing(
    visit: Visit, site: Site
) -> None:
    state = site.signed_in(site.create_user())
    page = visit("/account/second-factor/app", storage_state=state, java_script_enabled=False)
    page.get_by_role("button", name="Show the QR code").click()
    add_app(page, "Phone")
    site.secrets.extend(CODE.findall(page.locator("#codes").inner_text()))
    expect(page.get_by_role("link", name="Download")).to_be_visible()
    for button in ("Copy", "Print"):
        expect(page.get_by_role("button", name=button)).to_be_hidden()


def test_each_page_is_accessible_and_a_phone_reads_the_code_in_the_dark(
    visit: Visit, site: Site, tmp_path: Path
) -> None:
    email = site.create_user()
    page = visit("/account/second-factor", storage_state=site.signed_in(email))
    assert_accessible(page)
    page.goto("/account/second-factor/app")
    assert_accessible(page)
    page.get_by_role("button", name="Show the QR code").click()
    seed = seed_of(page)
    for width, scheme in ((1280, "dark"), (320, "dark"), (1280, "light")):
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        page.set_viewport_size({"width": width, "height": 800})
        page.get_by_role("img", name="QR code").scroll_into_view_if_needed()
        shown = read_by_phone(page, tmp_path)
        assert shown == page.get_by_role("link", name="open it").get_attribute("href")
        assert shown.startswith("otpauth://totp/musterroll:")
    page.get_by_label("Code that the app shows now").fill("000000")
    page.get_by_role("button", name="Add it").click()
    expect(page.get_by_label("Code that the app shows now")).to_be_focused()
    assert_accessible(page)
    assert seed_of(page) == seed

    add_app(page, "Phone")
    (code, *_) = codes = CODE.findall(page.locator("#codes").inner_text())
    site.secrets.extend(codes)
    assert_accessible(page)
    page.get_by_role("link", name="I have kept them").click()
    page.locator("summary", has_text="Remove").click()
    assert_accessible(page)

    page.context.clear_cookies()
    sign_in(page, email, NEW_PASSWORD)
    page.get_by_role("link", name="Use a recovery code").click()
    page.get_by_label("Recovery code").fill(code)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Have you lost something?")).to_be_visible()
    assert_accessible(page)


def test_the_codes_are_copied_and_printed_without_what_is_around_them(
    visit: Visit, site: Site
) -> None:
    page = visit(
        "/account/second-factor/app",
        storage_state=site.signed_in(site.create_user()),
        permissions=["clipboard-read", "clipboard-write"],
    )
    page.get_by_role("button", name="Show the QR code").click()
    add_app(page, "Phone")
    codes = CODE.findall(page.locator("#codes").inner_text())
    site.secrets.extend(codes)

    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_text("Copied.")).to_be_visible()
    assert CODE.findall(page.evaluate("navigator.clipboard.readText()")) == codes
    page.evaluate("window.print = () => { document.title = 'printed' }")
    page.get_by_role("button", name="Print").click()
    assert page.title() == "printed"
    page.emulate_media(media="print")
    expect(page.locator("#codes")).to_be_visible()
    # Above them are the organization and the time, which say of what and when the codes are.
    expect(page.locator(".top")).to_contain_text("musterroll")
    for hidden in (".actions", ".button >> nth=-1"):
        expect(page.locator(hidden)).to_be_hidden()
