"""What the audit says of next to nothing: no run, one run, one node, only failures, only pauses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from lines import GOOD, State, is_good, record

from coordgate import Escalate, NodeGuard, Policy, Tracer, guard
from coordgate.audit import audit
from coordgate.audit.page import page
from coordgate.audit.printing import markdown
from coordgate.audit.words import percent, weakest_words
from coordgate.labels import Label
from coordgate.stores import MemoryStore, open_store
from coordgate.testing import scripted


def said(path: Path | str) -> str:
    """Return the report as Markdown, without what escapes its signs."""
    return markdown(audit(path)).replace("\\", "")


@pytest.mark.parametrize(
    ("runs", "rates", "told"),
    [
        (1, {"a": 1.0}, ["1 run: 1 completed.", "Gap: none is shown: nothing has failed so far."]),
        (1, {"a": 0.0}, ["1 run: 1 failed.", "Gap: only one node has run", "?: it has never"]),
        (2, {"a": 0.0, "b": 1.0}, ["2 runs: 2 failed.", "Gap: only one node has run"]),
        (
            2,
            {"a": 1.0, "b": 1.0},
            ["between make_a -> make_b and make_b -> __end__; the two are equal so far"],
        ),
        (3, {"a": 1.0, "b": 1.0, "c": 1.0}, ["3 runs: 3 completed.", "the first two are equal"]),
    ],
)
def test_few_runs_are_told_of_in_true_sentences(
    tmp_path: Path, runs: int, rates: dict[str, float], told: list[str]
) -> None:
    """Counts agree with their nouns, and nothing is said to be shown that is not."""
    record(tmp_path / "t.db", rates, runs=runs)
    shown = said(tmp_path / "t.db")
    assert [each for each in told if each not in shown] == []
    assert "1 runs" not in shown
    assert "<svg" in page(audit(tmp_path / "t.db"))


def test_one_node_has_no_parts(tmp_path: Path) -> None:
    """In mode observe, too, the product of one node is its own rate, which is no finding."""
    record(tmp_path / "t.db", {"a": 0.5}, runs=12, mode="observe")
    assert "Gap: only one node has run, so there are no parts" in said(tmp_path / "t.db")


@pytest.mark.parametrize(("more", "told"), [(1, "about 1 more run"), (2, "about 2 more runs")])
def test_how_many_more_runs_is_said_in_its_number(tmp_path: Path, more: int, told: str) -> None:
    """One more run is one run."""
    record(tmp_path / "t.db", {"a": 1.0, "b": 1.0}, runs=2)
    report = audit(tmp_path / "t.db")
    known = replace(report, weakest=replace(report.weakest, more_runs=more))
    assert weakest_words(known).endswith(f"; {told} would tell the two apart.")


def test_only_paused_runs_are_counted_and_no_more(tmp_path: Path) -> None:
    """Of runs that wait for a person nothing is known yet but that they wait."""
    path = tmp_path / "t.db"
    builder = StateGraph(State).add_node("make_a", scripted(*[{"a": "bad"}] * 2, name="a"))
    builder.add_edge(START, "make_a")
    nodes = {"make_a": NodeGuard(gates=[is_good("a")], policy=Policy(Escalate("editor")))}
    with Tracer(path) as tracer:
        app = guard(builder, nodes, tracer=tracer).compile(checkpointer=InMemorySaver())
        for thread in ("1", "2"):
            config: Any = {"configurable": {"thread_id": thread}}
            app.invoke({}, config)
    assert said(path).endswith("## End to end\n\n2 runs: 2 paused for a person.\n")


def test_only_lost_runs_have_no_parts(tmp_path: Path) -> None:
    """A run that was lost before any node ended counts against completion, and says no more."""
    record(tmp_path / "whole.db", {"a": 1.0}, runs=1)
    with open_store(tmp_path / "whole.db") as whole:
        run = next(whole.runs())
    with open_store(tmp_path / "t.db", mode="write") as store:
        store.write([replace(run, status="running", process="nowhere:1:1", started=1.0)])
    shown = said(tmp_path / "t.db")
    assert "| completed | 1 | 0.0% [0.0%, " in shown
    assert "1 run: 1 lost." in shown
    assert "Handoffs" not in shown
    assert "Next gate" not in shown


def test_one_wrong_hand_over_is_told_of_in_the_singular() -> None:
    """Reasons for a gate agree with their counts."""
    store = MemoryStore()
    builder = StateGraph(State).add_node("make_a", scripted({"a": GOOD}, {"a": GOOD}, name="a"))
    builder.add_edge(START, "make_a")
    with Tracer(store) as tracer:
        app = guard(builder, tracer=tracer).compile()
        app.invoke({})
        app.invoke({})
    one, other = store.runs()
    labels = [Label(one.id, False, "make_a"), Label(other.id, True, "make_a")]
    (by_node,) = audit(store, labels=labels).next_gates
    assert by_node.reason == "1 of 2 that passed was labelled wrong"
    (by_run,) = audit(store, labels=[Label(one.id, False), Label(other.id, True)]).next_gates
    assert by_run.reason.endswith("of 2 runs whose hand-overs all passed 1 was wrong")


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (1.0, "100.0%"),
        (0.9996, "99.960%"),
        (0.99999999, ">99.999%"),
        (0.999, "99.9%"),
        (0.5, "50.0%"),
        (0.0004, "0.040%"),
        (1e-9, "<0.001%"),
        (0.0, "0.0%"),
    ],
)
def test_less_than_all_is_never_printed_as_all(share: float, text: str) -> None:
    """Only 1 is 100%, and only 0 is 0%."""
    assert percent(share) == text


def test_runs_of_both_modes_are_told_apart(tmp_path: Path) -> None:
    """Runs that were only observed count with the others, and the report says how many."""
    record(tmp_path / "t.db", {"a": 1.0}, runs=2)
    assert "mode observe" not in said(tmp_path / "t.db").partition("Gap")[0]
    record(tmp_path / "t.db", {"a": 1.0}, runs=3, mode="observe")
    assert "5 runs: 5 completed. Of these 3 in mode observe" in said(tmp_path / "t.db")
