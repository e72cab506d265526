"""The audit of recorded runs: every figure against what happened in real guarded graphs."""

from __future__ import annotations

import operator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.types import Command, Send
from lines import GOOD, State, handoff, is_good, record, recorded
from pydantic import AfterValidator
from typing_extensions import TypedDict

from coordgate import (
    Approve,
    Contract,
    CoordgateError,
    Degrade,
    Edit,
    Escalate,
    Fallback,
    NodeGuard,
    Policy,
    Retry,
    Tracer,
    guard,
)
from coordgate.audit import audit
from coordgate.audit.intervals import Interval, rate
from coordgate.labels import Label, labels_beside, write_labels
from coordgate.stores import MemoryStore, Store, open_store
from coordgate.testing import scripted


def test_observed_runs_are_counted_as_they_went(tmp_path: Path) -> None:
    """In mode observe every rate is what came out of the runs; the whole is beside the product."""
    found = record(
        tmp_path / "t.db", {"a": 0.95, "b": 0.8, "c": 0.9}, runs=200, mode="observe", seed=4
    )
    good = {key: sum(each is not None and each[key] == GOOD for each in found) for key in "abc"}
    all_good = sum(each == {"a": GOOD, "b": GOOD, "c": GOOD} for each in found)
    report = audit(tmp_path / "t.db")
    assert [node.node for node in report.nodes] == ["make_a", "make_b", "make_c"]
    for node, key in zip(report.nodes, "abc", strict=True):
        assert (node.first_pass.n, node.first_pass.successes) == (200, good[key])
        assert node.accepted == node.first_pass
        assert node.accepted.low == pytest.approx(rate(good[key], 200).low)
        assert node.by_rung["observed"].successes == 200 - good[key]
        assert node.gates == ("good",)
    assert (report.observed.n, report.observed.successes) == (200, all_good)
    assert report.product.estimate == pytest.approx(good["a"] * good["b"] * good["c"] / 200**3)
    assert report.gap.estimate == pytest.approx(report.product.estimate - all_good / 200)
    assert report.gap.low < 0 < report.gap.high
    assert report.compared.decided == "undecided"
    assert report.basis == "accepted"
    assert report.correct is None
    assert report.weakest.handoff == handoff(report, "make_b", "make_c")


def test_what_never_passes_makes_the_product_nothing(tmp_path: Path) -> None:
    """It is 0 to the last digit, with room above it, and is not printed as a little."""
    record(tmp_path / "t.db", {"a": 0.9, "b": 0.0}, runs=20, mode="observe", seed=4)
    product = audit(tmp_path / "t.db").product
    assert product.estimate == 0.0
    assert product.low == 0.0 < product.high


def test_policies_are_told_apart_by_rung() -> None:
    """First passes, retries, fallbacks, stated answers and failures are counted apart."""
    store = MemoryStore()
    rungs = Policy(Retry(1), Fallback(scripted(*[{"a": GOOD}] * 1, {"a": "x"}, name="other")))
    answers = ["bad", GOOD] + ["bad"] * 2 + ["bad"] * 2 + [GOOD]
    node = scripted(*[{"a": each} for each in answers], name="make_a")
    stated = scripted({"b": "bad"}, {"b": GOOD}, {"b": GOOD}, name="make_b")
    builder = StateGraph(State).add_sequence([node, stated]).add_edge(START, "make_a")
    nodes = {
        "make_a": NodeGuard(gates=[is_good("a")], policy=rungs),
        "make_b": NodeGuard(gates=[is_good("b")], policy=Policy(Degrade({"b": "none"}))),
    }
    with Tracer(store) as tracer:
        app = guard(builder, nodes, tracer=tracer).compile()
        for _ in range(4):
            try:
                app.invoke({})
            except CoordgateError:
                continue
    report = audit(store)
    first, second = report.nodes
    assert {path: rate.successes for path, rate in first.by_rung.items()} == {
        "first": 1,
        "retried": 1,
        "fell_back": 1,
        "failed": 1,
    }
    assert (first.first_pass.successes, first.accepted.successes, first.attempts) == (1, 3, 9)
    assert {path: rate.successes for path, rate in second.by_rung.items()} == {
        "degraded": 1,
        "first": 2,
    }
    assert second.accepted.successes == 2
    assert (report.runs.total, report.completed.successes) == (4, 3)
    assert report.accepted.successes == 2
    to_b = handoff(report, "make_a", "make_b")
    assert (to_b.accepted.n, to_b.accepted.successes, to_b.first_pass.successes) == (4, 3, 1)
    assert handoff(report, "make_b", "__end__").accepted.successes == 2


def test_a_run_stopped_by_each_failure_cannot_tell_the_gap(tmp_path: Path) -> None:
    """Where each failure ends its run, product and observed are one number, and it is no gap."""
    record(tmp_path / "t.db", {"a": 0.9, "b": 0.8}, runs=60)
    report = audit(tmp_path / "t.db")
    assert report.product.estimate == pytest.approx(report.observed.estimate)
    assert report.gap == Interval(None, -1.0, 1.0)
    assert report.compared.decided == "tied"


def test_first_attempts_tell_what_retries_hide(tmp_path: Path) -> None:
    """With retries the product of first passes stands beside how often all passed at once."""
    record(tmp_path / "t.db", {"a": 0.8, "b": 0.7}, runs=150, policy=Policy(Retry(8)))
    report = audit(tmp_path / "t.db")
    assert report.observed.estimate == 1.0
    a, b = (node.first_pass.estimate or 0 for node in report.nodes)
    assert report.first_pass.product.estimate == pytest.approx(a * b)
    assert report.first_pass.gap.low < 0 < report.first_pass.gap.high
    assert report.nodes[1].wasted > 0.15
    assert report.nodes[1].wasted_of == "seconds"


class Routed(TypedDict, total=False):
    """A state with a route."""

    a: str
    b: str
    n: int
    log: Annotated[list[int], operator.add]


def test_each_branch_is_a_handoff_of_its_own() -> None:
    """A node that chooses has one handoff to each node that it chose, by how often it did."""
    builder = StateGraph(Routed)
    builder.add_node("route", lambda state: {"a": GOOD})
    builder.add_node("left", lambda state: {"b": GOOD})
    builder.add_node("right", lambda state: {"b": GOOD})
    builder.add_edge(START, "route")
    builder.add_conditional_edges(
        "route", lambda state: "left" if state["n"] % 3 else "right", ["left", "right"]
    )
    report = recorded(builder, {}, [{"n": n} for n in range(9)])
    assert handoff(report, "route", "left").accepted.n == 6
    assert handoff(report, "route", "right").accepted.n == 3
    assert handoff(report, "left", "__end__").accepted.n == 6
    assert report.observed.estimate == report.product.estimate == 1.0


def test_where_a_stopped_branch_would_have_gone_is_not_guessed() -> None:
    """A node that chooses, and was stopped before it did, has one handoff to all its consumers."""
    builder = StateGraph(Routed)
    node = scripted({"a": GOOD}, {"a": "bad"}, {"a": GOOD}, name="route")
    builder.add_node("route", node)
    builder.add_node("left", lambda state: {"b": GOOD})
    builder.add_node("right", lambda state: {"b": GOOD})
    builder.add_edge(START, "route")
    builder.add_conditional_edges(
        "route", lambda state: "left" if state["n"] else "right", ["left", "right"]
    )
    nodes = {"route": NodeGuard(gates=[is_good("a")])}
    report = recorded(builder, nodes, [{"n": n} for n in range(3)])
    both = handoff(report, "route", "left | right")
    assert (both.accepted.n, both.accepted.successes) == (3, 2)
    assert not [h for h in report.handoffs if h.consumer in {"left", "right"}]


def test_a_fan_out_hands_over_to_each() -> None:
    """One hand-over to two nodes at once is a trial of both handoffs; they join in a third."""
    builder = StateGraph(State)
    for key in "abcd":
        builder.add_node(f"make_{key}", scripted(*[{key: GOOD}] * 4, name=key))
    for before, after in ((START, "a"), ("a", "b"), ("a", "c")):
        builder.add_edge(before if before == START else f"make_{before}", f"make_{after}")
    builder.add_edge(["make_b", "make_c"], "make_d")
    report = recorded(builder, {}, [{}] * 4)
    for producer, consumer in (("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")):
        assert handoff(report, f"make_{producer}", f"make_{consumer}").accepted.n == 4


def test_what_happens_often_in_one_run_is_worth_less() -> None:
    """Trials of one run that fail together have a wider interval than as many single ones."""
    builder = StateGraph(Routed)
    builder.add_node("split", lambda state: {"a": GOOD})
    builder.add_node("work", lambda state: {"log": [state["n"]]})
    builder.add_edge(START, "split")
    builder.add_conditional_edges(
        "split", lambda state: [Send("work", {"n": state["n"]})] * 6, ["work"]
    )

    def even(output: Any) -> bool:
        return output["log"][0] % 4 != 0

    store = MemoryStore()
    with Tracer(store) as tracer:
        nodes = {"work": NodeGuard(gates=[even])}
        app = guard(builder, nodes, tracer=tracer, mode="observe").compile()
        for n in range(20):
            app.invoke({"n": n})
    report = audit(store)
    work = next(node for node in report.nodes if node.node == "work")
    assert (work.accepted.n, work.accepted.successes) == (120, 90)
    assert work.accepted.high - work.accepted.low > 0.35  # as of 20 trials, not of 120
    assert report.gap.estimate == pytest.approx(0.75**6 - 0.75)
    assert report.compared.decided == "above"


def test_a_bad_input_is_laid_to_who_handed_it_over() -> None:
    """An input that the consumer refuses lowers the handoff's rate, though its producer passed."""
    builder = StateGraph(State)
    builder.add_node("make_a", scripted({"a": GOOD}, {"a": "x"}, {"a": GOOD}, name="a"))
    builder.add_node("make_b", lambda state: {"b": GOOD})
    builder.add_edge(START, "make_a")
    builder.add_edge("make_a", "make_b")

    def long_enough(value: str) -> str:
        if len(value) < 3:
            raise ValueError("too short")
        return value

    accepts = {"a": Annotated[str, AfterValidator(long_enough)]}
    nodes = {"make_b": NodeGuard(contract=Contract(accepts=accepts))}
    report = recorded(builder, nodes, [{}] * 3)
    refused = handoff(report, "make_a", "make_b")
    assert (refused.accepted.n, refused.accepted.successes) == (3, 2)
    assert report.nodes[0].accepted.successes == 3
    assert handoff(report, "__start__", "make_a").accepted.estimate == 1.0
    (proposed,) = report.next_gates
    assert (proposed.producer, proposed.loss.successes) == ("make_a", 1)
    assert "1 of 3 was refused by who was handed it" in proposed.reason


def test_nodes_of_a_subgraph_are_counted_where_they_fail() -> None:
    """A failure inside a subgraph is its node's own; the node around it is not blamed again."""
    inner = StateGraph(State)
    inner.add_node("make_b", scripted({"b": GOOD}, {"b": "bad"}, {"b": GOOD}, name="b"))
    inner.add_edge(START, "make_b")
    outer = StateGraph(State)
    outer.add_node("sub", inner.compile())
    outer.add_edge(START, "sub")
    nodes = {"sub|make_b": NodeGuard(gates=[is_good("b")])}
    store = MemoryStore()
    with Tracer(store) as tracer:
        app = guard(outer.compile(), nodes, tracer=tracer)
        for _ in range(3):
            try:
                app.invoke({})
            except CoordgateError:
                continue
    report = audit(store)
    rates = {node.node: node.accepted for node in report.nodes}
    assert (rates["sub|make_b"].n, rates["sub|make_b"].successes) == (3, 2)
    assert (rates["sub"].n, rates["sub"].successes) == (2, 2)
    assert report.observed.estimate == report.product.estimate == pytest.approx(2 / 3)


def test_a_paused_run_and_what_resumed_it_are_one(tmp_path: Path) -> None:
    """A question to a person does not end a run; what was paused counts once it goes on."""
    path = tmp_path / "t.db"
    answers = [{"a": "bad"}] * 3 + [{"a": GOOD}]
    builder = StateGraph(State)
    builder.add_node("make_a", scripted(*answers, name="a"))
    builder.add_node("make_b", lambda state: {"b": GOOD})
    builder.add_edge(START, "make_a")
    builder.add_edge("make_a", "make_b")
    nodes = {"make_a": NodeGuard(gates=[is_good("a")], policy=Policy(Escalate("editor")))}
    with Tracer(path) as tracer:
        app = guard(builder, nodes, tracer=tracer).compile(checkpointer=InMemorySaver())
        for thread, answer in (
            ("1", Approve()),
            ("2", Edit({"a": GOOD})),
            ("3", None),
            ("4", None),
        ):
            config: Any = {"configurable": {"thread_id": thread}}
            app.invoke({}, config)
            if answer is not None:
                app.invoke(Command(resume=answer), config)
    report = audit(path)
    assert (report.runs.total, report.runs.interrupted, report.runs.completed) == (6, 3, 3)
    assert (report.observed.n, report.observed.successes) == (3, 3)
    assert report.nodes[0].by_rung["escalated"].successes == 2
    assert report.first_pass.observed.successes == 1
    (judged,) = report.gates
    assert (judged.node, judged.gate) == ("make_a", "good")
    assert (judged.precision.n, judged.precision.successes) == (2, 1)
    # Nobody reviews what passes: of what it lets through nothing is known.
    assert (judged.labelled, judged.false_reject.n, judged.recall.n) == (2, 0, 0)


def test_labels_tell_what_is_lost_though_every_gate_passed(tmp_path: Path) -> None:
    """With labels the observed rate is that of correct runs, and the gap what no gate saw."""
    path = tmp_path / "t.db"
    found = record(path, {"a": 0.7, "b": 1.0}, runs=120, gates="b", seed=9)
    with open_store(path) as store:
        runs = [run.id for run in store.runs(newest_first=False)]
    right = [each is not None and each["a"] == GOOD for each in found]
    labels = [Label(run, correct) for run, correct in zip(runs, right, strict=True)]
    write_labels(labels_beside(path), labels)
    report = audit(path)
    assert report.basis == "correct"
    assert report.correct is not None
    assert (report.correct.n, report.correct.successes) == (120, sum(right))
    assert report.product.estimate == 1.0
    assert report.compared.decided == "below"
    (gate,) = report.gates
    assert gate.node == "make_b"
    assert (gate.correct_if_passed.n, gate.correct_if_passed.successes) == (120, sum(right))
    assert (gate.false_accept.estimate, gate.recall.estimate) == (1.0, 0.0)
    (proposed,) = report.next_gates
    assert proposed.producer == "make_a"
    assert "no gate looks at it" in proposed.reason
    assert audit(path, labels=()).basis == "accepted"


@pytest.mark.parametrize("name", ["t.jsonl", "memory"])
def test_every_store_gives_the_same_report(tmp_path: Path, name: str) -> None:
    """What SQL adds up is what the store's protocol gives, figure by figure."""
    path = tmp_path / "t.db"
    record(path, {"a": 0.9, "b": 0.7, "c": 0.8}, runs=40, policy=Policy(Retry(2)))
    copy: Store = MemoryStore() if name == "memory" else open_store(tmp_path / name, mode="write")
    with open_store(path) as store:
        for run in store.runs():
            copy.write([run, *store.transitions(run.id)])
        report, other = audit(store), audit(copy)
    copy.close()
    for field in ("runs", "nodes", "handoffs", "observed", "product", "gap", "weakest"):
        assert getattr(other, field) == getattr(report, field), field


def test_an_empty_store_has_an_empty_report() -> None:
    """Nothing recorded is nothing known: rates without an estimate, and no weakest handoff."""
    report = audit(MemoryStore())
    assert report.runs.total == 0
    assert (report.observed.n, report.observed.estimate) == (0, None)
    assert (report.nodes, report.handoffs, report.next_gates) == ((), (), ())
    assert report.weakest.handoff is None


def test_a_run_that_was_lost_is_no_failure_of_its_nodes(tmp_path: Path) -> None:
    """A run whose process died counts against completion, not against what was accepted."""
    path = tmp_path / "t.db"
    record(path, {"a": 1.0}, runs=3)
    with open_store(path, mode="write") as store:
        run = next(store.runs())
        gone = replace(run, id="f" * 32, status="running", process="nowhere:1:1", started=1.0)
        store.write([gone])
    report = audit(path)
    assert (report.runs.lost, report.completed.n, report.completed.successes) == (1, 4, 3)
    assert report.accepted.n == 3


def test_chance_is_not_taken_for_a_weakest_handoff(tmp_path: Path) -> None:
    """Of nodes that are equally good none is named; how many more runs would tell is."""
    record(tmp_path / "t.db", {"a": 0.9, "b": 0.9, "c": 0.9}, runs=60, mode="observe", seed=2)
    weakest = audit(tmp_path / "t.db").weakest
    assert weakest.handoff is None
    assert len(weakest.candidates) > 1
    assert weakest.more_runs is None or weakest.more_runs > 60


def test_labels_of_runs_that_are_not_there_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A label that counts for nothing is no silent one: also not one with a shortened id."""
    record(tmp_path / "traces.db", {"a": 0.9}, runs=3, mode="observe", seed=1)
    with open_store(tmp_path / "traces.db") as store:  # type: ignore[attr-defined]
        known = next(store.runs()).id
    audit(tmp_path / "traces.db", labels=[Label(known, True)])
    assert caplog.messages == []
    audit(tmp_path / "traces.db", labels=[Label(known, True), Label(known[:20], False)])
    (told,) = caplog.messages
    assert "1 of 2 labelled runs are not in" in told
    assert f"such as {known[:20]!r}" in told
