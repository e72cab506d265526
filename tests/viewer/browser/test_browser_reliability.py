"""The reliability page in a browser: the graph, the trend, and what stands without a script."""

from __future__ import annotations

from pathlib import Path

from pipelines import Held, runs_of, write_line
from playwright.sync_api import Browser, Page, expect
from serving import Serve

WEAK = {"find": 0.97, "draft": 0.6, "check": 0.95}


def inked(tab: Page, place: str) -> int:
    """Return how many pixels of a canvas are painted."""
    return int(
        tab.locator(place).evaluate(
            """box => [...box.querySelectorAll("canvas")].reduce((sum, canvas) => {
                const data = canvas.getContext("2d")
                    .getImageData(0, 0, canvas.width, canvas.height).data;
                let count = 0;
                for (let at = 3; at < data.length; at += 4) count += data[at] > 0;
                return sum + count;
            }, 0)"""
        )
    )


def test_graph_and_trend_are_drawn(tab: Page, serve: Serve, tmp_path: Path) -> None:
    """Both are painted, light and dark; the weakest is marked in the table, too."""
    tab.goto(f"{serve(write_line(tmp_path / 't.db', WEAK, 150))}/reliability")
    expect(tab.locator("[data-graph]")).to_have_attribute("data-drawn", "3")
    periods = tab.locator("section[aria-labelledby=trend] details tbody tr")
    expect(tab.locator("[data-trend]")).to_have_attribute("data-drawn", str(periods.count()))
    expect(tab.locator("tr.weakest")).to_contain_text("draft -> check")
    for theme in ("light", "dark"):
        assert inked(tab, "[data-graph]") > 2_000, theme
        assert inked(tab, "[data-trend]") > 5_000, theme
        tab.locator("[data-theme-toggle]").click()
    tab.get_by_role("button", name="Show all").press("Enter")
    assert tab.evaluate("document.documentElement.scrollWidth") <= 1280


def test_an_undecided_weakest_is_dashed_for_each_candidate(
    tab: Page, serve: Serve, tmp_path: Path
) -> None:
    """What the runs do not decide is told apart from what they do."""
    path = write_line(tmp_path / "t.db", {"find": 0.9, "draft": 0.9}, 40)
    tab.goto(f"{serve(path)}/reliability")
    expect(tab.locator("[data-graph]")).to_have_attribute("data-drawn", "2")
    expect(tab.locator("tr.candidate")).to_have_count(2)
    expect(tab.locator("tr.weakest")).to_have_count(0)
    expect(tab.get_by_text("undecided between")).to_be_visible()


def test_the_runs_are_chosen_from_the_keyboard(tab: Page, serve: Serve, tmp_path: Path) -> None:
    """The form is filled and sent without a mouse, and keeps what was chosen."""
    path = write_line(tmp_path / "t.db", WEAK, 30)
    write_line(path, {"one": 0.5, "two": 0.5}, 10, name="other")
    tab.goto(f"{serve(path)}/reliability")
    tab.get_by_role("combobox", name="Graph").focus()
    tab.keyboard.press("o")
    tab.get_by_role("button", name="Count").press("Enter")
    expect(tab.get_by_text("10 runs:")).to_be_visible()
    expect(tab.get_by_role("combobox", name="Graph")).to_have_value("other")


def test_a_narrow_screen_scrolls_its_tables_and_not_the_page(
    tab: Page, serve: Serve, tmp_path: Path
) -> None:
    """At 320 pixels everything is there, and nothing hangs out of the page."""
    tab.set_viewport_size({"width": 320, "height": 640})
    tab.goto(f"{serve(write_line(tmp_path / 't.db', WEAK, 150))}/reliability")
    expect(tab.locator("[data-graph]")).to_have_attribute("data-drawn", "3")
    assert tab.evaluate("document.documentElement.scrollWidth") <= 320
    assert inked(tab, "[data-trend]") > 1_000
    boxes = [
        tab.locator(f"section[aria-labelledby=handoffs] {each}").bounding_box()
        for each in ("[data-graph]", "figcaption", "table")
    ]
    tops = [box["y"] for box in boxes if box]
    ends = [box["y"] + box["height"] for box in boxes if box]
    assert ends[0] <= tops[1]
    assert ends[1] <= tops[2] <= ends[1] + 60


def test_without_a_script_the_tables_tell_it_all(
    chromium: Browser, serve: Serve, tmp_path: Path
) -> None:
    """No empty figure is shown, and every rate can be read."""
    path = write_line(tmp_path / "t.db", WEAK, 150)
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{serve(path)}/reliability")
    expect(page.locator("tr.weakest")).to_contain_text("draft -> check")
    expect(page.locator("figure:visible")).to_have_count(0)
    expect(page.get_by_role("heading", name="Next gate")).to_be_visible()
    context.close()


def test_what_is_being_counted_is_replaced_by_the_result(
    tab: Page, serve: Serve, tmp_path: Path
) -> None:
    """The page that says it counts becomes the report by itself, with its graph drawn."""
    store = Held()
    store.write(runs_of(WEAK, 60, apart=3600, name="line"))
    tab.goto(f"{serve(store)}/reliability")
    expect(tab.get_by_text("Counting, since")).to_be_visible()
    store.let.set()
    expect(tab.locator("[data-graph]")).to_have_attribute("data-drawn", "3")
    expect(tab.get_by_text("Counting, since")).to_have_count(0)
