"""How a page looks, as far as a program can tell: whether its text stands out, whether it fits."""

from __future__ import annotations

from playwright.sync_api import Page

_FAINT = """() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((c) => c / 255)
      .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const behind = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const colour = rgba(getComputedStyle(each).backgroundColor);
      if (colour[3] === 255) return colour;
    }
    return [255, 255, 255, 255];
  };
  const faint = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((each) => each.nodeType === 3 && each.data.trim());
    if (!own || !element.checkVisibility() || element.closest(":disabled, svg, .sr")) continue;
    const [a, b] = [light(rgba(getComputedStyle(element).color)), light(behind(element))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) faint.push(`${element.textContent.trim().slice(0, 40)}: ${ratio.toFixed(2)}`);
  }
  return [...new Set(faint)];
}"""


def faint(page: Page) -> list[str]:
    """Return the texts whose contrast to what is behind them is below 4.5 (WCAG 2, 1.4.3)."""
    found: list[str] = page.evaluate(_FAINT)
    return found


def too_wide(page: Page) -> bool:
    """Return whether the page, and not only a box on it, scrolls sideways once it has settled.

    Drawings take their new size a moment after the window has.
    """
    wide: bool = page.evaluate(
        """() => new Promise((done) => {
          const until = performance.now() + 3000;
          const look = () => {
            const { scrollWidth, clientWidth } = document.documentElement;
            if (scrollWidth <= clientWidth) done(false);
            else if (performance.now() > until) done(true);
            else requestAnimationFrame(look);
          };
          look();
        })"""
    )
    return wide


def nameless(page: Page) -> list[str]:
    """Return the controls that have no name for who cannot see them."""
    found: list[str] = page.evaluate(
        """() => [...document.querySelectorAll("a, button, input, select, textarea")]
          .filter((each) => each.checkVisibility() && each.type !== "hidden")
          .filter((each) => !(each.ariaLabel || each.labels?.length || each.textContent.trim()))
          .map((each) => each.outerHTML)"""
    )
    return found
