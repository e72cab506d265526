"""Faults: how often they strike, the same way for one seed, under any guard."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from random import Random
from typing import Any

import pytest
from faulty import RIGHT, Fan, State, draft, graph, publish, run
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.types import RetryPolicy, Send

from coordgate import (
    ConfigurationError,
    ContractViolation,
    GateRejected,
    NodeGuard,
    Policy,
    Retry,
    gated,
    guard,
)
from coordgate.gates import check
from coordgate.testing import RecordingTracer
from coordgate.testing.faults import (
    Burst,
    Delay,
    DropKey,
    Empty,
    Injection,
    Malformed,
    Raises,
    WrongValue,
    with_faults,
)

RATES = {"draft": [WrongValue(0.3, "lies", "draft"), DropKey(0.2, "count")]}


def outcomes(app: Any, runs: int = 40) -> list[Any]:
    """Return what the first runs of a graph end in."""
    return [run(app) for _ in range(runs)]


def test_one_seed_gives_the_same_faults() -> None:
    """The same seed gives the same faults in the same runs, another seed others."""
    first, again, other = (
        outcomes(with_faults(graph(draft), RATES, seed=seed).compile()) for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other
    assert RIGHT in first


def test_the_order_of_runs_does_not_matter_when_they_are_named() -> None:
    """Named runs have their faults at whatever time, in whatever thread and order."""
    app = with_faults(graph(draft), RATES, seed=1).compile()
    in_order = [run(app, name) for name in range(40)]
    with ThreadPoolExecutor(8) as pool:
        at_once = list(pool.map(lambda name: run(app, name), reversed(range(40))))
    assert at_once[::-1] == in_order


def test_parallel_tasks_of_one_node_have_faults_of_their_own() -> None:
    """Each task that is sent to a node draws by its own place, whichever runs first."""

    def look(place: Any) -> Fan:
        return {"found": [str(place)]}

    builder: Any = StateGraph(Fan)
    builder.add_node(look)
    builder.add_conditional_edges(START, lambda _: [Send("look", n) for n in range(30)])
    app = with_faults(builder, {"look": [WrongValue(0.5, ["no"])]}, seed=1).compile()
    one, again = (app.invoke({}, {"configurable": {"seed": 1}})["found"] for _ in range(2))
    assert one == again
    assert 5 < one.count("no") < 25


def test_faults_strike_at_their_rates() -> None:
    """Over many runs each fault strikes as often as it says, each by itself."""
    log: list[Injection] = []
    app = with_faults(graph(draft), RATES, seed=3, log=log).compile()
    outcomes(app, 1000)
    struck = Counter(each.fault.partition("(")[0] for each in log)
    assert 250 <= struck["WrongValue"] <= 350
    assert 160 <= struck["DropKey"] <= 240
    by_run = Counter(each.run for each in log)
    both = sum(1 for count in by_run.values() if count == 2)
    assert 35 <= both <= 85  # 0.3 * 0.2 of 1000


def test_the_log_says_what_struck() -> None:
    """Each fault that struck is told with its run, node, step and attempt."""
    log: list[Injection] = []
    app = with_faults(graph(draft), {"draft": [DropKey(1, "count")]}, seed=1, log=log).compile()
    run(app, 9)
    assert log == [Injection("9", "draft", 1, 1, "DropKey(rate=1, key='count')")]


def test_a_retried_node_draws_anew() -> None:
    """Each attempt draws by itself, so that a repeat can go right."""
    log: list[Injection] = []
    faulty = with_faults(graph(draft), {"draft": [DropKey(0.5, "draft")]}, seed=1, log=log)
    has_draft = check(lambda output: "draft" in output, "no draft")
    app = guard(faulty, {"draft": NodeGuard(gates=[has_draft], policy=Policy(Retry(9)))}).compile()
    assert all(result == RIGHT for result in outcomes(app))
    assert {each.attempt for each in log} >= {1, 2, 3}


def test_langgraphs_own_retries_draw_anew() -> None:
    """A repeat by LangGraph's own policy draws by itself too."""
    builder = StateGraph(State)
    builder.add_node(
        "draft", draft, retry_policy=RetryPolicy(max_attempts=9, initial_interval=0, jitter=False)
    )
    builder.add_edge(START, "draft")
    app = with_faults(builder, {"draft": [Raises(0.5)]}, seed=1).compile()
    assert all(result == RIGHT for result in outcomes(app, 20))


@gated(gates=[check(lambda output: output["draft"] != "lies", "it lies")], policy=Policy(Retry(9)))
def careful(state: State) -> State:
    """Write, behind a gate."""
    return {"draft": "truth"}


LIES = {"careful": [WrongValue(0.5, "lies", "draft")]}


@pytest.mark.parametrize(
    "made",
    [
        lambda t: guard(with_faults(graph(careful), LIES, seed=1), tracer=t).compile(),
        lambda t: with_faults(guard(graph(careful), tracer=t), LIES, seed=1).compile(),
        lambda t: guard(with_faults(graph(careful).compile(), LIES, seed=1), tracer=t),
        lambda t: with_faults(guard(graph(careful).compile(), tracer=t), LIES, seed=1),
        lambda t: guard(with_faults(guard(graph(careful), tracer=t), LIES, seed=1)).compile(),
    ],
    ids=["builder inside", "builder outside", "graph inside", "graph outside", "guarded twice"],
)
@pytest.mark.parametrize("asynchronous", [False, True])
def test_the_guard_stands_around_the_faults(made: Any, asynchronous: bool) -> None:
    """Guarded before or after, as a builder or compiled, the gates see what went wrong."""
    tracer = RecordingTracer()
    app = made(tracer)
    for name in range(20):
        assert run(app, name, asynchronous=asynchronous)["draft"] == "truth"
    assert len(tracer.runs) == 20
    assert 10 <= sum(a.outcome == "rejected" for a in tracer.attempts("careful")) <= 40


def test_the_original_is_left_alone() -> None:
    """Neither the builder nor the compiled graph that was given goes wrong."""
    builder = graph(draft)
    compiled = builder.compile()
    always = {"draft": [Empty(1)]}
    kinds = [
        type(with_faults(builder, always, seed=1)),
        type(with_faults(compiled, always, seed=1)),
    ]
    assert [kind.__name__ for kind in kinds] == ["StateGraph", "CompiledStateGraph"]
    assert run(builder.compile()) == run(compiled) == RIGHT


def test_faults_can_be_laid_over_faults() -> None:
    """Faults given the second time come on top."""
    once = with_faults(graph(draft), {"draft": [Empty(1, "draft")]}, seed=1)
    twice = with_faults(once, {"draft": [DropKey(1, "count")]}, seed=1).compile()
    assert run(twice) == {"topic": "owls", "draft": ""}


def test_a_node_inside_a_subgraph_goes_wrong() -> None:
    """It is named by its path, and its guard stands around the faults there too."""
    outer: Any = StateGraph(State)
    outer.add_node("team", graph(draft, publish).compile())
    outer.add_edge(START, "team")
    faults = {"team|draft": [WrongValue(1, "lies", "draft")]}
    assert run(with_faults(outer, faults, seed=1).compile())["topic"] == "lies"
    honest = NodeGuard(gates=[check(lambda output: output["draft"] != "lies", "it lies")])
    for app in (
        guard(with_faults(outer, faults, seed=1), {"team|draft": honest}).compile(),
        with_faults(guard(outer, {"team|draft": honest}), faults, seed=1).compile(),
    ):
        with pytest.raises(GateRejected, match="it lies"):
            run(app)
    assert run(outer.compile())["topic"] == "all about owls"
    inside = dict(with_faults(outer, faults, seed=1).compile().get_subgraphs())["team"]
    assert run(inside)["topic"] == "lies"


def test_a_burst_strikes_whole_runs_together() -> None:
    """In a struck run every node of the burst goes wrong, on every attempt; elsewhere none."""
    log: list[Injection] = []
    burst = [Burst(0.2, [WrongValue(1, "lies")])]
    builder = graph(draft, publish)
    app = with_faults(builder, {"draft": burst, "publish": burst}, seed=1, log=log).compile()
    outcomes(app, 500)
    struck = Counter(each.run for each in log)
    assert set(struck.values()) == {2}
    assert 70 <= len(struck) <= 130


def test_a_burst_can_last_several_runs() -> None:
    """With `runs` the struck runs come in rows."""
    log: list[Injection] = []
    outage = [Burst(0.02, [Empty(1)], runs=5)]
    app = with_faults(graph(draft), {"draft": outage}, seed=1, log=log).compile()
    outcomes(app, 400)
    struck = {int(each.run) for each in log}
    starts = [n for n in struck if n - 1 not in struck and n > 0]
    assert starts
    assert all({n, n + 1, n + 2, n + 3, n + 4} & set(range(400)) <= struck for n in starts)


def test_runs_are_named_by_their_thread() -> None:
    """Without a seed of its own a run is named by its thread."""
    log: list[Injection] = []
    app = with_faults(graph(draft), {"draft": [Empty(1, "draft")]}, seed=1, log=log)
    compiled = app.compile(checkpointer=InMemorySaver())
    compiled.invoke({"topic": "owls"}, {"configurable": {"thread_id": "t-1"}})
    assert [each.run for each in log] == ["t-1"]


@dataclass(frozen=True)
class Shouting:
    """A fault of one's own."""

    rate: float

    def spoil(self, output: Any, chance: Random) -> Any:
        """Shout."""
        return {**output, "draft": output["draft"].upper()}


def test_a_fault_of_ones_own() -> None:
    """Anything with a rate and a `spoil` is a fault."""
    app = with_faults(graph(draft), {"draft": [Shouting(1)]}, seed=1).compile()
    assert run(app)["draft"] == "ALL ABOUT OWLS"


def test_a_contract_sees_what_is_malformed() -> None:
    """The form of a malformed value breaks the state's own annotation."""
    faulty = with_faults(graph(draft), {"draft": [Malformed(1, "count")]}, seed=1)
    with pytest.raises(ContractViolation, match="count"):
        run(guard(faulty).compile())


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: with_faults(graph(draft).compile(), {"drat": []}, seed=1), "mean 'draft'"),
        (lambda: with_faults(graph(draft), {"drat": []}, seed=1).compile(), "mean 'draft'"),
        (lambda: with_faults(draft, {}, seed=1), "function is no graph"),
        (lambda: with_faults(graph(draft), {"draft": [Empty]}, seed=1), "which is no fault"),  # type: ignore[list-item]
        (lambda: with_faults(graph(draft), {"draft": Empty(1)}, seed=1), "give a list of faults"),  # type: ignore[dict-item]
        (lambda: with_faults(graph(draft), [Empty(1)], seed=1), "faults for each node"),  # type: ignore[arg-type]
        (lambda: Empty("0.5"), "the rate is a share"),  # type: ignore[arg-type]
        (lambda: Raises(0.5, "down"), "give an exception's class"),  # type: ignore[arg-type]
        (lambda: Delay(0.5, -1), "give seconds, from 0"),
        (lambda: Burst(0.5, Empty(1)), "give faults that are no bursts"),  # type: ignore[arg-type]
        (lambda: Empty(2), r"Empty\(2\): the rate is a share"),
        (lambda: Burst(0.5, []), "give faults that are no bursts"),
        (lambda: Burst(0.5, [Burst(0.5, [Empty(1)])]), "give faults that are no bursts"),
        (lambda: Burst(0.5, [Empty(1)], runs=0), "give 1 or more"),
    ],
)
def test_what_cannot_be_meant_is_refused(make: Any, said: str) -> None:
    """A wrong name, rate or fault is an error that says what to do."""
    with pytest.raises(ConfigurationError, match=said):
        make()
