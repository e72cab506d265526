"""The page of a run in a browser: graph, list and panel, keys, looks, and a run that goes on."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from langgraph.graph import START, StateGraph
from paths import Report, ladders, report
from playwright.sync_api import Browser, Page, expect
from serving import Serve

from coordgate import NodeGuard, Policy, Retry, Tracer, gate, guard
from coordgate.record import Attempt, Call, GateVerdict, Run, RunId, ThreadId, Transition
from coordgate.stores import open_store

EVIL = (
    "<script>document.title = 'run'; alert(1)</script><img src=x onerror=\"alert(2)\">"
    "<svg/onload=alert(3)>\x1b[31m\x00\u202e\ud800 javascript:alert(4) {{ 7 * 7 }} ${alert(5)}"
)
"""What a page must show and never run."""


@pytest.fixture(scope="module")
def went(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store of runs that went every way."""
    path = tmp_path_factory.mktemp("went") / "went.db"
    report(path)
    ladders(path)
    return path


def page_of(path: Path, graph: str) -> str:
    """Return the address of the page of a graph's newest run."""
    with open_store(path) as store:
        run = next(each for each in store.runs() if each.graph == graph)
    return f"/run?id={run.id}"


def drawn(tab: Page, wanted: str) -> Any:
    """Return what the graph on the page tells, once it is drawn."""
    tab.wait_for_selector("#graph[data-drawn]")
    return tab.evaluate(f"(() => {{ const cy = graph._cyreg.cy; return {wanted}; }})()")


def click_node(tab: Page, id: str) -> None:
    """Click a node of the graph, where it stands."""
    at = drawn(tab, f"cy.getElementById({json.dumps(id)}).renderedPosition()")
    tab.locator("#graph").click(position={"x": at["x"], "y": at["y"]})


def test_a_node_opens_its_transitions_one_after_the_other(
    tab: Page, serve: Serve, went: Path
) -> None:
    """A click shows the node's first visit, the next click its next one, in panel and list."""
    tab.goto(serve(went) + page_of(went, "report"))
    for number in ("5", "13", "5"):
        click_node(tab, "draft")
        expect(tab.locator("#panel article")).to_have_attribute("data-number", number)
        expect(tab.locator("[aria-current=true][data-item]")).to_have_attribute("id", f"t-{number}")
    expect(tab.locator("#panel")).to_contain_text("no sentence cites a source")
    expect(tab.locator("#panel .diff ins")).to_have_text(["[1]"])
    click_node(tab, "edit:summary")
    expect(tab.locator("#panel h2")).to_contain_text("edit \u203a summary")
    assert drawn(tab, "cy.$('node.chosen').map(each => each.id())") == ["edit:summary"]


def test_the_graph_marks_how_each_node_went_by_more_than_colour(
    tab: Page, serve: Serve, went: Path
) -> None:
    """A sign stands before each name; colours differ; the legend tells those that are there."""
    tab.goto(serve(went) + page_of(went, "report"))
    labels = drawn(tab, "Object.fromEntries(cy.nodes().map(n => [n.id(), n.data('label')]))")
    assert labels["draft"] == "↻ draft \u00d72"
    assert labels["edit:summary"] == "▽ summary \u00d72"
    assert labels["plan"] == "✓ plan \u00d72"
    inks = drawn(tab, "['plan', 'draft', 'edit:summary'].map(n => cy.$id(n).style('border-color'))")
    assert len(set(inks)) == 3
    expect(tab.locator("#legend li:visible")).to_have_count(3)
    taken = drawn(tab, "cy.edges().map(e => [e.data('source'), e.data('target'), e.data('label')])")
    assert ["plan", "search", "6\u00d7"] in taken
    assert ["edit:summary", "plan", "9"] in taken


def test_with_the_graph_at_hand_what_was_not_reached_is_drawn(
    tab: Page, serve: Serve, tmp_path: Path
) -> None:
    """Nodes and edges that were not taken are dashed; what is declared stands under the graph."""
    path = tmp_path / "t.db"
    app = SimpleNamespace(graph=report(path))
    tab.goto(serve(path, app=app) + page_of(path, "report"))
    assert drawn(tab, "cy.$id('review').style('border-style')") == "dashed"
    assert drawn(tab, "cy.edges('[target = \"review\"]').map(e => e.style('line-style'))") == [
        "dashed"
    ]
    expect(tab.locator("#graph-says")).to_be_hidden()
    click_node(tab, "draft")
    expect(tab.locator("#graph-says")).to_have_text(
        "draft: gates cites \u00b7 on failure retry once"
    )


@pytest.mark.parametrize(
    ("graph", "sign"),
    [("rerouted", "↷"), ("asked", "☺"), ("waiting", "‖"), ("failed", "✗")],
)
def test_each_ladder_has_its_sign(
    tab: Page, serve: Serve, went: Path, graph: str, sign: str
) -> None:
    """Rerouted, decided by a person, waiting, failed: in the graph and in the list."""
    tab.goto(serve(went) + page_of(went, graph))
    assert drawn(tab, "cy.$id('search').data('label')") == f"{sign} search"
    expect(tab.locator("#t-1 .how")).to_contain_text(sign)


def test_everything_can_be_done_by_keyboard(tab: Page, serve: Serve, went: Path) -> None:
    """`j` and Enter open, the focus stays; `n` goes to what was not accepted; `p` and Escape."""
    tab.goto(serve(went) + page_of(went, "report"))
    for _ in range(2):
        tab.keyboard.press("j")
    while tab.evaluate("document.activeElement.id") != "t-2":
        tab.keyboard.press("j")
    tab.keyboard.press("Enter")
    panel = tab.locator("#panel h2")
    expect(panel).to_contain_text("2 search")
    expect(tab.locator("#t-2")).to_be_focused()
    assert "number=2" in tab.url
    tab.keyboard.press("n")
    expect(panel).to_contain_text("5 draft")
    expect(tab.locator("#panel")).not_to_have_class(re.compile("htmx"))  # its links are ready
    expect(tab.locator("#t-5")).to_be_focused()
    tab.keyboard.press("p")
    expect(panel).to_be_focused()
    tab.keyboard.press("Escape")
    expect(tab.locator("#t-5")).to_be_focused()
    tab.keyboard.press("p")
    tab.keyboard.press("Tab")
    tab.keyboard.press("Enter")
    expect(panel).to_contain_text("4 search")
    expect(panel).to_be_focused()
    tab.reload()
    expect(panel).to_contain_text("4 search")


def test_a_run_can_be_read_without_javascript(chromium: Browser, serve: Serve, went: Path) -> None:
    """With scripts off the list leads to each transition, and its values can be kept."""
    context = chromium.new_context(java_script_enabled=False)
    try:
        page = context.new_page()
        page.goto(serve(went) + page_of(went, "report"))
        expect(page.locator("#graph")).to_be_hidden()
        expect(page.get_by_text("The graph needs JavaScript")).to_be_visible()
        page.locator("#t-5").click()
        expect(page.locator("#panel h2")).to_contain_text("5 draft")
        with page.expect_download() as kept:
            page.locator("#panel .attempt").first.get_by_role("link", name="Download").click()
        assert json.loads(kept.value.path().read_text())["draft"].startswith("Herons stand still.")
        page.get_by_role("link", name="Not accepted at once").click()
        expect(page.locator("[data-item][id]")).to_have_count(4)
    finally:
        context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 768, 1280])
def test_no_screen_is_too_narrow(
    tab: Page, serve: Serve, went: Path, width: int, scheme: Any
) -> None:
    """Nothing is wider than the screen, and the graph is drawn in the colours of the theme."""
    tab.emulate_media(color_scheme=scheme)
    tab.set_viewport_size({"width": width, "height": 700})
    tab.goto(serve(went) + page_of(went, "report") + "&number=13")
    box = drawn(tab, "cy.elements().renderedBoundingBox()")
    assert box["x1"] >= -1
    assert box["x2"] <= tab.locator("#graph").bounding_box()["width"] + 1  # type: ignore[index]
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    ink = drawn(tab, "cy.$id('plan').style('color')")
    good = {"light": "rgb(23,105,58)", "dark": "rgb(116,209,149)"}[scheme]
    assert ink == good
    tab.locator("[data-theme-toggle]").click()
    assert drawn(tab, "cy.$id('plan').style('color')") != good


def evil_store(path: Path) -> Path:
    """Write a store whose every text would run if a page let it."""
    deep = json.dumps({"draft": EVIL, "deep": [EVIL] * 3})
    attempts = tuple(
        Attempt(
            number, f"fallback:{EVIL}", outcome, 0.1, (EVIL,), EVIL, json.dumps([EVIL, number]),
            (GateVerdict(EVIL, False, 0.5, EVIL),), EVIL, 1, 2, 0.1, EVIL, EVIL,
            (Call(EVIL, EVIL, 1, 2, EVIL, 0.1, 0.1, EVIL, EVIL),),
        )
        for number, outcome in ((1, "rejected"), (2, "accepted"))
    )  # fmt: skip
    with open_store(path, mode="write") as store:
        for id in ("one", "two"):
            run = Run(RunId(id + EVIL), EVIL, ThreadId(EVIL), "enforce", "failed", 1.0, 2.0, EVIL)
            made = Transition(
                run.id, 1, None, f"{EVIL}:1|{EVIL}:2", 1, EVIL, "failed", 1.0, 0.1,
                (EVIL,), (EVIL,), EVIL, deep + id, attempts,
            )  # fmt: skip
            long = replace(made, number=2, reads=EVIL * 20_000, node="x" * 5_000, status="accepted")
            store.write([run, made, long])
    return path


def test_what_is_hostile_is_shown_and_does_nothing(tab: Page, serve: Serve, tmp_path: Path) -> None:
    """Scripts in every text of a record do not run, on any page, nor ask for anything."""
    asked: list[str] = []
    tab.on("dialog", lambda dialog: (asked.append(dialog.message), dialog.dismiss()))
    address = serve(evil_store(tmp_path / "evil.db"))
    tab.on("request", lambda each: asked.append(each.url) if address not in each.url else None)
    tab.goto(address + "/run?id=one")
    click = tab.locator("#t-1")
    click.click()
    expect(tab.locator("#panel h2")).to_contain_text("<script>")
    tab.locator("summary").first.click()
    expect(tab.locator("#panel")).to_contain_text("\\x1b[31m")
    expect(tab.locator("#panel")).to_contain_text("\\u202e")
    labels = drawn(tab, "cy.nodes().map(each => each.data('label'))")
    assert any("<script>" in label for label in labels)
    tab.locator("#t-2").click()
    expect(tab.locator("#panel")).to_contain_text("characters.")
    assert tab.evaluate("document.documentElement.scrollWidth") <= 1280
    tab.goto(address + "/compare?a=one&b=two")
    expect(tab.locator("#first")).to_contain_text("They part first here")
    assert tab.title().startswith("Compare")
    assert tab.locator("main img, main script, main svg[onload]").count() == 0
    assert asked == []


def test_a_node_may_be_named_as_what_every_javascript_object_has(
    tab: Page, serve: Serve, tmp_path: Path
) -> None:
    """Such nodes are drawn in their places, and marked when they are chosen."""
    names = ("constructor", "__proto__", " ")
    builder = StateGraph(dict[str, int])
    builder.add_sequence([(name, lambda state: {"n": 1}) for name in names])
    builder.add_edge(START, "constructor")
    with Tracer(tmp_path / "t.db") as tracer:
        guard(builder, tracer=tracer).compile(name="names").invoke({})
    tab.goto(serve(tmp_path / "t.db") + page_of(tmp_path / "t.db", "names"))
    assert drawn(tab, "new Set(cy.nodes().map(e => `${Object.values(e.position())}`)).size") == 5
    for place, name in enumerate(names):
        tab.locator(f"#t-{place + 1}").click()
        expect(tab.locator("#panel h2")).to_contain_text(f"{place + 1} {name}")
        assert drawn(tab, "cy.nodes('.chosen').map(e => e.data('name'))") == [name]


@contextmanager
def going_on(path: Path) -> Iterator[threading.Semaphore]:
    """Run a guarded graph in a thread; each release lets one more node go on."""
    go = threading.Semaphore(0)

    def waits(state: Report) -> Report:
        go.acquire()
        return {"draft": "Herons wait [1]."}

    @gate
    def cites(output: Report) -> bool:
        return "[1]" in output["draft"]

    builder = StateGraph(Report)
    for name in ("first", "second", "third"):
        builder.add_node(name, waits)
    builder.add_edge(START, "first")
    builder.add_edge("first", "second")
    builder.add_edge("second", "third")
    with Tracer(path) as tracer:
        guards = {"first": NodeGuard(gates=[cites], policy=Policy(Retry(1)))}
        app = guard(builder, guards, tracer=tracer).compile(name="going")
        thread = threading.Thread(target=lambda: app.invoke({"topic": "herons"}))
        thread.start()
        go.release()
        try:
            yield go
        finally:
            go.release(3)
            thread.join()


SECOND_IS_MARKED = """new Promise((done) => {
    const look = () => {
        const said = graph._cyreg.cy.$id("second").data("label");
        if (said === "✓ second") done();
        else requestAnimationFrame(look);
    };
    look();
})"""
"""Waits until the graph tells how the node `second` went."""

TWO_HELD_BACK = """new Promise((done) => {
    let held = 0;
    document.body.addEventListener("htmx:beforeRequest", (event) => {
        if (event.defaultPrevented && ++held === 2) done();
    });
})"""
"""Waits until the page has twice not asked, since it is paused."""


def test_a_run_that_goes_on_appears_as_it_goes(tab: Page, serve: Serve, tmp_path: Path) -> None:
    """Transitions come by themselves, the focus stays, pausing holds them, and the end ends it."""
    path = tmp_path / "going.db"
    open_store(path, mode="write").close()
    tab.goto(serve(path))
    expect(tab.get_by_text("No runs yet")).to_be_visible()
    with going_on(path) as go:
        tab.locator("tr[data-run] a[data-item]").click()
        expect(tab.locator("#t-1")).to_be_visible()
        expect(tab.locator("#facts")).to_contain_text("running")
        assert drawn(tab, "cy.$id('second').data('label')") == "▸ second"
        tab.locator("#t-1").focus()
        tab.keyboard.press("Enter")
        expect(tab.locator("#panel h2")).to_contain_text("1 first")
        go.release()
        expect(tab.locator("#t-2")).to_be_visible()
        expect(tab.locator("#t-1")).to_be_focused()
        expect(tab.locator("#t-1")).to_have_attribute("aria-current", "true")
        expect(tab.locator("[data-live-says]")).to_have_text("2 transitions so far")
        tab.evaluate(SECOND_IS_MARKED)
        tab.get_by_role("button", name="Pause").click()
        expect(tab.locator("[data-live-says]")).to_have_text("Paused")
        go.release()
        tab.evaluate(TWO_HELD_BACK)
        expect(tab.locator("#t-3")).to_have_count(0)
        tab.get_by_role("button", name="Go on").click()
        expect(tab.locator("#t-3")).to_be_visible()
        expect(tab.locator("#facts")).to_contain_text("completed")
        expect(tab.locator("[data-live-says]")).to_have_text(
            "The run is completed, after 3 transitions"
        )
        expect(tab.get_by_role("button", name="Pause")).to_be_hidden()
        expect(tab.locator("[hx-trigger^=every]")).to_have_count(0)


def test_the_list_of_runs_renews_itself_under_its_reader(
    tab: Page, serve: Serve, traces: Path
) -> None:
    """A run that comes is there without a reload; ticked boxes stay ticked, the focus stays."""
    tab.goto(serve(traces))
    rows = tab.locator("tr[data-run]")
    expect(rows).to_have_count(3)
    rows.nth(2).get_by_role("checkbox").check()
    rows.nth(1).get_by_role("link").focus()
    kept = rows.nth(1).get_attribute("data-run")
    report(traces)
    expect(rows).to_have_count(4)
    expect(rows.nth(3).get_by_role("checkbox")).to_be_checked()
    focused = tab.evaluate("document.activeElement.closest('tr').dataset.run")
    assert focused == kept
    rows.nth(2).get_by_role("checkbox").check()
    tab.get_by_role("button", name="Compare two runs").click()
    expect(tab.get_by_role("heading", name="Two runs compared")).to_be_visible()


def test_a_difference_is_shown_where_it_belongs(tab: Page, serve: Serve, traces: Path) -> None:
    """The first one is open; each further one opens in its place, and is a page by itself."""
    with open_store(traces) as store:
        a, b, _ = (run.id for run in store.runs(newest_first=False))
    tab.goto(serve(traces) + f"/compare?a={a}&b={b}")
    expect(tab.locator("#first")).to_contain_text("What they wrote")
    second = tab.locator(".pair").nth(1)
    second.get_by_role("link", name="Show the difference").click()
    expect(second.locator(".diff")).to_have_count(2)
    expect(second.locator("ins").first).to_be_visible()
    tab.set_viewport_size({"width": 320, "height": 700})
    assert tab.evaluate("document.documentElement.scrollWidth") <= 320
