"""Every page: readable in light and dark, no wider than its window, nothing without a name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import pytest
from looks import faint, nameless, too_wide
from playwright.sync_api import Page, expect
from serving import Serve
from stories import write_store

from coordgate.stores import open_store

PATHS = {
    "the runs": "/",
    "a search": "/?text=herons&verdict=rejected",
    "an empty list": "/?status=cancelled",
    "an error": "/nowhere",
    "reliability": "/reliability",
}


@pytest.fixture
def pages(serve: Serve, tmp_path: Path) -> Mapping[str, str]:
    """Return the addresses of pages on runs of every kind, one of which has a very long word."""
    path = write_store(tmp_path / "t.db", "herons", "hopeless storks", "broken " + "x" * 3000)
    address = serve(path)
    with open_store(path) as store:
        last, degraded, _ = (run.id for run in store.runs())
    more = {
        "a run that failed": f"/run?id={last}",
        "a run that was degraded": f"/run?id={degraded}",
        "a transition": f"/run?id={degraded}&number=2",
        "two runs": f"/compare?run={degraded}&run={last}",
    }
    return {name: address + path for name, path in {**PATHS, **more}.items()}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_stands_out(
    tab: Page, pages: Mapping[str, str], scheme: Literal["light", "dark"]
) -> None:
    """Every text has a contrast of at least 4.5 to what is behind it, in both themes."""
    tab.emulate_media(color_scheme=scheme)
    for name, path in pages.items():
        tab.goto(path)
        tab.keyboard.press("?")
        expect(tab.get_by_role("dialog", name="Keys")).to_be_visible()
        assert (name, faint(tab)) == (name, [])


def test_no_page_scrolls_sideways(tab: Page, pages: Mapping[str, str]) -> None:
    """However narrow the window, and however long the words, only boxes scroll sideways."""
    for name, path in pages.items():
        tab.goto(path)
        for width in (320, 700, 1280):
            tab.set_viewport_size({"width": width, "height": 700})
            assert (name, width, too_wide(tab)) == (name, width, False)


def test_everything_has_a_name(tab: Page, pages: Mapping[str, str]) -> None:
    """Each control says what it is to who cannot see it, and each page has its landmarks."""
    for name, path in pages.items():
        tab.goto(path)
        assert (name, nameless(tab)) == (name, [])
        expect(tab.get_by_role("banner")).to_have_count(1)
        expect(tab.get_by_role("navigation", name="Pages")).to_have_count(1)
        expect(tab.get_by_role("main")).to_have_count(1)
        expect(tab.get_by_role("heading", level=1)).to_have_count(1)
