"""Looks: what a terminal and a notebook show of a run, its parts, a tracer and a report."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from coordgate import RecordedRun, StoreError, Tracer, recorded_run
from coordgate.audit import audit
from coordgate.cli import main
from coordgate.record import Attempt, GateVerdict, Run, RunId, ThreadId, Transition
from coordgate.stores import MemoryStore, open_store

START = 1_750_000_000.0
HOSTILE = "<script>alert(1)</script>\x1b[31m\u202e"


def a_run(id: str = "run-1", thread: str = "t", **more: Any) -> Run:
    """Return a run that has ended."""
    status = more.pop("status", "completed")
    return Run(RunId(id), "brief", ThreadId(thread), "enforce", status, START, START + 2, **more)


def a_transition(run: str = "run-1", number: int = 1, node: str = "draft") -> Transition:
    """Return a transition whose first attempt was rejected, with values that are large."""
    verdict = GateVerdict("cites", False, 0.0, f"no source {HOSTILE}")
    attempts = (
        Attempt(1, "first", "rejected", 0.25, ("cites: no source",), None, "x" * 10**6, (verdict,)),
        Attempt(2, "retry", "accepted", 0.5, cost=0.25),
    )
    return Transition(
        RunId(run),
        number,
        None,
        "sub:1b2c|draft:3d4e",
        1,
        node,
        "accepted",
        START,
        0.75,
        ("retrieve",),
        ("verify",),
        "y" * 10**6,
        "z" * 10**6,
        attempts,
    )


class Page(HTMLParser):
    """What a browser would make of a piece of HTML, which must close what it opens."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.words = ""
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        """Open a tag."""
        self.tags.add(tag)
        if tag != "br":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        """Note a tag that closes itself."""
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        """Close the tag that was opened last."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Keep the words."""
        self.words += data


def held(*records: Any) -> MemoryStore:
    """Return a store that holds some records."""
    store = MemoryStore()
    store.write(records)
    return store


def test_records_are_printed_in_a_line() -> None:
    """What was read and written, which may be large, is left out; what matters is said."""
    transition = a_transition()
    assert repr(transition) == (
        "<transition 1 of run run-1: draft accepted, 2 attempts, 0.75 s, from retrieve to verify>"
    )
    assert repr(transition.attempts) == (
        "(<attempt 1: first, rejected in 0.25 s: cites: no source>, "
        "<attempt 2: retry, accepted in 0.5 s>)"
    )
    assert repr(a_run()) == "<run run-1: brief, completed in 2 s, thread t>"


def test_a_hostile_record_is_printed_harmless_and_cut() -> None:
    """Names and errors cannot steer the terminal, nor fill it."""
    run = repr(a_run(HOSTILE * 9000, thread="t" * 9000, status="failed", error=HOSTILE * 9000))
    transition = repr(a_transition(HOSTILE * 9000, node=f"{HOSTILE}\n" * 9000))
    for text in (run, transition):
        assert text.isprintable()
        assert len(text) < 450


def test_a_tracer_says_where_it_writes(tmp_path: Path) -> None:
    """Also what went wrong there, if anything did."""

    class Full:
        def write(self, records: Any) -> None:
            raise OSError("disk full")

        def __repr__(self) -> str:
            return "Full()"

    with Tracer(tmp_path / "t.db") as tracer:
        assert repr(tracer) == f"Tracer({tracer.sink!r})"
    failing = Tracer(Full())
    failing.record(a_run())
    failing.close()
    assert failing.errors
    assert repr(failing) == f"Tracer(Full(), {failing.errors} errors, 1 lost)"


def test_a_recorded_run_is_found_and_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By path or store, by id or as the latest; `print` gives what `coordgate show` gives."""
    path = tmp_path / "t.db"
    with open_store(path, mode="write") as store:  # type: ignore[attr-defined]
        store.write([a_run(), a_transition()])
        assert recorded_run(store, "run") == recorded_run(path)
    found = recorded_run(path)
    assert repr(found) == f"{found.run!r} (1 transition)"
    assert main(["show", str(path), "latest"]) == 0
    assert str(found) == capsys.readouterr().out.removesuffix("\n")


def test_a_run_that_is_not_there_is_an_error() -> None:
    """The error says what is missing."""
    with pytest.raises(StoreError, match="holds no runs yet"):
        recorded_run(MemoryStore())
    with pytest.raises(StoreError, match="no run 'x'"):
        recorded_run(held(a_run()), "x")


def test_a_notebook_shows_a_run_as_a_table() -> None:
    """Each transition with its attempts and why they failed; nothing that was recorded runs."""
    failed = a_run(status="failed", error=f"ValueError: {HOSTILE}")
    html = recorded_run(held(failed, a_transition()))._repr_html_()
    page = Page(html)
    assert page.tags <= {"p", "b", "span", "br", "table", "tr", "td", "th"}
    assert "sub|draft" in page.words
    assert "1 first rejected 250 ms" in page.words
    assert r"cites: no source <script>alert(1)</script>\x1b[31m\u202e" in page.words
    assert "2 retry accepted 500 ms, $0.25" in page.words
    assert "\x1b" not in html
    assert len(html) < 4000


def test_a_notebook_shows_the_beginning_of_a_long_run() -> None:
    """What is left out is counted."""
    run = RecordedRun(a_run(), tuple(a_transition(number=n) for n in range(1, 1301)))
    html = run._repr_html_()
    assert "and 1,100 more transitions" in html
    assert html.count("<tr>") == 201


def test_a_report_is_printed_in_a_line_and_shown_whole() -> None:
    """A notebook gets what the page of the audit holds, without a style of its own or a script."""
    store = held(*(a_run(f"run-{n}") for n in range(30)))
    store.write([a_transition(f"run-{n}", node=f"draft{HOSTILE}") for n in range(30)])
    report = audit(store)
    assert repr(report).startswith("<audit of MemoryStore(): 30 runs, 100.0% accepted [")
    assert len(repr(report)) < 300
    page = Page(report._repr_html_())
    assert page.tags.isdisjoint({"script", "style", "html", "body", "link", "img"})
    for said in ("Audit of MemoryStore()", "End to end", "Handoffs", r"alert(1)</script>\x1b[31m"):
        assert said in page.words
    assert "svg" in page.tags
