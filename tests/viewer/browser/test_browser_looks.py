"""Every page: readable in light and dark, no wider than its window, nothing without a name."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
from looks import faint, nameless, too_wide
from playwright.sync_api import Page, expect
from serving import Serve
from stories import write_store

PATHS = {
    "the runs": "/",
    "a search": "/?text=herons&verdict=rejected",
    "an empty list": "/?status=cancelled",
    "an error": "/nowhere",
}


@pytest.fixture
def address(serve: Serve, tmp_path: Path) -> str:
    """Return where a store with runs of every kind, and one very long word, is served."""
    return serve(
        write_store(tmp_path / "t.db", "herons", "hopeless storks", "broken " + "x" * 3000)
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_stands_out(tab: Page, address: str, scheme: Literal["light", "dark"]) -> None:
    """Every text has a contrast of at least 4.5 to what is behind it, in both themes."""
    tab.emulate_media(color_scheme=scheme)
    for name, path in PATHS.items():
        tab.goto(address + path)
        tab.keyboard.press("?")
        expect(tab.get_by_role("dialog", name="Keys")).to_be_visible()
        assert (name, faint(tab)) == (name, [])


def test_no_page_scrolls_sideways(tab: Page, address: str) -> None:
    """However narrow the window, and however long the words, only boxes scroll sideways."""
    for name, path in PATHS.items():
        tab.goto(address + path)
        for width in (320, 700, 1280):
            tab.set_viewport_size({"width": width, "height": 700})
            assert (name, width, too_wide(tab)) == (name, width, False)


def test_everything_has_a_name(tab: Page, address: str) -> None:
    """Each control says what it is to who cannot see it, and each page has its landmarks."""
    for name, path in PATHS.items():
        tab.goto(address + path)
        assert (name, nameless(tab)) == (name, [])
        for role in ("banner", "navigation", "main"):
            expect(tab.get_by_role(role)).to_have_count(1)  # type: ignore[arg-type]
        expect(tab.get_by_role("heading", level=1)).to_have_count(1)
