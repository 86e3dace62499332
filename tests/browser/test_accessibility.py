"""The pages are accessible: with a screen reader, enlarged, on a telephone, in dark colours."""

from collections.abc import Iterator
from itertools import pairwise, product
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, expect
from tests.browser.conftest import Visit, visits
from tests.support.accessibility.checks import assert_accessible
from tests.support.accessibility.contrast import low_contrast
from tests.support.accessibility.layout import assert_fits_screens_and_paper
from tests.support.sign_in.site import Site, change_password, sign_in
from tests.support.users import NEW_PASSWORD


def start(page: Page, _: Site) -> None:
    page.goto("/sign-in?note=signed_out")


def refused(page: Page, site: Site) -> None:
    sign_in(page, site.create_user(), "not the password")


def link(page: Page, site: Site) -> None:
    page.goto(site.create_link(site.create_user()))


def spent_link(page: Page, _: Site) -> None:
    page.goto("/set-password#nothing")


def first(page: Page, site: Site) -> None:
    sign_in(page, site.create_user())


def account(page: Page, site: Site) -> None:
    """An owner's, with a token whose question is open."""
    page.context.add_cookies(site.signed_in(site.create_owner())["cookies"])
    page.goto("/console/tokens/new")
    page.get_by_label("Name").fill("laptop")
    page.get_by_role("button", name="Create the token").click()
    page.goto("/")
    page.locator("summary", has_text="Revoke").click()


def change(page: Page, site: Site) -> None:
    page.context.add_cookies(site.signed_in(site.create_user())["cookies"])
    page.goto("/password")
    change_password(page, NEW_PASSWORD, "password1234", "Change password")


def nowhere(page: Page, _: Site) -> None:
    page.goto("/nowhere")


def docs(page: Page, _: Site) -> None:
    page.goto("/docs")


#: each with its heading
PAGES = {
    start: "Sign in",
    refused: "There is a problem",
    link: "Set your password",
    spent_link: "This link does not work",
    first: "Choose your own password",
    account: "Your account",
    change: "There is a problem",
    nowhere: "There is no such page",
    docs: "musterroll control plane",
}


#: the width for which WCAG 2.2 (1.4.10) forbids scrolling sideways
NARROW: ViewportSize = {"width": 320, "height": 640}


@pytest.fixture(scope="module")
def narrow(browser: Browser, site: Site) -> Iterator[Page]:
    """A narrow window, whose console has to stay empty."""
    with visits(browser, site) as visit:
        yield visit("about:blank", viewport=NARROW)


@pytest.fixture(scope="module", params=PAGES, ids=lambda page: page.__name__)
def opened(request: pytest.FixtureRequest, narrow: Page, site: Site) -> Page:
    """One of the pages, without cookies of the one before; no test leaves it."""
    narrow.context.clear_cookies()
    narrow.goto("about:blank")  # two pages have one address, but for the fragment
    request.param(narrow, site)
    expect(narrow.get_by_role("heading", name=PAGES[request.param])).to_be_visible()
    return narrow


@pytest.fixture
def page(opened: Page) -> Page:
    """One of the pages, narrow and with a browser's defaults."""
    opened.set_viewport_size(NARROW)
    opened.emulate_media(color_scheme="null", reduced_motion="null")
    opened.evaluate("document.documentElement.style.fontSize = ''")
    return opened


def test_no_page_scrolls_sideways_or_has_low_contrast(page: Page) -> None:
    schemes: tuple[Literal["light", "dark"], ...] = ("light", "dark")
    for zoom, scheme in product((1, 2), schemes):
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        page.set_viewport_size({"width": 320 * zoom, "height": 640})
        page.evaluate("size => { document.documentElement.style.fontSize = size }", f"{zoom}00%")
        wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0, (zoom, scheme)
        assert low_contrast(page) == [], (zoom, scheme)


def test_every_page_fits_every_screen_and_paper(page: Page) -> None:
    assert_fits_screens_and_paper(page)


def test_header_and_content_of_a_narrow_page_have_the_same_left_edge(page: Page) -> None:
    left = "one => one.getBoundingClientRect().left"
    assert page.locator("h1").evaluate(left) == page.locator(".brand").evaluate(left)


def test_a_checkbox_is_dark_in_dark_colours(visit: Visit) -> None:
    page = visit("/sign-in")
    page.emulate_media(color_scheme="dark")
    box = page.get_by_label("Show password")
    expect(box).to_have_css("background-color", "rgb(26, 32, 42)")
    box.check()
    expect(box).to_have_css("background-color", "rgb(143, 185, 242)")


def test_a_short_page_is_in_the_middle_of_a_wide_screen(visit: Visit) -> None:
    page = visit("/nowhere")
    page.set_viewport_size({"width": 1280, "height": 800})
    box = page.get_by_role("main").bounding_box()
    assert box
    assert abs(box["y"] + box["height"] / 2 - 400) < 60


def test_sign_out_stays_beside_the_name_of_a_long_organization(visit: Visit, site: Site) -> None:
    page = visit("/", storage_state=site.signed_in(site.create_user()))
    page.set_viewport_size({"width": 390, "height": 844})
    brand, button = page.locator(".brand"), page.get_by_role("button", name="Sign out")
    brand.evaluate("one => one.lastChild.data = 'Gesellschaft zur Rettung Schiffbruechiger'")
    name, sign_out = brand.bounding_box(), button.bounding_box()
    assert name
    assert sign_out
    assert sign_out["x"] + sign_out["width"] > 360
    assert sign_out["y"] < name["y"] + name["height"] / 2 < sign_out["y"] + sign_out["height"]


def test_a_screen_reader_can_read_a_page(page: Page) -> None:
    assert page.evaluate("document.documentElement.lang") == "en"
    assert page.title().endswith(" \N{EN DASH} musterroll")
    assert page.get_by_role("main").count() == 1
    levels = page.evaluate("[...document.querySelectorAll('h1,h2,h3')].map(h => +h.tagName[1])")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert page.evaluate("[...document.images].every(image => image.hasAttribute('alt'))")
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map(one => one.id)")
    assert len(ids) == len(set(ids))


def test_every_field_has_a_label_a_purpose_and_a_description(page: Page) -> None:
    found: list[dict[str, Any]] = page.evaluate(FIELDS)
    for field in found:
        assert field["label"], field
        assert field["autocomplete"] or field["type"] in ("checkbox", "select-one"), field
        assert all(field["described"]), field
        if field["type"] in ("password", "email", "text"):
            assert field["paste"], field
    for button in page.get_by_role("button").all():
        assert button.inner_text().strip()
    for wrong in page.locator("[aria-invalid=true]").all():
        assert (wrong.get_attribute("aria-describedby") or "").endswith("problem-text")


def test_every_focusable_element_shows_the_focus_and_is_large_enough_to_touch(page: Page) -> None:
    seen = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        found = page.evaluate(FOCUSED)
        if found is None or found["html"] in seen:
            break
        seen.add(found["html"])
        assert found["outline"] >= 2, found
        assert found["height"] >= 24, found  # WCAG 2.2, 2.5.8
    assert len(seen) >= 2


FIELDS = """
[...document.querySelectorAll("input:not([type=hidden]), select")].map(field => ({
  name: field.name,
  type: field.type,
  label: [...field.labels].map(label => label.innerText).join(" "),
  autocomplete: field.autocomplete,
  described: (field.getAttribute("aria-describedby") ?? "").split(" ").filter(id => id)
    .map(id => document.getElementById(id)?.innerText ?? ""),
  paste: field.dispatchEvent(new ClipboardEvent("paste", { cancelable: true, bubbles: true })),
}))
"""

FOCUSED = """
(() => {
  const one = document.activeElement;
  if (one === document.body) return null;
  const style = getComputedStyle(one);
  const shown = style.outlineStyle === "none" ? 0 : parseFloat(style.outlineWidth);
  return { html: one.outerHTML, outline: shown, height: one.getBoundingClientRect().height };
})()
"""


def test_the_page_of_the_api_has_the_fields_of_each_body(visit: Visit) -> None:
    page = visit("/docs")
    section = page.get_by_role("region", name="POST /v1/users:batchCreate")
    for field, kind in (("create_users", "list of"), ("dry_run", "boolean"), ("email", "string")):
        row = section.get_by_role("row").filter(has=page.get_by_role("rowheader", name=field))
        expect(row.first).to_contain_text(kind)
    page.evaluate(ONE_OF_EACH)
    assert page.get_by_role("region").count() > 2
    assert_accessible(page)


#: axe would look at 56 sections; the tests of every page compute the contrasts and sizes of all
ONE_OF_EACH = """
(() => {
  const seen = new Set();
  for (const section of document.querySelectorAll("main section")) {
    const parts = [...section.children].map(one => one.tagName).join();
    seen.has(parts) ? section.remove() : seen.add(parts);
  }
})()
"""
