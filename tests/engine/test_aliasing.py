"""Shared objects: what a gate, an attempt or a caller changes in place reaches nobody else."""

import asyncio
import copy
from typing import Any, get_type_hints

import pytest
from langchain_core.messages import AnyMessage
from langgraph.graph import START, StateGraph
from pydantic import BaseModel
from typing_extensions import TypedDict

from coordgate import Contract, Degrade, Feedback, NodeGuard, Policy, Retry, guard
from coordgate.shield import nested_keys, own_all
from coordgate.statekey import StateKey
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


class Plan(TypedDict, total=False):
    """A part of a state."""

    steps: list[str]


class Nested(TypedDict, total=False):
    """A state whose values hold containers in containers, by their types or perhaps."""

    draft: str
    rows: list[list[str]]
    plan: Plan
    anything: Any
    either: dict[str, list[str]] | None
    pair: tuple[list[str], int]
    flat: list[str]


GIVEN: Any = {
    "rows": [["good"]],
    "plan": {"steps": ["good"]},
    "anything": {"a": [{"b": ["good"]}]},
    "either": {"a": ["good"]},
    "pair": (["good"], 1),
    "flat": ["good"],
}


class Model(BaseModel):
    """The same as a pydantic state."""

    draft: str = ""
    rows: list[list[str]]
    plan: Plan
    anything: Any
    either: dict[str, list[str]] | None
    pair: tuple[list[str], int]
    flat: list[str]


def spoil(state: Any) -> dict[str, str]:
    """Change a state in place, at every depth."""
    held = state if isinstance(state, dict) else vars(state)
    held["rows"][0].append("bad")
    held["plan"]["steps"].append("bad")
    held["anything"]["a"][0]["b"].append("bad")
    held["either"]["a"].append("bad")
    held["pair"][0].append("bad")
    held["flat"].append("bad")
    return {"draft": "bad"}


@both
@pytest.mark.parametrize("schema", [Nested, Model])
def test_a_rejected_attempt_leaves_nothing_deep_in_the_state(schema: Any, how: str) -> None:
    """With a policy, an attempt works on containers of its own, all the way down."""
    builder = StateGraph(schema).add_node("write", spoil).add_edge(START, "write")
    spec = NodeGuard(
        gates=[lambda output: False], policy=Policy(Retry(2), Degrade({"draft": "sorry"}))
    )
    app = guard(builder, {"write": spec}).compile()
    given = copy.deepcopy(GIVEN)
    result = app.invoke(given) if how == "sync" else asyncio.run(app.ainvoke(given))
    assert result == {**GIVEN, "draft": "sorry"}


def test_a_container_that_comes_twice_is_one_in_the_copy_too() -> None:
    """What holds itself, or the same list in two places, is copied once; objects are shared."""
    shared: list[Any] = ["x"]
    thing = object()
    loop: dict[str, Any] = {"one": [shared], "two": [shared], "thing": [thing]}
    loop["self"] = [loop]
    taken = own_all({"a": loop}, ("a",))["a"]
    assert taken["self"][0] is taken
    assert taken["one"][0] is taken["two"][0] is not shared
    assert taken["thing"][0] is thing


def test_only_what_may_nest_is_copied_all_the_way() -> None:
    """A flat state costs nothing more: its types say so when the guard is built."""
    hints = get_type_hints(Nested)
    keys = [StateKey(name, hint) for name, hint in hints.items()]
    assert nested_keys(keys) == ("rows", "plan", "anything", "either", "pair")
    flat: list[Any] = [
        str,
        int | None,
        list[str],
        dict[str, float],
        list[Any],
        dict,
        list[AnyMessage],
    ]
    found = nested_keys(StateKey(str(number), hint) for number, hint in enumerate(flat))
    assert found == ("4", "5")
    assert nested_keys([StateKey("messages", list[Any], "messages")]) == ()
