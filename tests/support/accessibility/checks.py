"""The checks of every page: axe, narrow and wide, in light and dark, the layout, the keyboard."""

from typing import Literal

from playwright.sync_api import Page
from tests.support.accessibility.axe import violations
from tests.support.accessibility.contrast import low_contrast
from tests.support.accessibility.layout import assert_fits, assert_fits_screens_and_paper

_Scheme = Literal["light", "dark"]

#: width in pixels, the colour scheme that axe sees, and the other one
_LOOKS: tuple[tuple[int, _Scheme, _Scheme], ...] = (
    (1_920, "light", "dark"),
    (320, "dark", "light"),
)


def assert_accessible(page: Page) -> None:
    """Check a page that is open: wide and narrow, in light and dark; that it fits.

    Which elements are shown, and what lies behind them, depends on the width; on the scheme, only
    colours do. So axe looks at each width once, and the other scheme has its contrasts computed,
    which takes a twentieth of the time.
    """
    page.emulate_media(reduced_motion="reduce")
    for width, scheme, other in _LOOKS:
        page.set_viewport_size({"width": width, "height": 640})
        page.emulate_media(color_scheme=other)
        assert low_contrast(page) == [], (width, other)
        page.emulate_media(color_scheme=scheme)
        assert violations(page) == [], (width, scheme)
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
