"""The list of runs in a browser."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from playwright.sync_api import Browser, Page, expect
from serving import Serve, served

from coordgate.record import Run, RunId, ThreadId, Transition
from coordgate.stores import open_store
from coordgate.viewer import viewer

START = 1_750_000_000.0

EVIL = (
    "\x1b[31m\x00\u202e\ud800 <script>document.title = 'run'</script>"
    "<img src=x onerror=\"document.title = 'run'\"> javascript:alert(1) {{ 7 * 7 }}"
)


def test_j_and_k_go_through_the_list(tab: Page, serve: Serve, traces: Path) -> None:
    """`j` goes to the first run and on to the next, `k` back, arrows too; `x` ticks the run."""
    tab.goto(serve(traces))
    items = tab.locator("[data-item]")
    for key, focused in (("j", 0), ("j", 1), ("k", 0), ("ArrowDown", 1), ("ArrowUp", 0)):
        tab.keyboard.press(key)
        expect(items.nth(focused)).to_be_focused()
    tab.keyboard.press("x")
    expect(tab.get_by_role("checkbox").first).to_be_checked()


def test_slash_goes_to_the_search_and_typing_filters(tab: Page, serve: Serve, traces: Path) -> None:
    """What is typed filters the list in place, and stands in the address; a reload keeps it."""
    tab.goto(serve(traces))
    tab.evaluate("window.stays = true")
    tab.keyboard.press("/")
    expect(tab.get_by_role("searchbox")).to_be_focused()
    tab.keyboard.type("storks")
    expect(tab.locator("tr[data-run]")).to_have_count(1)
    expect(tab).to_have_url(re.compile(r"/\?text=storks$"))
    assert tab.evaluate("window.stays")
    tab.reload()
    expect(tab.locator("tr[data-run]")).to_have_count(1)
    expect(tab.get_by_role("searchbox")).to_have_value("storks")


def test_question_mark_shows_the_keys(tab: Page, serve: Serve, traces: Path) -> None:
    """`?` opens the list of keys, Escape closes it, and typing a `?` in a field does not."""
    tab.goto(serve(traces))
    tab.keyboard.press("?")
    expect(tab.get_by_role("dialog", name="Keys")).to_be_visible()
    tab.keyboard.press("Escape")
    expect(tab.get_by_role("dialog", name="Keys")).to_be_hidden()
    tab.get_by_role("searchbox").press("?")
    expect(tab.get_by_role("dialog", name="Keys")).to_be_hidden()


def test_the_list_works_without_javascript(chromium: Browser, serve: Serve, traces: Path) -> None:
    """With scripts off the form filters, and nothing is offered that needs them."""
    context = chromium.new_context(java_script_enabled=False)
    try:
        page = context.new_page()
        page.goto(serve(traces))
        page.get_by_label("Status").select_option("failed")
        page.get_by_role("button", name="Search").click()
        expect(page.locator("tr[data-run]")).to_have_count(1)
        expect(page.locator("[data-theme-toggle]")).to_be_hidden()
    finally:
        context.close()


def test_the_theme_follows_the_system_until_it_is_chosen(
    tab: Page, serve: Serve, traces: Path
) -> None:
    """The page is light or dark as the system is; the button turns that, also after a reload."""
    background = "getComputedStyle(document.documentElement).backgroundColor"
    tab.emulate_media(color_scheme="light")
    tab.goto(serve(traces))
    light = tab.evaluate(background)
    tab.emulate_media(color_scheme="dark")
    dark = tab.evaluate(background)
    assert light != dark
    tab.locator("[data-theme-toggle]").click()
    assert tab.evaluate(background) == light
    tab.reload()
    assert tab.evaluate(background) == light


def test_what_is_recorded_is_shown_and_never_run(tab: Page, serve: Serve, tmp_path: Path) -> None:
    """Scripts, markup, control characters and lone surrogates of a record are text on the page."""
    path = tmp_path / "t.jsonl"
    run = Run(
        RunId("../" + EVIL), EVIL, ThreadId(EVIL), "enforce", "failed", START, START + 1, EVIL
    )
    with open_store(path, mode="write") as store:
        store.write([run, Transition(run.id, 1, None, "", 1, EVIL, "failed", START, 0.1)])
    tab.goto(serve(path))
    cell = tab.locator('td[data-label="Graph"]')
    expect(cell).to_contain_text("<script>document.title")
    tab.goto(tab.url + "?text=%3Cscript%3E&node=%22%3E%3Cscript%3E")
    expect(tab.get_by_label("Node")).to_have_value('"><script>')
    tab.goto(tab.url.partition("?")[0])
    expect(tab).to_have_title("Runs · coordgate")
    text = tab.locator("tr[data-run]").inner_text()
    assert "\\x1b[31m" in text
    assert "\\u202e" in text
    assert not set(text) & set("\x1b\x00\u202e")


def test_a_long_search_goes_on_by_itself(tab: Page, tmp_path: Path) -> None:
    """A search that one look does not finish goes on, look by look, until the run is found."""
    path = tmp_path / "t.db"
    with open_store(path, mode="write") as store:
        for n in range(12):
            run = Run(RunId(f"r{n:02}"), "g", None, "enforce", "completed", START + n, START + n)
            node = "heron" if n == 0 else "stork"
            store.write([run, Transition(run.id, 1, None, "", 1, node, "accepted", START, 0.1)])
    app = viewer(path)
    app.state.site = replace(app.state.site, patience=0.0)
    with served(app) as address:
        tab.goto(f"{address}/?node=heron")
        expect(tab.locator("tr[data-run]")).to_have_count(1)
        expect(tab.get_by_text("These are all that have this.")).to_be_visible()


def test_the_first_tab_skips_to_the_content(tab: Page, serve: Serve, traces: Path) -> None:
    """The first thing to focus leads past the navigation; each focus can be seen."""
    tab.goto(serve(traces))
    tab.keyboard.press("Tab")
    link = tab.get_by_role("link", name="Skip to the content")
    expect(link).to_be_focused()
    assert link.evaluate("each => getComputedStyle(each).outlineStyle") == "solid"
    tab.keyboard.press("Enter")
    expect(tab.get_by_role("main")).to_be_focused()
