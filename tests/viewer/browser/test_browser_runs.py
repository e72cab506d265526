"""The list of runs in a browser."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Page, expect
from serving import Serve


def test_j_and_k_go_through_the_list(tab: Page, serve: Serve, traces: Path) -> None:
    """`j` goes to the first run and on to the next, `k` back."""
    tab.goto(serve(traces))
    items = tab.locator("[data-item]")
    for key, focused in (("j", 0), ("j", 1), ("k", 0)):
        tab.keyboard.press(key)
        expect(items.nth(focused)).to_be_focused()
