"""The checks of every page: axe, narrow and wide, in light and dark, the layout, the keyboard."""

from playwright.sync_api import Page
from tests.support.accessibility.axe import violations
from tests.support.accessibility.layout import assert_fits, assert_fits_screens_and_paper

__all__ = ["assert_accessible", "press_until"]


def assert_accessible(page: Page) -> None:
    """Check a page that is open: with axe wide and narrow in light and dark; that it fits."""
    page.set_viewport_size({"width": 1_920, "height": 800})
    page.emulate_media(color_scheme="light", reduced_motion="reduce")
    assert violations(page) == []
    for width, scheme in ((1_920, "dark"), (320, "dark"), (320, "light")):
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        page.set_viewport_size({"width": width, "height": 640})
        # Which elements are shown depends on the width, and nothing but colours on the scheme.
        rules = () if (width, scheme) == (320, "dark") else ("color-contrast",)
        assert violations(page, *rules) == [], (width, scheme)
    assert_fits_screens_and_paper(page)
    # Twice the size of the text on twice the width: 400 % in all.
    page.evaluate("document.documentElement.style.fontSize = '200%'")
    assert_fits(page, 640)
    page.evaluate("document.documentElement.style.fontSize = ''")


def press_until(page: Page, name: str) -> None:
    """Press Tab until the element with a name has the focus, which is shown."""
    focused = "document.activeElement.labels?.[0]?.innerText ?? document.activeElement.innerText"
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate(focused) == name:
            assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
            return
    raise AssertionError(name)
