"""Whether a page is accessible, by the rules of axe-core: WCAG 2.2, A and AA, good practice."""

from functools import cache
from pathlib import Path
from typing import Any

from playwright.sync_api import Page
from tests.support.programs import installed

_TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]

#: Without what takes a third of its time, and what nobody reads: a selector of each element, and a
#: copy of each stylesheet, for rules that are not among ours.
_CHEAP = {"resultTypes": ["violations"], "selectors": False, "preload": False}

_RUN = """
async options => (await axe.run(document, options)).violations.flatMap(
  found => found.nodes.map(node => `${found.id}: ${node.html}: ${node.failureSummary}`))
"""


def keep_axe(page: Page) -> None:
    """Have axe in each document of a page, which compiles it once then and not each time."""
    page.add_init_script(_source())


def violations(page: Page) -> list[str]:
    """Return what is wrong on a page."""
    # `evaluate` runs in spite of the policy of the page, which allows no other script.
    if not page.evaluate("'axe' in window"):
        page.evaluate(_source())
    found: list[Any] = page.evaluate(_RUN, _CHEAP | {"runOnly": _TAGS})
    return found


@cache
def _source() -> str:
    path = Path(__file__).parent / "node_modules/axe-core/axe.min.js"
    return installed(path).read_text(encoding="utf-8")
