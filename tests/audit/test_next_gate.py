"""The next gate: what it is expected to bring, and what it brings once it is there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from langgraph.graph import START, StateGraph
from lines import GOOD, State, is_good

from coordgate import CoordgateError, NodeGuard, Policy, Retry, Tracer, gate, guard
from coordgate.audit import AuditReport, audit
from coordgate.audit.report import NextGate
from coordgate.labels import Label, labels_beside, read_labels, write_labels
from coordgate.stores import open_store
from coordgate.testing.faults import WrongValue, with_faults

RATES = {"make_a": 0.05, "make_b": 0.25, "make_c": 0.02}
RUNS = 400


def pipeline() -> StateGraph[Any, Any, Any, Any]:
    """Return three nodes in a row whose hand-overs are good, but for faults."""
    builder = StateGraph(State)
    before = START
    for key in "abc":
        builder.add_node(f"make_{key}", lambda state, key=key: {key: GOOD})
        builder.add_edge(before, f"make_{key}")
        before = f"make_{key}"
    return builder


def run(path: Path, nodes: dict[str, NodeGuard], *, seed: int) -> tuple[int, AuditReport]:
    """Run the faulty pipeline, label every hand-over, and return how many runs were right."""
    right = 0
    labels: list[Label] = []
    with Tracer(path) as tracer:
        faults = {node: [WrongValue(rate)] for node, rate in RATES.items()}
        app = with_faults(guard(pipeline(), nodes, tracer=tracer).compile(), faults, seed=seed)
        for _ in range(RUNS):
            try:
                found = app.invoke({})
            except CoordgateError:
                continue
            right += found == {"a": GOOD, "b": GOOD, "c": GOOD}
    with open_store(path) as store:
        for each in store.runs():
            transitions = list(store.transitions(each.id))
            good = [f'"{GOOD}"' in (t.writes or "") for t in transitions]
            labels.append(Label(each.id, each.status == "completed" and all(good)))
            labels += [
                Label(each.id, was, node=t.node)
                for t, was in zip(transitions, good, strict=True)
                if t.status == "accepted"
            ]
    write_labels(labels_beside(path), labels)
    return right, audit(path)


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> tuple[int, AuditReport]:
    """Return what came of the pipeline without any gate."""
    return run(tmp_path_factory.mktemp("bare") / "t.db", {}, seed=1)


def test_the_node_that_loses_most_comes_first(bare: tuple[int, AuditReport]) -> None:
    """Labels of hand-overs tell which node to gate, the worst first; each with its loss."""
    right, report = bare
    assert report.observed.successes == right
    first, second, *_ = report.next_gates
    assert (first.producer, first.consumer) == ("make_b", "make_c")
    assert second.producer == "make_a"
    assert first.loss.low < 0.25 < first.loss.high
    assert first.gain_per_call > second.gain_per_call
    assert "were labelled wrong" in first.reason


def test_labels_of_hand_overs_alone_advise_too(tmp_path: Path) -> None:
    """Without labels of runs all of them are accepted; a hand-over labelled wrong counts still."""
    path = tmp_path / "t.db"
    run(path, {}, seed=1)
    alone = [label for label in read_labels(labels_beside(path)) if label.node is not None]
    report = audit(path, labels=alone)
    assert report.observed.estimate == 1.0
    first, second, *_ = report.next_gates
    assert (first.producer, second.producer) == ("make_b", "make_a")
    # Of 25 wrong in 100 a gate that finds 90 and is asked once more makes 17 right.
    assert first.gain.estimate == pytest.approx(0.25 * 0.9 * 0.75, abs=0.04)


def advice(report: AuditReport) -> NextGate:
    """Return the first gate advised."""
    return report.next_gates[0]


def test_the_gate_that_was_advised_brings_what_was_said(
    bare: tuple[int, AuditReport], tmp_path: Path
) -> None:
    """With the advised gate and one retry, the measured gain and calls lie in their intervals."""
    before, report = bare
    advised = advice(report)
    key = advised.producer[-1]
    guarded = {advised.producer: NodeGuard(gates=[is_good(key)], policy=Policy(Retry(1)))}
    after, then = run(tmp_path / "t.db", guarded, seed=2)
    gain = (after - before) / RUNS
    noise = 2 * (0.8 * 0.2 * 2 / RUNS) ** 0.5
    assert gain > noise
    assert advised.gain.low - noise < gain < advised.gain.high + noise
    made = next(node for node in then.nodes if node.node == advised.producer)
    further = (made.attempts - made.transitions) / RUNS
    assert advised.calls.low - 0.05 < further < advised.calls.high + 0.05
    assert then.observed.successes == after
    # What is left to win there is less than half: the repeats that were wrong again.
    assert advice(then).reason.endswith("did not pass in the end")
    assert 2 * (advice(then).gain.estimate or 0) < (advised.gain.estimate or 0)


def test_a_node_that_stops_runs_is_worth_a_retry(tmp_path: Path) -> None:
    """A gate without a retry stops runs: what a repeat would bring is told, without any label."""
    path = tmp_path / "t.db"
    with Tracer(path) as tracer:
        nodes = {"make_b": NodeGuard(gates=[is_good("b")])}
        app = guard(pipeline(), nodes, tracer=tracer).compile()
        faulty = with_faults(app, {"make_b": [WrongValue(0.3)]}, seed=5)
        for _ in range(150):
            try:
                faulty.invoke({})
            except CoordgateError:
                continue
    report = audit(path)
    (advised,) = report.next_gates
    failed = report.runs.failed
    assert advised.reason == f"{failed} of 150 did not pass in the end"
    share = 1 - failed / 150
    assert advised.gain.estimate == pytest.approx((1 - share) * share, abs=0.03)
    assert advised.tokens is None
    assert advised.seconds.estimate is not None


def test_one_stopped_run_does_not_hide_what_a_weak_gate_lets_through(tmp_path: Path) -> None:
    """A node that lost little by rejections and much unseen is told of what it lost most by."""
    path = tmp_path / "t.db"
    seen: list[str] = []

    @gate
    def weak(output: State) -> bool:
        seen.append(output["b"])  # of what is wrong it finds every tenth
        return output["b"] == GOOD or sum(each != GOOD for each in seen) % 10 != 0

    right, report = run(path, {"make_b": NodeGuard(gates=[weak])}, seed=1)
    assert report.runs.failed > 0
    first = advice(report)
    assert first.producer == "make_b"
    assert "were labelled wrong" in first.reason
    assert first.loss.low > 0.1
    assert right < report.runs.completed


def test_where_nothing_is_lost_no_gate_is_advised(tmp_path: Path) -> None:
    """Nodes that never failed get no gate on suspicion alone."""
    path = tmp_path / "t.db"
    with Tracer(path) as tracer:
        app = guard(pipeline(), tracer=tracer).compile()
        for _ in range(20):
            app.invoke({})
    assert audit(path).next_gates == ()
