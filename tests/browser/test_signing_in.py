"""Users sign in, choose passwords and sign out, in Chromium."""

import re
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Page, expect
from tests.browser.conftest import Visit
from tests.support.callers import OPERATOR
from tests.support.servers.http_client import HttpClient
from tests.support.sign_in.site import Site, change_password, set_password_by_link, sign_in
from tests.support.users import NEW_PASSWORD, PASSWORD


def path_of(page: Page) -> str:
    parts = urlsplit(page.url)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


def test_the_first_sign_in_requires_a_new_password_and_opens_the_account_page(
    site: Site, visit: Visit
) -> None:
    email, page = site.create_user(), visit()
    assert path_of(page) == "/sign-in"
    sign_in(page, email)
    expect(page.get_by_role("heading", name="Choose your own password")).to_be_visible()
    for path in ("/", "/sign-in"):
        page.goto(path)
        assert path_of(page) == "/password"
    expect(page.get_by_text("from then on, you sign in with it")).to_be_visible()
    change_password(page, PASSWORD, NEW_PASSWORD)
    expect(page).to_have_url("/")
    expect(page.get_by_role("status")).to_contain_text("Your password is changed")
    expect(page.get_by_text(email)).to_be_visible()
    cookies = {cookie["name"]: cookie for cookie in page.context.cookies()}
    assert cookies.keys() == {"__Host-session", "__Host-device", "__Host-browser"}
    assert all(cookie["httpOnly"] and cookie["secure"] for cookie in cookies.values())


def test_a_wrong_password_shows_an_error_and_keeps_the_email(site: Site, visit: Visit) -> None:
    email, page = site.create_user(), visit("about:blank")
    sign_in(page, email, "not the password")
    expect(page.get_by_role("alert")).to_contain_text("Email or password is wrong.")
    expect(page.get_by_label("Email")).to_have_value(email)
    expect(page.get_by_label("Password", exact=True)).to_have_value("")
    expect(page).to_have_title(re.compile("^Problem: Sign in"))
    expect(page.get_by_label("Password", exact=True)).to_be_focused()
    assert page.get_by_text("Email or password is wrong.").count() == 1


def test_times_are_those_of_the_zone_of_the_browser(site: Site, visit: Visit) -> None:
    zone: dict[str, Any] = {"timezone_id": "Asia/Kolkata", "locale": "en-GB"}
    page = visit(storage_state=site.signed_in(site.create_user()), **zone)
    time = page.locator("time").last
    expect(time).to_have_attribute("title", re.compile(r"\d\d:\d\d UTC"))
    shown, in_utc = (
        re.findall(r"\d\d:(\d\d)", text)[0]
        for text in (time.inner_text(), time.get_attribute("title") or "")
    )
    assert (int(shown) - int(in_utc)) % 60 == 30


def test_a_signed_out_user_has_to_sign_in_again(site: Site, visit: Visit) -> None:
    page = visit(storage_state=site.signed_in(site.create_user()))
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("status")).to_contain_text("You have signed out.")
    page.goto("/")
    assert path_of(page) == "/sign-in"
    page.go_back()
    page.reload()
    assert page.get_by_text("Your account").count() == 0


def test_the_end_of_a_session_is_said_once_and_the_sign_in_leads_on(
    site: Site, visit: Visit
) -> None:
    email = site.create_user()
    page = visit(storage_state=site.signed_in(email))
    with closing(site.control_plane()) as control_plane:
        (user,) = control_plane.users.find([email])
        assert user
        control_plane.sessions.revoke_all(OPERATOR, user.user_id)
    page.goto("/password")
    expect(page.get_by_role("status")).to_contain_text("You are not signed in any more.")
    expect(page).to_have_url("/sign-in?to=%2Fpassword")
    page.reload()
    expect(page.get_by_role("status")).to_have_count(0)
    expect(page.locator("input[name=to]").first).to_have_value("/password")


def test_a_link_sets_a_password_once_and_no_address_contains_its_secret(
    site: Site, visit: Visit
) -> None:
    email = site.create_user()
    link = site.create_link(email)
    requested: list[str] = []
    page = visit("/sign-in")
    page.on("request", lambda request: requested.append(request.url))
    page.goto(link)
    secret = link.partition("#")[2]
    expect(page.get_by_label("Email")).to_have_value(email)
    assert path_of(page) == "/set-password"
    assert secret not in page.evaluate("location.href + JSON.stringify(history.state)")
    set_password_by_link(page, "password1234")
    set_password_by_link(page, f"I am {email}")
    expect(page.get_by_role("alert")).to_contain_text("your own name or email")
    expect(page.get_by_label("Email")).to_have_value(email)
    set_password_by_link(page, NEW_PASSWORD)
    expect(page.get_by_role("status")).to_contain_text("Your password is set")
    assert not [url for url in requested if secret in url.partition("#")[0]]
    assert HttpClient(site.url).sign_in(email.partition("@")[0], NEW_PASSWORD).status == 200
    page.context.clear_cookies()
    page.goto(link)
    expect(page.get_by_role("heading", name="This link does not work")).to_be_visible()
    assert page.locator("form").count() == 0
    assert page.get_by_text(email).count() == 0
    page.get_by_role("link", name="Sign in").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_the_message_of_a_missing_link_leads_to_its_field(site: Site, visit: Visit) -> None:
    page = visit("/set-password")
    page.get_by_role("button", name="Continue").click()
    page.get_by_role("link", name="Paste your link.").click()
    expect(page).to_have_url("/set-password#link")
    expect(page.get_by_label("Your link")).to_be_focused()
    page.goto(site.create_link(site.create_user()))
    expect(page.get_by_label("Email")).to_be_visible()


def test_a_slip_is_shown_beside_its_field_and_all_fields_keep_their_texts(
    site: Site, visit: Visit
) -> None:
    page = visit(storage_state=site.signed_in(site.create_user()))
    page.goto("/password")
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.method))
    change_password(page, NEW_PASSWORD, "short", "Change password")
    field = page.get_by_label("New password", exact=True)
    message = "The new password has fewer than 8 characters."
    expect(page.get_by_role("alert")).to_contain_text(message)
    expect(field).to_be_focused()
    expect(field).to_have_accessible_description(re.compile(re.escape(message)))
    field.fill("four grey owls asleep")
    page.get_by_role("button", name="Change password").click()
    again = page.get_by_label("New password, once more")
    expect(again).to_have_attribute("aria-invalid", "true")
    expect(field).not_to_have_attribute("aria-invalid", "true")
    expect(page.get_by_label("Current password")).to_have_value(NEW_PASSWORD)
    expect(again).to_have_value("short")
    assert "POST" not in sent
    again.fill("four grey owls asleep")
    page.get_by_role("button", name="Change password").click()
    expect(page.get_by_role("status")).to_contain_text("Your password is changed")


#: where an element is on the page, however it is scrolled
PLACE = "one => [one.getBoundingClientRect().right, one.offsetTop]"


def test_a_new_token_is_copied_and_shown_with_its_command(site: Site, visit: Visit) -> None:
    page = visit(
        storage_state=site.signed_in(site.create_owner()),
        permissions=["clipboard-read", "clipboard-write"],
    )
    page.get_by_role("link", name="Create a token").click()
    page.get_by_label("Name").fill("laptop")
    page.get_by_role("button", name="Create the token").click()
    page.get_by_role("button", name="Copy the token").click()
    expect(page.get_by_text("Copied.")).to_be_visible()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert re.fullmatch(r"mrt_[0-9A-Za-z]{39}", copied)
    expect(page.get_by_text("anyscale login --host https://accounts.example.com")).to_be_visible()
    page.goto("/")
    revoke = page.locator("summary", has_text="Revoke the token laptop")
    revoke.scroll_into_view_if_needed()
    place = revoke.evaluate(PLACE)
    revoke.click()
    assert revoke.evaluate(PLACE) == place, "the button stays when its question opens"
    page.get_by_role("button", name="Revoke it now").click()
    expect(page.get_by_role("status")).to_contain_text("The token is revoked")


def test_a_session_revokes_another_session_and_then_all_others(site: Site, visit: Visit) -> None:
    email = site.create_user()
    page = visit(storage_state=site.signed_in(email))
    phone, office = HttpClient(site.url), HttpClient(site.url)
    sign_in_there(phone, email, "Mozilla/5.0 (iPhone) Safari/604.1")
    sign_in_there(office, email, "Mozilla/5.0 (Windows NT 10.0) Firefox/150.0")
    page.goto("/")
    page.locator("summary", has_text="Sign out Safari on iPhone").click()
    assert path_of(page) == "/", "it asks first"
    page.get_by_role("button", name="Sign it out now").click()
    expect(page.get_by_role("status")).to_contain_text("The other browser is signed out.")
    page.reload()
    expect(page.get_by_role("status")).to_have_count(0)
    assert phone.request("GET", "/v1/me").status == 401
    assert office.request("GET", "/v1/me").status == 200
    page.locator("summary", has_text="Sign out all other browsers").click()
    page.get_by_role("button", name="Sign them out now").click()
    expect(page.get_by_role("status")).to_contain_text("All other browsers are signed out.")
    assert office.request("GET", "/v1/me").status == 401
    assert page.locator("summary").count() == 0


def sign_in_there(client: HttpClient, email: str, agent: str) -> None:
    credentials = {"email": email, "password": NEW_PASSWORD}
    client.request("POST", "/v1/sessions", credentials, headers={"User-Agent": agent})


def test_a_shown_password_is_submitted_in_a_password_field(site: Site, visit: Visit) -> None:
    email, page = site.create_user(), visit()
    field = page.get_by_label("Password", exact=True)
    page.get_by_label("Show password").check()
    expect(field).to_have_attribute("type", "text")
    page.get_by_label("Show password").uncheck()
    expect(field).to_have_attribute("type", "password")
    page.get_by_label("Show password").check()
    sign_in_here(page, email)
    expect(page.get_by_role("heading", name="Choose your own password")).to_be_visible()


def sign_in_here(page: Page, email: str) -> None:
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()


def test_all_pages_work_with_the_keyboard_alone(site: Site, visit: Visit) -> None:
    email, page = site.create_user(), visit()
    press_until(page, "Email")
    page.keyboard.type(email)
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Choose your own password")).to_be_visible()
    press_until(page, "New password")
    page.keyboard.type(NEW_PASSWORD)
    page.keyboard.press("Tab")
    page.keyboard.type(NEW_PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Your account")).to_be_visible()
    press_until(page, "Sign out")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("You have signed out.")


def press_until(page: Page, name: str) -> None:
    """Press Tab until the element with a name has the focus."""
    focused = "document.activeElement.labels?.[0]?.innerText ?? document.activeElement.innerText"
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate(focused) == name:
            return
    raise AssertionError(name)
