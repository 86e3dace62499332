"""Whether texts and fields stand out, in the colours that a page has at the moment."""

from playwright.sync_api import Page

#: Texts with a contrast under 4.5 and edges of their fields with one under 3 (WCAG 2.2, 1.4.3 and
#: 1.4.11). The pages use no colour with transparency but `transparent` itself.
_LOW_CONTRAST = """
(() => {
  // A button under the pointer may be about to change its colour.
  for (const one of document.getAnimations()) if (one instanceof CSSTransition) one.finish();
  const channels = colour => colour.match(/[\\d.]+/g).map(Number);
  const light = ([red, green, blue]) => [red, green, blue].map(value => value / 255)
    .map(value => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4)
    .reduce((sum, value, at) => sum + value * [0.2126, 0.7152, 0.0722][at], 0);
  const behind = one => {
    for (; one; one = one.parentElement) {
      const found = channels(getComputedStyle(one).backgroundColor);
      if (found[3] !== 0) return found;
    }
    return [255, 255, 255];
  };
  const contrast = (one, other) => {
    const [high, low] = [light(one), light(other)].sort((a, b) => b - a);
    return (high + 0.05) / (low + 0.05);
  };
  const wrong = [];
  for (const one of document.body.querySelectorAll("*")) {
    if (!one.checkVisibility()) continue;
    const style = getComputedStyle(one);
    const text = [...one.childNodes].some(node => node.nodeType === 3 && node.data.trim());
    const box = one.matches("[type=checkbox], [type=radio]");
    const field = one.matches("input, select") && !box;
    if ((text || field) && contrast(channels(style.color), behind(one)) < 4.5)
      wrong.push(`text: ${one.outerHTML}`);
    const edge = field && !one.readOnly;
    if (edge && contrast(channels(style.borderTopColor), behind(one.parentElement)) < 3)
      wrong.push(`edge: ${one.outerHTML}`);
  }
  return wrong;
})()
"""


def low_contrast(page: Page) -> list[str]:
    """Return the texts and the edges of fields with too little contrast."""
    found: list[str] = page.evaluate(_LOW_CONTRAST)
    return found
