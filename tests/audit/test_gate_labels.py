"""Gates against labels: every rate against a count by hand, over real guarded graphs."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.types import Command
from typing_extensions import TypedDict

from coordgate import (
    Approve,
    CoordgateError,
    Edit,
    Escalate,
    NodeGuard,
    Policy,
    Reject,
    Retry,
    RetryWith,
    Tracer,
    gate,
    guard,
)
from coordgate.audit import audit
from coordgate.audit.report import AuditReport, GateReport
from coordgate.audit.words import sections
from coordgate.labels import Label
from coordgate.stores import MemoryStore
from coordgate.testing import scripted


class State(TypedDict, total=False):
    """A number, of which the even ones are right."""

    v: int


def not_by(number: int) -> Any:
    """Return a gate that rejects multiples of a number: it has nothing to do with what is right."""

    @gate(name=f"not_by_{number}")
    def passes(output: State) -> bool:
        return output["v"] % number != 0

    return passes


def counting(runs: int, *, policy: Policy | None = None, mode: Any = "enforce") -> MemoryStore:
    """Return the record of runs of a node that counts on, attempt by attempt."""
    numbers = itertools.count(1)
    store = MemoryStore()
    builder = StateGraph(State).add_node("count", lambda state: {"v": next(numbers)})
    builder.add_edge(START, "count")
    nodes = {"count": NodeGuard(gates=[not_by(3), not_by(5)], policy=policy)}
    with Tracer(store) as tracer:
        app = guard(builder, nodes, mode=mode, tracer=tracer).compile()
        for _ in range(runs):
            try:
                app.invoke({})
            except CoordgateError:
                continue
    return store


def told(report: AuditReport, name: str) -> GateReport:
    """Return what is said of one gate."""
    return next(each for each in report.gates if each.gate == name)


@pytest.mark.parametrize("mode", ["enforce", "observe"])
@pytest.mark.parametrize("retries", [0, 2])
def test_every_rate_of_a_gate_is_a_count(mode: str, retries: int) -> None:
    """Precision, recall, false accepts and rejects, attempt by attempt, are what one counts."""
    policy = Policy(Retry(retries, wait=0)) if retries else None
    store = counting(40, policy=policy, mode=mode)
    labels: list[Label] = []
    seen: Counter[tuple[int, bool, bool]] = Counter()
    for run in store.runs():
        for transition in store.transitions(run.id):
            for attempt in transition.attempts:
                v = json.loads(attempt.output or "")["v"]
                labels.append(Label(run.id, v % 2 == 0, "count", attempt=attempt.number))
                for by in (3, 5):
                    seen[by, v % by != 0, v % 2 == 0] += 1
    report = audit(store, labels=labels)
    for by in (3, 5):
        found = told(report, f"not_by_{by}")
        passed_right, passed_wrong = seen[by, True, True], seen[by, True, False]
        stopped_right, stopped_wrong = seen[by, False, True], seen[by, False, False]
        wrong, right = passed_wrong + stopped_wrong, passed_right + stopped_right
        assert min(seen.values()) > 1
        for rate, successes, n in (
            (found.precision, stopped_wrong, stopped_wrong + stopped_right),
            (found.recall, stopped_wrong, wrong),
            (found.false_accept, passed_wrong, wrong),
            (found.false_reject, stopped_right, right),
            (found.correct_if_passed, passed_right, passed_right + passed_wrong),
        ):
            assert (rate.successes, rate.n) == (successes, n)
        assert (found.asked, found.passed) == (wrong + right, passed_right + passed_wrong)


def printed(report: AuditReport) -> str:
    """Return the report's sentences on gates and labels."""
    return " ".join(
        note
        for each in sections(report)
        for note in each.notes
        if each.title == "Gates against labels"
    )


def test_labels_of_what_passed_alone_say_nothing_of_what_a_gate_finds() -> None:
    """Where rejected attempts have no label, a recall of 0 would be the labels', not the gate's."""
    store = counting(40, policy=Policy(Retry(2, wait=0)))
    labels = [
        Label(run.id, json.loads(each.writes or "")["v"] % 2 == 0, "count")
        for run in store.runs()
        for each in store.transitions(run.id)
    ]
    report = audit(store, labels=labels)
    found = told(report, "not_by_3")
    assert found.labelled == found.correct_if_passed.n == len(labels)
    assert 0 < found.correct_if_passed.successes < found.correct_if_passed.n  # type: ignore[operator]
    assert (found.recall.n, found.false_accept.n, found.false_reject.n) == (0, 0, 0)
    assert "count: not_by_3: only what passed has labels" in printed(report)


def test_a_run_that_was_stopped_says_nothing_of_the_gate_that_stopped_it() -> None:
    """That it came to no right answer is no proof that the gate was right to reject."""
    store = counting(30)
    labels = [Label(run.id, run.status == "completed") for run in store.runs()]
    report = audit(store, labels=labels)
    assert report.correct is not None
    assert (report.correct.n, report.correct.successes) == (30, report.runs.completed)
    for name in ("not_by_3", "not_by_5"):
        found = told(report, name)
        assert (found.precision.n, found.recall.n) == (0, 0)
        assert found.correct_if_passed.n == report.runs.completed


def test_a_hand_over_with_several_labels_counts_once() -> None:
    """Several sources must all call it correct; a label of its own goes before that of its run."""
    store = counting(2, mode="observe")
    one, other = (run.id for run in store.runs(newest_first=False))
    labels = [
        Label(one, True, "count", by="a"),
        Label(one, False, "count", by="b"),
        Label(other, False),
        Label(other, True, transition=1),
    ]
    found = told(audit(store, labels=labels), "not_by_3")
    assert (found.correct_if_passed.successes, found.correct_if_passed.n) == (1, 2)


def test_what_reviewers_decided_labels_the_candidate_that_they_saw() -> None:
    """Approved is correct, edited and rejected is not, `retry` says nothing."""
    store = MemoryStore()
    numbers = itertools.cycle([3])
    builder = StateGraph(State).add_node("count", lambda state: {"v": next(numbers)})
    builder.add_edge(START, "count")
    nodes = {"count": NodeGuard(gates=[not_by(3)], policy=Policy(Escalate("editor")))}
    answers = [Approve(), Approve(), Edit({"v": 4}), Reject("no"), RetryWith("again"), None]
    with Tracer(store) as tracer:
        app = guard(builder, nodes, tracer=tracer).compile(checkpointer=InMemorySaver())
        for thread, answer in enumerate(answers):
            config: Any = {"configurable": {"thread_id": str(thread)}}
            app.invoke({}, config)
            if answer is not None:
                try:
                    app.invoke(Command(resume=answer), config)
                except CoordgateError:
                    continue
    found = told(audit(store), "not_by_3")
    assert (found.precision.successes, found.precision.n) == (2, 4)
    assert (found.labelled, found.passed) == (4, 1)  # the edit
    assert (found.false_reject.n, found.recall.n, found.correct_if_passed.n) == (0, 0, 0)
    assert "it rejected has labels" in printed(audit(store))


def test_what_broke_the_contract_is_laid_to_no_gate() -> None:
    """A candidate that no gate was asked about does not count for one asked about an earlier."""
    store = MemoryStore()
    builder = StateGraph(State).add_node("count", scripted({"v": 3}, {"v": "three"}, name="count"))
    builder.add_edge(START, "count")
    policy = Policy(Retry(1, wait=0), Escalate("editor"))
    nodes = {"count": NodeGuard(gates=[not_by(3)], policy=policy)}
    config: Any = {"configurable": {"thread_id": "1"}}
    with Tracer(store) as tracer:
        app = guard(builder, nodes, tracer=tracer).compile(checkpointer=InMemorySaver())
        app.invoke({}, config)
        with pytest.raises(CoordgateError):
            app.invoke(Command(resume=Reject("no number")), config)
    assert audit(store).gates == ()
