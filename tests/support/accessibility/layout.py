"""Whether a page fits: on screens from a telephone to a large one, and on paper."""

from playwright.sync_api import Page

#: pixels
WIDTHS = (320, 375, 600, 640, 768, 1_000, 1_024, 1_180, 1_280, 1_440, 1_920)

#: pixels between the margins of A4: 186 mm
PAPER = 703

#: height of the window in pixels: a low window is drawn faster
_LOW = 100

#: The page, if it scrolls sideways, and the boxes whose content is wider than they are. A field
#: scrolls, a menu lies over the page, and hidden texts and those with an ellipsis are cut.
_CUT = """
width => [...document.querySelectorAll("html, body, body *")].filter(one => {
  if (one.matches("html")) return one.scrollWidth > width;
  if (one.scrollWidth <= one.clientWidth || !one.clientWidth) return false;
  const style = getComputedStyle(one);
  return one.checkVisibility() && style.display !== "inline" && style.clipPath === "none"
    && style.textOverflow === "clip"
    && !one.matches("input, select, textarea, .menu") && !one.closest(".hidden-text");
}).map(one => `${one.scrollWidth} > ${one.clientWidth}: ${one.outerHTML.slice(0, 200)}`)
"""


def assert_fits(page: Page, width: int, height: int = 800) -> None:
    """Check that a window of a width cuts nothing, and that nothing scrolls sideways."""
    page.set_viewport_size({"width": width, "height": height})
    assert page.evaluate(_CUT, width) == [], width


def assert_fits_screens_and_paper(page: Page) -> None:
    """Check that no screen, no larger text and no paper cuts anything of a page."""
    for width in WIDTHS:
        assert_fits(page, width, _LOW)
    page.evaluate("document.documentElement.style.fontSize = '200%'")  # WCAG 2.2, 1.4.4
    assert_fits(page, 1_280, _LOW)
    page.evaluate("document.documentElement.style.fontSize = ''")
    page.emulate_media(media="print")
    assert_fits(page, PAPER, _LOW)
    page.emulate_media(media="screen")
