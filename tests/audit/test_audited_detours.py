"""The audit of hand-overs that were rerouted or sent back: they shipped nothing."""

from __future__ import annotations

from typing import Annotated

from langgraph.graph import START, StateGraph
from lines import GOOD, State, handoff, is_good, recorded
from pydantic import Field

from coordgate import Contract, NodeGuard, Policy, Reroute, SendBack
from coordgate.testing import scripted


def test_a_rerouted_hand_over_shipped_nothing_and_went_elsewhere() -> None:
    """A reroute counts against the handoff that was meant, and makes none to where control went."""
    builder = StateGraph(State)
    builder.add_node("make_a", scripted({"a": GOOD}, {"a": "bad"}, {"a": GOOD}, name="a"))
    builder.add_node("make_b", lambda state: {"b": GOOD})
    builder.add_node("other", lambda state: {"c": GOOD})
    builder.add_edge(START, "make_a")
    builder.add_edge("make_a", "make_b")
    rerouted = NodeGuard(gates=[is_good("a")], policy=Policy(Reroute("other")))
    report = recorded(builder, {"make_a": rerouted}, [{}] * 3)
    meant = handoff(report, "make_a", "make_b")
    assert (meant.accepted.n, meant.accepted.successes) == (3, 2)
    assert not [h for h in report.handoffs if (h.producer, h.consumer) == ("make_a", "other")]
    assert report.nodes[0].by_rung["rerouted"].successes == 1
    assert (report.completed.successes, report.accepted.successes) == (3, 2)


def test_an_input_sent_back_counts_against_who_handed_it_over() -> None:
    """The refused hand-over is one that failed; the second one, that was taken, is another."""
    builder = StateGraph(State)
    builder.add_node("make_a", scripted({"a": ""}, {"a": GOOD}, name="a"))
    builder.add_node("make_b", lambda state: {"b": state["a"]})
    builder.add_edge(START, "make_a")
    builder.add_edge("make_a", "make_b")
    back = NodeGuard(
        contract=Contract(accepts={"a": Annotated[str, Field(min_length=1)]}),
        policy=Policy(SendBack(times=1)),
    )
    report = recorded(builder, {"make_b": back}, [{}])
    a, b = report.nodes
    assert (a.accepted.n, a.accepted.successes) == (2, 2)
    assert (b.accepted.n, b.accepted.successes) == (2, 1)
    assert b.by_rung["sent_back"].successes == 1
    handed = handoff(report, "make_a", "make_b")
    assert (handed.accepted.n, handed.accepted.successes) == (2, 1)
    ended = handoff(report, "make_b", "__end__")
    assert (ended.accepted.n, ended.accepted.successes) == (1, 1)
