"""The overview and the pages of users in a browser: accessible, by keyboard, without script."""

import re
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from string import ascii_lowercase
from typing import Any, Literal, NamedTuple

import pytest
from playwright.sync_api import Browser, Page, Route, expect
from tests.browser.conftest import ROWS, Visit, visits
from tests.store.contract.factors import app_row
from tests.support.accessibility.axe import keep_axe
from tests.support.accessibility.checks import assert_accessible, press_until
from tests.support.callers import OPERATOR
from tests.support.sign_in.site import Site, change_password, sign_in
from tests.support.users import NEW_PASSWORD, PASSWORD

from anyscale.domain.validation import Policy, check

RESET = "reset-second-factor"
SCRIPT = "<script>document.title = 'gone'</script>"
NAMES = [SCRIPT, "=cmd()", "W" * 256, "\u05e9\u05dc\u05d5\u05dd", "\U0001f9d1\u200d\U0001f680"]


class Staff(NamedTuple):
    """The accounts of the site, and the cookies of a browser in which an owner is signed in."""

    state: Any
    #: of the owner
    email: str
    #: of accounts without credentials
    ids: list[str]


@pytest.fixture(scope="module")
def staff(site: Site) -> Staff:
    """Sixty accounts, some with names that no page may run, and an owner."""
    names = [*NAMES, *(f"Person {at:02}" for at in range(55))]
    users = [
        check(
            Policy(),
            name=name,
            email=f"u{at:02}@example.org",
            password=None,
            is_sso_user=False,
            lastname=None,
            title=None,
            external_id="8" * 256 if at == 5 else f"P-{at}",
        )
        for at, name in enumerate(names)
    ]
    with closing(site.control_plane()) as control_plane:
        created = control_plane.batches.create(OPERATOR, "staff", [u for u in users if u], "fail")
        control_plane.batches.open(OPERATOR, "unfinished", "fail")
        for at in (2, 10):
            control_plane.lifecycle.suspend(OPERATOR, created.users[at].user_id)
        with control_plane.store.write() as tx:
            tx.factors.add(app_row(1, created.users[20].user_id))
    email = site.create_owner()
    return Staff(site.signed_in(email), email, [user.user_id for user in created.users])


def account(staff: Staff, at: int = 20) -> str:
    return f"/console/users/{staff.ids[at]}"


def refuse_new(page: Page, _: Staff) -> None:
    page.goto("/console/users/new")
    page.get_by_label("Email").fill("not an email")
    page.get_by_label("First name").fill(" ")
    page.get_by_role("button", name="Create the user").click()


def change_email(page: Page, user: str, email: str) -> None:
    page.goto(f"{user}/correct")
    page.get_by_label("Email").fill(email)
    page.get_by_role("button", name="Save").click()


def refuse_freed_email(page: Page, staff: Staff) -> None:
    change_email(page, account(staff, 55), "new@example.org")
    expect(page.get_by_text("The changes are saved.")).to_be_visible()
    change_email(page, account(staff, 56), "u55@example.org")


def refuse_deletion(page: Page, staff: Staff) -> None:
    page.goto(f"{account(staff)}/delete")
    page.get_by_role("button", name="Delete the account").click()


def open_questions(page: Page, staff: Staff) -> None:
    page.goto("/console/users?q=" + staff.email)
    for question in page.locator("main summary").all():
        question.click()


def open_menu(page: Page, _: Staff) -> None:
    page.goto("/console/users?q=person&state=none")
    page.locator("summary", has_text="Download").click()
    page.get_by_label("Select all on this page").check()


def show_link(page: Page, staff: Staff) -> None:
    page.goto(account(staff, 21))
    page.get_by_role("button", name="Create a link").click()


def restore_one(page: Page, staff: Staff) -> None:
    """Suspend an account of the list and restore it; the note of the last change stays."""
    page.goto(f"/console/users/suspend?q=u59&user_id={staff.ids[59]}")
    page.get_by_role("button", name="Suspend 1 account").click()
    page.get_by_role("button", name="Restore it").click()
    expect(page.get_by_text("1 account is restored.")).to_be_visible()


Step = Callable[[Page, Staff], object]

#: each with its heading
PAGES: dict[str, tuple[str, str | Step]] = {
    "overview": ("Overview", "/console"),
    "last page": ("Users", "/console/users?last=true"),
    "menu": ("Users", open_menu),
    "wrong search": ("There is a problem", f"/console/users?q={'+'.join(ascii_lowercase)}"),
    "account": ("Person 15", lambda page, staff: page.goto(account(staff))),
    "own account": ("Jane", open_questions),
    "suspended": ("WWW", lambda page, staff: page.goto(account(staff, 2))),
    "freed email": ("There is a problem", refuse_freed_email),
    "role": ("Make Person 15 an owner?", lambda page, staff: page.goto(f"{account(staff)}/role")),
    "factors": ("Remove the sec", lambda page, staff: page.goto(f"{account(staff)}/{RESET}")),
    "refused deletion": ("There is a problem", refuse_deletion),
    "refused new": ("There is a problem", refuse_new),
    "link": ("A link for", show_link),
    "nothing selected": ("There is a problem", "/console/users/suspend"),
    "all that match": ("Suspend 54 accounts?", "/console/users/suspend?q=person&all=yes"),
    "links for all": ("Create links for 54 acc", "/console/users/links?q=person&all=yes"),
    "restored": ("Users", restore_one),
}


@pytest.fixture(scope="module")
def owner(browser: Browser, site: Site, staff: Staff) -> Iterator[Page]:
    """A page of the owner, whose console has to stay empty."""
    with visits(browser, site) as visit:
        page = visit("/console", storage_state=staff.state)
        keep_axe(page)
        yield page


SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


@pytest.mark.parametrize("name", PAGES)
def test_every_page_is_accessible_narrow_and_wide_in_light_and_dark(
    owner: Page, staff: Staff, name: str
) -> None:
    heading, step = PAGES[name]
    owner.set_viewport_size({"width": 1280, "height": 800})
    owner.emulate_media(color_scheme="light", reduced_motion="reduce")
    if isinstance(step, str):
        owner.goto(step)
    else:
        step(owner, staff)
    expect(owner.get_by_role("heading", name=heading).first).to_be_visible()
    assert_accessible(owner)


def test_a_problem_has_the_focus_and_leads_to_its_field(owner: Page, staff: Staff) -> None:
    refuse_new(owner, staff)
    summary = owner.get_by_role("alert")
    expect(summary).to_be_focused()
    assert owner.title().startswith("Problem: ")
    summary.get_by_role("link").first.click()
    field = owner.get_by_label("Email")
    expect(field).to_be_focused()
    expect(field).to_have_accessible_description(re.compile("is not an email address"))


def test_filters_stay_after_back_and_reload(owner: Page) -> None:
    owner.set_viewport_size({"width": 1280, "height": 800})
    owner.goto("/console/users?q=person&state=none")
    owner.get_by_role("link", name="Next").click()
    expect(owner.get_by_role("link", name="First")).to_be_visible()
    expect(owner.get_by_role("rowheader").last).to_be_visible()
    owner.wait_for_load_state()
    address = owner.url
    shown = owner.get_by_role("rowheader").all_inner_texts()
    owner.get_by_role("rowheader").first.get_by_role("link").click()
    expect(owner.get_by_role("heading", name="Signing in")).to_be_visible()
    owner.go_back()
    owner.reload()
    assert owner.url == address
    assert owner.get_by_role("rowheader").all_inner_texts() == shown
    expect(owner.get_by_label("Name, email or id")).to_have_value("person")
    expect(owner.get_by_label("Signs in by")).to_have_value("none")
    owner.get_by_label("Role").select_option("Member")
    owner.get_by_role("button", name="Show").click()
    expect(owner.get_by_role("rowheader")).to_have_count(ROWS)
    # A new filter starts at the first page.
    expect(owner).not_to_have_url(re.compile("after"))


def test_times_are_in_the_zone_of_the_browser_and_the_language_of_the_page(
    visit: Visit, staff: Staff
) -> None:
    german: dict[str, Any] = {"timezone_id": "Australia/Adelaide", "locale": "de-DE"}
    page = visit(account(staff), storage_state=staff.state, **german)
    month = r"(Jan|Feb|Mar|Apr|May|June?|July?|Aug|Sept?|Oct|Nov|Dec)"
    shown = page.get_by_role("main").locator("time[data-clock]").first
    expect(shown).to_have_text(re.compile(rf"\d+ {month} \d{{4}}, \d\d:\d\d"))
    in_utc = shown.get_attribute("title") or ""
    assert re.search(r"\d\d:\d\d UTC$", in_utc)
    minutes = [int(text[-2:]) for text in (shown.inner_text(), in_utc.removesuffix(" UTC"))]
    assert (minutes[0] - minutes[1]) % 60 == 30
    expect(page.get_by_text("Times are in your time zone, Australia/Adelaide.")).to_be_visible()


def test_a_slash_goes_to_the_search_but_is_typed_in_a_field(owner: Page) -> None:
    owner.goto("/console/users")
    find, filtered = owner.get_by_label("Find a user"), owner.get_by_label("Name, email or id")
    owner.keyboard.press("/")
    expect(find).to_be_focused()
    expect(find).to_have_value("")
    filtered.focus()
    owner.keyboard.press("/")
    expect(filtered).to_have_value("/")


def test_a_link_is_copied_and_shown_once(visit: Visit, staff: Staff, site: Site) -> None:
    page = visit(
        account(staff, 22),
        storage_state=staff.state,
        permissions=["clipboard-read", "clipboard-write"],
    )
    page.get_by_role("button", name="Create a link").click()
    page.get_by_role("button", name="Copy the link").click()
    expect(page.get_by_text("Copied.")).to_be_visible()
    link = page.evaluate("navigator.clipboard.readText()")
    assert re.fullmatch(r"https://accounts\.example\.com/set-password#mrl_[\w-]+", link)
    secret = link.partition("#")[2]
    site.secrets.append(secret)
    page.reload()
    assert page.url.endswith(account(staff, 22)), "a form that is sent again creates no other link"
    assert secret not in page.content()
    page.go_back()
    assert secret not in page.content()


def test_a_click_while_a_file_of_links_is_on_its_way_does_not_lose_it(
    visit: Visit, staff: Staff
) -> None:
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page = visit(storage_state=staff.state)
    page.clock.install()
    page.route("**/console/users/links", hold)
    page.goto(f"/console/users/links?user_id={staff.ids[20]}")
    page.get_by_label("A CSV file").check()
    button = page.get_by_role("button", name="Create the link")
    with page.expect_request("**/console/users/links"):
        button.click()
    page.clock.fast_forward(60_000)  # so many links take long
    button.click()
    with page.expect_download() as download:
        held[0].continue_()
    assert "mrl_" in Path(download.value.path()).read_text(encoding="utf-8-sig")
    assert len(held) == 1


def test_a_file_that_breaks_off_after_a_refused_form_is_said_to_be_lost(
    visit: Visit, staff: Staff
) -> None:
    page = visit(f"/console/users/links?user_id={staff.ids[21]}", storage_state=staff.state)
    problem = '<p class="message problem" tabindex="-1" autofocus>Refused</p>'
    refusal = page.content().replace("<h1>", f"{problem}<h1>")

    def refuse(route: Route) -> None:
        route.fulfill(status=409, content_type="text/html", body=refusal)

    page.route("**/console/users/links", refuse)
    page.get_by_label("A CSV file").check()
    button = page.get_by_role("button", name="Create the link")
    button.click()
    expect(page.get_by_text("Refused")).to_be_focused()
    page.unroute("**/console/users/links")
    page.context.set_offline(True)
    button.click()
    expect(page.get_by_text("The file did not arrive whole")).to_be_visible()


def test_all_that_match_are_said_to_be_selected_until_a_row_is_taken_out(owner: Page) -> None:
    owner.goto("/console/users?state=none&note=linked&number=4")
    expect(owner).to_have_url(re.compile(r"\?state=none$"))  # without what belongs to the note
    everyone = owner.get_by_label("that match")
    everyone.check()
    expect(owner.get_by_text("All that match are selected")).to_be_visible()
    everyone.uncheck()
    expect(owner.get_by_text("0 selected")).to_be_visible()
    owner.get_by_label("Select all on this page").check()
    everyone.check()
    owner.get_by_role("rowheader").first.locator("xpath=..").get_by_role("checkbox").uncheck()
    expect(everyone).not_to_be_checked()
    expect(owner.get_by_text(f"{ROWS - 1} selected")).to_be_visible()


def test_all_that_match_are_not_counted_after_the_session_has_ended(
    visit: Visit, staff: Staff
) -> None:
    page = visit("/console/users?state=none", storage_state=staff.state)
    page.context.clear_cookies()
    with page.expect_response(re.compile("/sign-in")) as answer:
        page.get_by_label("that match").check()
    assert answer.value.ok
    page.evaluate("fetch('/sign-in').then((later) => later.text())")
    expect(page.get_by_text("All that match are selected")).to_be_visible()
    expect(page.get_by_label("Select all that match, on all pages")).to_be_checked()


def test_links_of_selected_accounts_are_a_file(owner: Page, staff: Staff) -> None:
    owner.set_viewport_size({"width": 1280, "height": 800})
    owner.goto("/console/users?q=person&state=none")
    owner.get_by_label("Select all on this page").check()
    owner.get_by_role("rowheader").first.locator("xpath=..").get_by_role("checkbox").uncheck()
    expect(owner.get_by_text(f"{ROWS - 1} selected")).to_be_visible()
    owner.get_by_role("button", name="Create links").click()
    expect(
        owner.get_by_role("heading", name=f"Create links for {ROWS - 1} accounts?")
    ).to_be_visible()
    owner.get_by_role("link", name="Skip to the content").press("Enter")
    owner.get_by_label("A CSV file").check()
    with owner.expect_download() as download:
        owner.get_by_role("button", name="Create the links").click()
    lines = Path(download.value.path()).read_text(encoding="utf-8-sig").splitlines()
    assert len(lines) == ROWS
    assert lines[0] == "Email,First name,Last name,Link,Works until"
    # The script shows the page anew.
    expect(owner.get_by_role("heading", name=f"{ROWS - 1} links were created")).to_be_visible()


def test_a_user_is_found_and_suspended_by_keyboard(visit: Visit, staff: Staff) -> None:
    page = visit("/console", storage_state=staff.state)
    press_until(page, "Find a user")
    page.keyboard.type("u30@example.org")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Person 25")).to_be_visible()
    press_until(page, "Suspend")
    page.keyboard.press("Enter")
    press_until(page, "Suspend now")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("The account is suspended")
    page.reload()
    expect(page.get_by_role("status")).to_have_count(0)


def test_a_page_that_found_nothing_yet_goes_on_by_itself(owner: Page) -> None:
    def answer(route: Route) -> None:
        link = '<a href="/console/users?state=link" data-further>Continue</a>'
        script = '<script type="module" src="/assets/console.js"></script>'
        route.fulfill(body=link + script, content_type="text/html")

    owner.goto("/console")
    owner.route("**/console/partial", answer)
    owner.goto("/console/partial")
    expect(owner.get_by_role("heading", name="Users", level=1)).to_be_visible()
    owner.go_back()
    expect(owner.get_by_role("heading", name="Overview")).to_be_visible()


def test_all_works_without_javascript(visit: Visit, site: Site) -> None:
    page = visit("/sign-in", java_script_enabled=False)
    sign_in(page, site.create_owner())
    change_password(page, PASSWORD, NEW_PASSWORD)
    page.get_by_role("link", name="Open the console").click()
    page.get_by_role("link", name="By an unused link").click()
    expect(page.get_by_role("heading", name="Users", level=1)).to_be_visible()
    page.get_by_label("Name, email or id").fill("u40")
    page.get_by_label("Signs in by").select_option("Any way to sign in")
    page.get_by_role("button", name="Show").click()
    page.get_by_role("link", name="Person 35").click()
    page.locator("summary", has_text="Suspend").click()
    page.get_by_role("button", name="Suspend now").click()
    page.get_by_role("button", name="Restore").click()
    page.get_by_role("button", name="Create a link").click()
    expect(page.locator("#link")).to_contain_text("/set-password#mrl_")
    page.goto("/console/users?q=person&state=none")
    page.get_by_role("checkbox").nth(0).check()
    page.get_by_role("checkbox").nth(1).check()
    page.get_by_role("button", name="Suspend").click()
    page.get_by_role("button", name="Suspend 2 accounts").click()
    expect(page.get_by_role("status").first).to_contain_text("2 accounts are suspended.")
    page.goto("/console/users/new")
    page.get_by_label("Email").fill("not an email")
    page.get_by_role("button", name="Create the user").click()
    expect(page.get_by_role("alert")).to_be_focused()
