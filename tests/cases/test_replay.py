"""Replay: a recorded run goes the same way again, without its bodies, or it is said where not."""

from __future__ import annotations

from typing import Any

import pytest
from langgraph.graph import START, StateGraph
from langgraph.types import RetryPolicy
from replaying import Recorded, State, good, row

from coordgate import (
    Degrade,
    Fallback,
    NodeGuard,
    Policy,
    Retry,
    guard,
)
from coordgate.past.replay import Replay


def test_a_run_goes_the_same_way_without_its_bodies() -> None:
    """Rejected, raised, repeated, replaced and stated attempts are served one by one."""

    def template(state: State) -> State:
        return {"draft": "good template"}

    def stated(state: State) -> State:
        return {"draft": "no"}

    ladder = Policy(Retry(2, wait=0, jitter=False), Fallback(template))
    nodes = {
        "a": NodeGuard(gates=[good], policy=ladder),
        "b": NodeGuard(gates=[good], policy=Policy(Fallback(stated), Degrade({"draft": "stated"}))),
    }
    outputs = {
        "a": [{"draft": "bad"}, ConnectionError("down"), {"draft": 7}],
        "b": [{"draft": "bad"}],
        "c": [{"topic": "c"}],
    }
    recorded = Recorded(row("a", "b", "c", outputs=outputs), nodes)
    assert recorded.run({"topic": "owls"})["draft"] == "stated"
    assert recorded.replayed() == Replay(recorded.replayed().runs, "same", 3)


def test_a_run_that_failed_fails_again() -> None:
    """What the last attempt raised is raised, and the run ends there."""
    recorded = Recorded(
        row("a", "b", outputs={"a": [{"draft": "good"}], "b": [ConnectionError("down")]}), {}
    )
    recorded.run({})
    found = recorded.replayed()
    assert (found.result, found.transitions) == ("same", 2)


def test_langgraphs_own_repeats_are_served_without_their_waits() -> None:
    """Attempts of a retry policy come one by one, and nobody waits an hour between them."""

    def build(recorded: Recorded) -> Any:
        def flaky(state: State) -> State:
            recorded.ran.append("flaky")
            if len(recorded.ran) < 3:
                raise ConnectionError("down")
            return {"draft": "good"}

        builder: Any = StateGraph(State)
        hours = RetryPolicy(max_attempts=3, initial_interval=0 if not recorded.ran else 3600)
        builder.add_node("flaky", flaky, retry_policy=hours._replace(jitter=False))
        return builder.add_edge(START, "flaky")

    recorded = Recorded(build, {})
    recorded.run({})
    assert recorded.ran == ["flaky"] * 3
    assert recorded.replayed().result == "same"


@pytest.mark.parametrize(
    ("change", "what", "recorded_says", "now_says"),
    [
        (
            {"a": NodeGuard(gates=[good])},
            "attempts",
            "1 first accepted",
            "1 first rejected (good rejected)",
        ),
        (
            {"a": NodeGuard(gates=[good], policy=Policy(Degrade({"draft": "x"})))},
            "attempts",
            "1 first accepted",
            "1 first rejected (good rejected); 2 degrade accepted",
        ),
    ],
)
def test_another_gate_makes_it_diverge(
    change: dict[str, NodeGuard], what: str, recorded_says: str, now_says: str
) -> None:
    """The first transition that differs is told, with what the record says and what happens now."""
    outputs = {"a": [{"draft": "bad"}], "b": [{"topic": "b"}]}
    recorded = Recorded(row("a", "b", outputs=outputs), {})
    recorded.run({})
    found = recorded.replayed(change)
    assert found.result == "diverged"
    assert found.divergence is not None
    assert (found.divergence.transition, found.divergence.node) == (1, "a")
    assert found.divergence.what == what
    assert (found.divergence.recorded, found.divergence.now) == (recorded_says, now_says)


def test_a_run_is_replayed_in_the_mode_of_its_record() -> None:
    """What was only observed ships again, though the graph enforces now."""
    outputs = {"a": [{"draft": "bad"}], "b": [{"topic": "b"}]}
    nodes = {"a": NodeGuard(gates=[good], policy=Policy(Retry(1)))}
    recorded = Recorded(row("a", "b", outputs=outputs), nodes)
    recorded.app = guard(recorded.app, mode="observe")
    recorded.run({})
    assert [each.status for each in recorded.transitions()] == ["observed", "accepted"]
    found = recorded.replayed()
    assert (found.divergence, found.result, found.transitions) == (None, "same", 2)


def test_a_further_attempt_makes_it_diverge() -> None:
    """An attempt that the record does not have cannot be served; the replay ends there."""
    recorded = Recorded(row("a", outputs={"a": [{"draft": "bad"}]}), {})
    recorded.run({})
    found = recorded.replayed({"a": NodeGuard(gates=[good], policy=Policy(Retry(1)))})
    assert found.result == "diverged"
    assert found.divergence is not None
    assert found.divergence.recorded == "1 first accepted"
    assert found.divergence.now == (
        "1 first rejected (good rejected); 2 retry, which is not recorded"
    )


@pytest.mark.parametrize("names", [("b", "a"), ("a", "c", "b"), ("a",)])
def test_other_edges_make_it_diverge(names: tuple[str, ...]) -> None:
    """A node that comes at another step, one that is new, and one that is gone."""
    outputs = {name: [{"draft": name}] for name in "abc"}
    recorded = Recorded(row("a", "b", outputs=outputs), {})
    recorded.run({})
    recorded.build = row(*names, outputs=outputs)
    found = recorded.replayed()
    assert found.result == "diverged"
    assert found.divergence is not None


def test_a_router_that_goes_elsewhere_makes_it_diverge() -> None:
    """Routers are real: where control goes now is held against where it went."""
    ways = iter(["left", "right"])

    def build(recorded: Recorded) -> Any:
        def start(state: State) -> State:
            recorded.ran.append("start")
            return {"draft": "x"}

        def end(state: State) -> State:
            recorded.ran.append("end")
            return {}

        way = next(ways)
        builder: Any = StateGraph(State)
        builder.add_node(start).add_node("left", end).add_node("right", end)
        builder.add_conditional_edges("start", lambda _: way, ["left", "right"])
        return builder.add_edge(START, "start")

    recorded = Recorded(build, {})
    recorded.run({})
    found = recorded.replayed()
    assert found.divergence is not None
    assert (found.divergence.node, found.divergence.what) == ("start", "goto")
    assert (found.divergence.recorded, found.divergence.now) == ("left", "right")


def test_what_broke_the_contract_breaks_it_again() -> None:
    """A list in the place of a tuple is served as the list that it was, and refused again."""
    outputs = {"a": [{"pair": [1, 2]}, {"pair": (1, 2)}]}
    recorded = Recorded(row("a", outputs=outputs), {"a": NodeGuard(policy=Policy(Retry(1)))})
    recorded.run({})
    assert [a.outcome for t in recorded.transitions() for a in t.attempts] == [
        "violated",
        "accepted",
    ]
    assert recorded.replayed().result == "same"
