"""The reliability page: what the audit says, for all runs or some, and while it is being made."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from pipelines import FIRST, Held, runs_of, write_line
from serving import Reader

from coordgate.audit import audit
from coordgate.audit.words import of_rate, sections, weakest_words
from coordgate.record import Attempt, Run, RunId, Transition
from coordgate.stores import MemoryStore, open_store
from coordgate.viewer.counting import Counting, Part

WEAK = {"find": 0.97, "draft": 0.6, "check": 0.95}
ALIKE = {"find": 0.9, "draft": 0.9, "check": 0.9}


def shown(text: str) -> str:
    """Return the text of a page as it is read, its white space made one."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", text)).split())


def drawn(text: str) -> Any:
    """Return what is drawn as the graph."""
    (found,) = re.findall(r'data-graph="([^"]*)"', text)
    return json.loads(unescape(found))


def test_the_page_says_what_the_audit_says(reader: Reader, tmp_path: Path) -> None:
    """Weakest handoff, rates with intervals, gap and next gate are in the audit's own words."""
    path = write_line(tmp_path / "t.db", WEAK, 150)
    report = audit(path)
    text = reader(path).get("/reliability").text
    said = shown(text)
    assert weakest_words(report) in said
    for note in (note for section in sections(report) for note in section.notes):
        assert note in said
    for handoff in report.handoffs:
        assert of_rate(handoff.first_pass) in said
    for each in report.next_gates:
        assert each.reason in said
    assert said.index("Next gate") < said.index("Over time")
    assert text.count('class="weakest"') == 1
    assert re.search(r"draft -> check weakest", said)
    edges = drawn(text)["edges"]
    assert [each["mark"] for each in edges] == ["", "weakest", ""]
    assert edges[1]["label"].replace("\n", " ") == of_rate(report.handoffs[1].first_pass)
    assert [each["label"].split("\n")[0] for each in drawn(text)["nodes"]] == [
        "find",
        "draft",
        "check",
        "output",
    ]


def test_an_undecided_weakest_is_said_and_each_candidate_marked(
    reader: Reader, tmp_path: Path
) -> None:
    """Where the runs do not decide, the page says so, and names none."""
    path = write_line(tmp_path / "t.db", ALIKE, 60)
    assert audit(path).weakest.handoff is None
    text = reader(path).get("/reliability").text
    assert "Weakest handoff: undecided between" in shown(text)
    assert 'class="weakest"' not in text
    assert text.count('class="candidate"') == len(audit(path).weakest.candidates)
    assert "weakest" not in {each["mark"] for each in drawn(text)["edges"]}


def test_the_runs_can_be_chosen_by_graph_and_time(reader: Reader, tmp_path: Path) -> None:
    """A graph and a span of time, in UTC, audit those runs alone; what is no time is said."""
    path = write_line(tmp_path / "t.db", WEAK, 48)
    write_line(path, ALIKE, 20, name="another <b>graph</b>")
    client = reader(path)
    for query, runs in (
        ("", 68),
        ("?graph=line", 48),
        ("?graph=another+%3Cb%3Egraph%3C%2Fb%3E", 20),
        ("?graph=line&from=2026-11-19T00:00", 24),
        ("?graph=line&to=2026-11-18T06:00", 6),
    ):
        assert f" {runs} runs:" in shown(client.get(f"/reliability{query}").text), query
    text = client.get("/reliability?graph=line&from=2026-11-19T00:00").text
    assert '<option value="line" selected>' in text
    assert 'value="2026-11-19T00:00"' in text
    assert "<b>graph" not in text
    assert "No runs of these yet" in client.get("/reliability?graph=none").text
    answer = client.get("/reliability?from=yesterday")
    assert answer.status_code == 400
    assert "'yesterday' is no time" in shown(answer.text)


def test_the_trend_is_drawn_and_told(reader: Reader, tmp_path: Path) -> None:
    """Each period stands in the table, and in the columns that are drawn."""
    path = write_line(tmp_path / "t.db", WEAK, 96)
    trend = audit(path).trend
    text = reader(path).get("/reliability").text
    (found,) = re.findall(r'data-trend="([^"]*)"', text)
    columns = json.loads(unescape(found))
    assert [len(column) for column in columns] == [len(trend)] * 7
    assert columns[1] == [each.accepted.estimate for each in trend]
    assert columns[0][0] - trend[0].seconds / 2 <= FIRST < columns[0][0]
    for each in trend:
        assert of_rate(each.first_pass) in text


def test_while_it_counts_the_page_says_so_and_others_answer(reader: Reader) -> None:
    """The audit is made once, beside the pages; htmx asks again until it is there."""
    store = Held()
    store.write(runs_of(WEAK, 30, apart=60, name="line"))
    client = reader(store)
    text = client.get("/reliability").text
    assert "Counting" in shown(text)
    assert '<noscript><meta http-equiv="refresh"' in text
    (address,) = re.findall(r'hx-get="([^"]*)"', text)
    assert client.get("/").status_code == 200
    part = client.get(unescape(address), headers={"HX-Request": "true"}).text
    assert "Counting" in shown(part)
    assert "<html" not in part
    store.let.set()
    count = client.app.state.counting.ask(Part())  # type: ignore[attr-defined]
    assert count.done.wait(30)
    assert store.read == 1
    part = client.get(unescape(address), headers={"HX-Request": "true"}).text
    assert "Weakest handoff" in part
    assert "hx-get" not in part


def test_a_slow_audit_is_made_again_when_it_is_asked_for(tmp_path: Path) -> None:
    """A quick one follows the store; a slow one says that the store has changed, and waits."""
    path = write_line(tmp_path / "t.db", WEAK, 5)
    with open_store(path) as store:
        counting = Counting(store)
        count = counting.ask(Part())
        assert count.done.wait(30)
        assert count.report is not None
        assert (count.report.runs.total, counting.ask(Part()) is count) == (5, True)
        write_line(path, WEAK, 5)
        quick = counting.ask(Part())
        assert quick is not count
        assert quick.done.wait(30)
        assert quick.report is not None
        assert quick.report.runs.total == 10
        quick.seconds = 5.0
        write_line(path, WEAK, 5)
        assert counting.ask(Part()) is quick
        assert quick.stale
        again = counting.ask(Part(), again=True)
        assert again.done.wait(30)
        assert again.report is not None
        assert again.report.runs.total == 15


def test_what_cannot_be_read_is_said(reader: Reader, tmp_path: Path) -> None:
    """Labels that are none are told of on the page, with the place."""
    path = write_line(tmp_path / "t.db", WEAK, 3)
    (tmp_path / "t.labels.jsonl").write_text("no json\n")
    assert "t.labels.jsonl" in shown(reader(path).get("/reliability").text)


def test_hostile_names_are_shown_and_not_run(reader: Reader) -> None:
    """Names of nodes and graphs cannot leave the text, the attribute or the line they stand in."""
    store = MemoryStore()
    bad = "<script>alert(1)</script>\"'\x1b[2J\u202e"
    for place in range(3):
        run = RunId(f"run{place}")
        store.write([Run(run, bad, None, "enforce", "completed", float(place), place + 1.0)])
        attempts = (Attempt(1, "first", "accepted", 0.1),)
        store.write(
            [
                Transition(run, 1, None, "x:1", 1, bad, "accepted", 1.0, 0.1, goto=("b",))
                if place
                else Transition(run, 1, None, "x:1", 1, bad, "failed", 1.0, 0.1, attempts=attempts)
            ]
        )
    text = reader(store).get("/reliability").text
    assert "<script>alert" not in text
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert any(each["label"].startswith("<script>") for each in drawn(text)["nodes"])


def test_without_scipy_the_page_names_the_extra(tmp_path: Path) -> None:
    """The viewer runs without it; only this page says what to install."""
    path = write_line(tmp_path / "t.db", WEAK, 1)
    code = f"""
import sys
sys.modules["scipy"] = sys.modules["scipy.special"] = None
from starlette.testclient import TestClient
from coordgate.viewer import viewer
client = TestClient(viewer({str(path)!r}), base_url="http://127.0.0.1")
assert client.get("/").status_code == 200
pages = (client.get("/reliability").text for _ in range(50))  # it may be counting at first
assert any("coordgate[audit]" in text for text in pages)
"""
    subprocess.run([sys.executable, "-c", code], check=True)  # noqa: S603 - ours


@pytest.mark.parametrize("name", ["none.db", "none.jsonl"])
def test_a_store_without_runs_says_so(reader: Reader, tmp_path: Path, name: str) -> None:
    """There is nothing to draw, and no error."""
    open_store(tmp_path / name, mode="write").close()
    (tmp_path / name).touch()
    assert "No runs yet." in shown(reader(tmp_path / name).get("/reliability").text)
