"""The review inbox in a browser: each kind of answer, given and told of on the page."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Literal

import pytest
from desks import desk_in, ledger
from looks import faint, nameless, too_wide
from playwright.sync_api import Browser, Page, expect
from serving import served

from coordgate.cli import main
from coordgate.loading import open_graph
from coordgate.viewer import viewer


@pytest.fixture
def inbox(tmp_path: Path) -> Iterator[str]:
    """Give the address of the inbox of a desk in which three threads wait."""
    hostile = "</textarea><script>document.title='run'</script>\\x1b[2J"
    desk_in(tmp_path, "one", "two", hostile)
    address: Future[str] = Future()
    over = threading.Event()

    def serve() -> None:
        # In a thread: while Playwright runs, this one counts as one that runs an event loop.
        with ExitStack() as stack:
            opened = stack.enter_context(open_graph(f"{tmp_path / 'desk.py'}:desk"))
            made = viewer(tmp_path / "traces.db", app=opened)
            stack.enter_context(closing(made.state.desk))
            address.set_result(f"{stack.enter_context(served(made))}/inbox")
            over.wait()

    with ThreadPoolExecutor(1) as pool:
        serving = pool.submit(serve)
        try:
            yield address.result(30)
        finally:
            over.set()
            serving.result(30)


def elsewhere(folder: Path, *arguments: str) -> int:
    """Answer in a terminal; return the command's code."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(main, ["review", f"{folder / 'desk.py'}:desk", *arguments]).result()


def opened(tab: Page, inbox: str, thread: str) -> Page:
    """Open the question of a thread."""
    tab.goto(inbox)
    tab.get_by_role("link", name=thread, exact=True).click()
    return tab


def answer(tab: Page) -> None:
    """Send the form."""
    tab.get_by_role("button", name="Answer").click()


def test_an_approval(tab: Page, inbox: str, tmp_path: Path) -> None:
    """One click and the name; what came of it is told, with the run, and the list is shorter."""
    opened(tab, inbox, "1").get_by_label("Approve").check()
    tab.get_by_label("Your name").fill("ann")
    answer(tab)
    expect(tab.get_by_text("Taken; the run is complete.")).to_be_visible()
    expect(tab.get_by_role("heading", name="approve by ann")).to_be_visible()
    expect(tab.locator("section[aria-labelledby=run]")).to_contain_text("completed")
    assert ledger(tmp_path)[-1] == "sent 'one'"
    opened(tab, inbox, "2")
    expect(tab.get_by_label("Your name")).to_have_value("ann")
    tab.goto(inbox)
    expect(tab.get_by_text("2 questions wait.")).to_be_visible()


def test_an_edit_that_is_refused_first(tab: Page, inbox: str, tmp_path: Path) -> None:
    """What was typed stays beside the reason, until contract and gates pass it."""
    tab = tab.context.new_page()  # Chromium logs the 422 as an error, which the first one forbids
    opened(tab, inbox, "1").get_by_label("Edit").check()
    field = tab.get_by_label("The whole update, as JSON")
    expect(field).to_have_value('{\n  "draft": "one"\n}')
    for typed, reason in (
        ('{"draft": "good', "this is no JSON"),
        ('{"draft": 3}', "draft: must be str"),
        ('{"draft": "worse"}', "it is not good: worse"),
    ):
        field.fill(typed)
        answer(tab)
        expect(tab.get_by_role("alert").first).to_contain_text(reason)
        expect(field).to_have_value(typed)
    field.fill('{"draft": "good at last"}')
    answer(tab)
    expect(tab.get_by_text("Taken; the run is complete.")).to_be_visible()
    assert ledger(tmp_path)[3:] == ["sent 'good at last'"]


def test_a_rejection_and_a_retry(tab: Page, inbox: str, tmp_path: Path) -> None:
    """Each with its words; a retry leads to the next question."""
    opened(tab, inbox, "1").get_by_label("Reject").check()
    tab.get_by_label("Why", exact=True).fill("wait for the figures")
    answer(tab)
    expect(tab.get_by_text("has ended with this rejection")).to_be_visible()
    expect(tab.get_by_text("wait for the figures")).to_be_visible()
    opened(tab, inbox, "2").get_by_label("Retry").check()
    tab.get_by_label("What it should do otherwise").fill("shorter")
    answer(tab)
    expect(tab.get_by_text("Taken; the run waits again.")).to_be_visible()
    tab.get_by_role("link", name="write asks editor").click()
    expect(tab.get_by_text("escalate:editor: shorter").first).to_be_visible()
    assert ledger(tmp_path) == ["wrote"] * 4


def test_an_override_ships_what_the_gates_refuse(tab: Page, inbox: str, tmp_path: Path) -> None:
    """The box beside the edit sends it past the gates; hostile text is shown and not run."""
    opened(tab, inbox, "3").get_by_label("Edit").check()
    expect(tab).not_to_have_title("run")
    expect(tab.locator("pre.candidate")).to_contain_text("</textarea><script>")
    tab.get_by_label("past the gates; not past the contract").check()
    answer(tab)
    expect(tab.get_by_text("Taken; the run is complete.")).to_be_visible()
    assert "\\x1b[2J" in ledger(tmp_path)[-1]


def test_a_question_that_was_answered_in_another_window(
    tab: Page, inbox: str, tmp_path: Path
) -> None:
    """The answer is not used, and the page says so: in this viewer or elsewhere."""
    opened(tab, inbox, "1")
    other = tab.context.new_page()
    opened(other, inbox, "1").get_by_label("Approve").check()
    answer(other)
    expect(other.get_by_text("Taken; the run is complete.")).to_be_visible()
    tab.get_by_label("Reject").check()
    tab.get_by_label("Why", exact=True).fill("no")
    answer(tab)
    expect(tab.get_by_text("Your answer was not used")).to_be_visible()
    opened(other, inbox, "2").get_by_label("Approve").check()
    (tmp_path / "edit.json").write_text('{"draft": "no"}')
    assert elsewhere(tmp_path, "2", "--edit", str(tmp_path / "edit.json")) == 1
    answer(other)
    expect(other.get_by_text("this question is another than the one")).to_be_visible()
    answer(other)  # what is shown now
    expect(other.get_by_text("Taken; the run is complete.")).to_be_visible()
    assert ledger(tmp_path)[3:] == ["sent 'one'", "sent 'two'"]


def test_a_long_run_is_told_of_until_it_ends(tab: Page, inbox: str, tmp_path: Path) -> None:
    """The page says that the run goes on, others can be used, and it becomes what came of it."""
    os.mkfifo(tmp_path / "gate")
    opened(tab, inbox, "1").get_by_label("Edit").check()
    tab.get_by_label("The whole update, as JSON").fill('{"draft": "good, but slow"}')
    answer(tab)
    try:
        expect(tab.get_by_text("The run goes on, since")).to_be_visible()
        expect(tab.locator("section[aria-labelledby=run]")).to_contain_text("write")
        other = tab.context.new_page()
        other.goto(inbox)
        expect(other.get_by_text("2 questions wait.")).to_be_visible()
    finally:
        (tmp_path / "gate").write_text("go")
    expect(tab.get_by_text("Taken; the run is complete.")).to_be_visible()


def test_an_answer_from_the_keyboard(tab: Page, inbox: str, tmp_path: Path) -> None:
    """From the list to the end without a mouse; the list is not asked for while it is the same."""
    tab.set_viewport_size({"width": 320, "height": 640})
    tab.goto(inbox)
    tab.keyboard.press("j")
    tab.keyboard.press("Enter")
    expect(tab.get_by_role("heading", name="Answer")).to_be_visible()
    assert tab.evaluate("document.documentElement.scrollWidth") <= 320
    tab.get_by_label("Approve").focus()
    tab.keyboard.press("ArrowDown")
    expect(tab.get_by_label("The whole update, as JSON")).to_be_visible()
    tab.keyboard.press("ArrowUp")
    expect(tab.get_by_label("Approve")).to_be_checked()
    tab.get_by_label("Your name").press("Enter")
    expect(tab.get_by_text("Taken; the run is complete.")).to_be_visible()
    assert tab.evaluate("document.documentElement.scrollWidth") <= 320
    assert len(ledger(tmp_path)) == 4


def test_an_answer_without_a_script(chromium: Browser, inbox: str, tmp_path: Path) -> None:
    """The form is a plain one."""
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    opened(page, inbox, "1").get_by_label("Approve").check()
    answer(page)
    expect(page.get_by_text("Taken; the run is complete.")).to_be_visible()
    context.close()
    assert len(ledger(tmp_path)) == 4


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_can_be_read_by_everybody(
    tab: Page, inbox: str, scheme: Literal["light", "dark"]
) -> None:
    """List, question and answer: text stands out, nothing hangs out, every control has a name."""
    tab.emulate_media(color_scheme=scheme)

    def look() -> None:
        for width in (320, 1280):
            tab.set_viewport_size({"width": width, "height": 800})
            assert not too_wide(tab)
        assert (faint(tab), nameless(tab)) == ([], [])

    tab.goto(inbox)
    look()
    opened(tab, inbox, "3")
    for name in ("Edit", "Reject", "Retry", "Approve"):
        tab.get_by_label(name).check()
        look()
    answer(tab)
    expect(tab.get_by_text("Taken; the run is complete.")).to_be_visible()
    look()


def test_what_is_new_comes_into_the_list_by_itself(tab: Page, inbox: str, tmp_path: Path) -> None:
    """An answer from elsewhere takes its question off the list that is open."""
    tab.goto(inbox)
    expect(tab.get_by_text("3 questions wait.")).to_be_visible()
    assert elsewhere(tmp_path, "1", "--approve") == 0
    expect(tab.get_by_text("2 questions wait.")).to_be_visible(timeout=15_000)
