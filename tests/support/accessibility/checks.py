"""The checks of every page: axe, narrow and wide, in light and dark, and the keyboard."""

from playwright.sync_api import Page
from tests.support.accessibility.axe import violations

__all__ = ["assert_accessible", "press_until"]


def assert_accessible(page: Page) -> None:
    """Check a page that is open, at 1,280 and 320 pixels and enlarged, in light and dark."""
    page.set_viewport_size({"width": 1280, "height": 800})
    page.emulate_media(color_scheme="light", reduced_motion="reduce")
    assert violations(page) == []
    for width, scheme in ((1280, "dark"), (320, "dark"), (320, "light")):
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        page.set_viewport_size({"width": width, "height": 640})
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, width
        # Which elements are shown depends on the width, and nothing but colours on the scheme.
        rules = () if (width, scheme) == (320, "dark") else ("color-contrast",)
        assert violations(page, *rules) == [], (width, scheme)
    # Twice the size of the text on twice the width: 400 % in all.
    page.set_viewport_size({"width": 640, "height": 640})
    page.evaluate("document.documentElement.style.fontSize = '200%'")
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
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
