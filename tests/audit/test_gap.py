"""The gap where runs are stopped: what can be told of it, and what cannot, by simulation."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from intervals import Passes, passes, stopping
from langgraph.graph import END, START, StateGraph
from lines import BAD, GOOD, is_good
from typing_extensions import TypedDict

from coordgate import CoordgateError, Degrade, NodeGuard, Policy, Tracer, guard
from coordgate.audit import AuditReport, audit
from coordgate.audit.comparison import Sample, compare
from coordgate.audit.intervals import Interval
from coordgate.audit.printing import markdown
from coordgate.stores import MemoryStore

ROUNDS = 6
RUNS = 300


def loops(passed: Passes, rounds: np.ndarray[Any, Any], *, stops: bool) -> Sample:
    """Return runs of one node in a loop, so many rounds each; a failure stops them, or not."""
    planned = np.arange(ROUNDS) < rounds[..., None]
    alive = np.logical_and.accumulate(passed, -1)
    before = np.concatenate([np.ones_like(alive[..., :1]), alive[..., :-1]], -1)
    ran = planned & before if stops else planned
    tried = ran.sum(-1).astype(np.float64)
    good = (ran & passed).sum(-1).astype(np.float64)
    whole = (tried == good).astype(np.float64)
    ones = np.ones_like(whole)
    through, complete = (good, whole) if stops else (tried, ones)
    return Sample(tried[..., None], good[..., None], through[..., None], whole, complete, ones)


@pytest.mark.parametrize("way", ["apart", "shared", "hard"])
def test_a_loop_that_stops_on_failure_hides_its_gap(way: str) -> None:
    """Whether its rounds fail together or apart, no audit of it says anything of a gap."""
    rng = np.random.default_rng(5)
    passed = passes(way, 0.8, (200, RUNS, ROUNDS), rng)
    rounds = rng.integers(1, ROUNDS + 1, (200, RUNS))
    stopped = compare(loops(passed, rounds, stops=True))
    assert stopped.tied.all()
    assert (stopped.gap.low == -1).all()
    assert (stopped.gap.high == 1).all()
    # The same runs in mode observe show it, where there is one; what stopping leaves of it is a
    # fraction, which would pass for no gap, or for a small one.
    observed = compare(loops(passed, rounds, stops=False))
    assert not observed.tied.any()
    if way == "apart":
        assert abs(float(observed.gap.estimate.mean())) < 0.01
        return
    assert (observed.gap.high < 0).mean() > 0.8
    gap, left = (float(each.gap.estimate.mean()) for each in (observed, stopped))
    assert gap < -0.09
    assert gap / 3 < left < 0


@pytest.mark.parametrize("way", ["apart", "shared", "hard"])
def test_a_line_that_stops_on_failure_hides_its_gap(way: str) -> None:
    """However steps fail together, product and observed rate of stopped runs are one number."""
    found = compare(stopping(passes(way, 0.9, (50, RUNS, ROUNDS), np.random.default_rng(6))))
    assert found.product.estimate == pytest.approx(found.observed.estimate)
    assert found.tied.all()


class State(TypedDict, total=False):
    """What a loop of one node writes."""

    a: str
    left: int


def looping(runs: int, mode: Any, policy: Policy | None = None) -> AuditReport:
    """Return the audit of real runs of a loop, in which three rounds fail together on hard runs."""
    chance = random.Random(3)  # noqa: S311 - a simulation
    hard = False

    def work(state: State) -> State:
        bad = hard and chance.random() < 0.9
        return {"a": BAD if bad else GOOD, "left": state.get("left", 3) - 1}

    builder = StateGraph(State).add_node(work).add_edge(START, "work")
    builder.add_conditional_edges("work", lambda state: "work" if state["left"] else END)
    nodes = {"work": NodeGuard(gates=[is_good("a")], policy=policy)}
    store = MemoryStore()
    with Tracer(store) as tracer:
        app = guard(builder, nodes, mode=mode, tracer=tracer).compile()
        for _ in range(runs):
            hard = chance.random() < 0.2
            try:
                app.invoke({})
            except CoordgateError:
                continue
    return audit(store)


def test_a_real_loop_says_that_its_gap_cannot_be_told() -> None:
    """Stopped by its failures it does not say that no gap is shown; observed it shows the gap."""
    stopped, observed = looping(150, "enforce"), looping(150, "observe")
    assert stopped.compared.decided == "tied"
    assert stopped.gap == Interval(None, -1.0, 1.0)
    assert "none is shown" not in markdown(stopped)
    assert observed.compared.decided == "above"
    assert observed.gap.estimate is not None
    assert observed.gap.estimate < -0.1


def test_a_failure_at_the_end_of_a_run_tells_no_more() -> None:
    """A last node that survives its failures adds nothing that was tried after one."""
    chance = random.Random(4)  # noqa: S311 - a simulation
    builder = StateGraph(State)
    for name in ("first", "last"):
        builder.add_node(name, lambda state: {"a": GOOD if chance.random() < 0.7 else BAD})
    builder.add_edge(START, "first").add_edge("first", "last")
    stated = Policy(Degrade({"a": "stated"}))
    nodes = {
        "first": NodeGuard(gates=[is_good("a")]),
        "last": NodeGuard(gates=[is_good("a")], policy=stated),
    }
    store = MemoryStore()
    with Tracer(store) as tracer:
        app = guard(builder, nodes, tracer=tracer).compile()
        for _ in range(60):
            try:
                app.invoke({})
            except CoordgateError:
                continue
    report = audit(store)
    assert report.compared.decided == "tied"
    assert "after a failure nothing else was tried" in markdown(report)


def test_losses_are_shown_where_failures_stop_runs() -> None:
    """What is lost though every hand-over passed is a gap that stopping does not hide."""
    runs = [
        ([1, 1], [1, 1], [1, 1], 1, 1, 140),
        ([1, 1], [1, 1], [1, 1], 0, 1, 40),
        ([1, 0], [0, 0], [0, 0], 0, 0, 20),
    ]
    columns = [np.asarray(each, np.float64) for each in zip(*runs, strict=True)]
    found = compare(Sample(*columns), unseen=True)
    assert not found.tied
    assert found.gap.low > 0.1
