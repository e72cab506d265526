"""Shared objects: what a gate, an attempt or a caller changes in place reaches nobody else."""

import asyncio
from typing import Any, TypedDict

import pytest
from langgraph.graph import START, StateGraph

from coordgate import Contract, Degrade, Feedback, NodeGuard, Policy, Retry, guard
from coordgate.testing import scripted

both = pytest.mark.parametrize("how", ["sync", "async"])


class State(TypedDict, total=False):
    """The state of the graphs here."""

    draft: str
    items: list[str]


def run(node: Any, spec: NodeGuard, how: str, given: Any = None) -> Any:
    """Run a guarded graph of one node, sync or async."""
    builder = StateGraph(State)
    builder.add_node("write", node)
    builder.add_edge(START, "write")
    app = guard(builder, {"write": spec}).compile()
    given = {} if given is None else given
    return app.invoke(given) if how == "sync" else asyncio.run(app.ainvoke(given))


@both
@pytest.mark.parametrize("declared", [None, {"draft": str}])
def test_a_gate_cannot_change_what_ships(how: str, declared: Any) -> None:
    """A gate judges; a key that it sets or takes away in the dict it is given ships as it was."""

    def meddling(output: Any) -> bool:
        output["draft"] = 3
        output["typo"] = 4
        return True

    spec = NodeGuard(Contract(returns=declared) if declared else None, gates=[meddling])
    assert run(scripted({"draft": "x"}), spec, how) == {"draft": "x"}


@both
def test_a_rejected_attempt_leaves_nothing_in_the_state(how: str) -> None:
    """What a rejected attempt appended to a list of its state is not in the state afterwards."""

    def meddling(state: State) -> State:
        state["items"].append("bad")
        return {"items": state["items"], "draft": "bad"}

    spec = NodeGuard(
        gates=[lambda output: False], policy=Policy(Retry(1), Degrade({"draft": "sorry"}))
    )
    result = run(meddling, spec, how, {"items": ["good"]})
    assert result == {"draft": "sorry", "items": ["good"]}


@both
def test_each_attempt_is_handed_the_state_as_it_was(how: str) -> None:
    """A retried node does not find what its rejected attempt had put into its state."""
    seen: list[Any] = []

    def meddling(state: State, feedback: Feedback | None = None) -> State:
        seen.append({key: list(value) for key, value in state.items()})
        state["items"].append("more")
        return {"draft": "good" if feedback else "bad"}

    spec = NodeGuard(gates=[lambda output: output["draft"] == "good"], policy=Policy(Retry(1)))
    run(meddling, spec, how, {"items": ["one"]})
    assert seen == [{"items": ["one"]}, {"items": ["one"]}]


@both
def test_a_rejected_output_given_as_feedback_can_be_mended_in_place(how: str) -> None:
    """A node may build its next hand-over from the rejected one."""

    def mend(state: State, feedback: Feedback | None = None) -> State:
        if feedback is None:
            return {"items": ["one"]}
        return {"items": [*feedback.rejected["items"], "two"]}

    spec = NodeGuard(gates=[lambda output: len(output["items"]) > 1], policy=Policy(Retry(1)))
    assert run(mend, spec, how) == {"items": ["one", "two"]}
