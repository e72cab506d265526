"""Nodes that call another graph, and updates by hand inside a subgraph."""

from __future__ import annotations

from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.types import interrupt
from typing_extensions import TypedDict

from coordgate import ContractViolation, gated, guard
from coordgate.gates import not_empty


class State(TypedDict, total=False):
    """The outer state."""

    a: int


class Inner(TypedDict, total=False):
    """The state of the graph that is called, with a key of its own."""

    a: int
    private: str


INNER = (
    StateGraph(Inner)
    .add_node("work", lambda _: {"a": 1, "private": "x"})
    .add_edge(START, "work")
    .compile()
)


class Agent:
    """An agent class as they are often written."""

    def __init__(self, graph: Any = INNER) -> None:
        """Keep the graph."""
        self.graph = graph
        self.calls = 0

    def run(self, state: State) -> Any:
        """Call it directly."""
        return self.graph.invoke(state)

    def delegate(self, state: State) -> Any:
        """Call it by way of another method."""
        return self.run(state)

    def count(self, _: State) -> Any:
        """Call nothing; hand over what is no key."""
        self.calls += 1
        return {"private": "x"}

    __call__ = run


def helper(state: State) -> Any:
    """Call the graph for a node."""
    return INNER.invoke(state)


def by_helper(state: State) -> Any:
    """Call the graph by way of a function."""
    return helper(state)


@gated(gates=[not_empty("private")])
def decorated(state: State) -> Any:
    """Call the graph by way of a function, decorated."""
    return helper(state)


def graph_of(node: Any) -> StateGraph[State]:
    """Return a graph of one node."""
    return StateGraph(State).add_node("n", node).add_edge(START, "n")


@pytest.mark.parametrize(
    "node", [Agent().run, Agent().delegate, Agent(), by_helper, decorated, lambda s: helper(s)]
)
def test_what_a_called_graph_keeps_to_itself_is_no_violation(node: Any) -> None:
    """LangGraph drops a subgraph's private keys on purpose, however the graph is called."""
    assert guard(graph_of(node)).compile().invoke({}) == {"a": 1}


def test_a_node_beside_them_is_held_to_the_state() -> None:
    """That its object has a graph says nothing of a method that does not use it."""
    with pytest.raises(ContractViolation, match="private: is not a key of the state"):
        guard(graph_of(Agent().count)).compile().invoke({})


def test_an_update_by_hand_inside_a_subgraph_is_checked() -> None:
    """The graph that `get_state` finds behind a node is the guarded one."""

    def ask(_: State) -> dict[str, Any]:
        return {"a": interrupt("how many?")}

    inner = StateGraph(State).add_node("ask", ask).add_edge(START, "ask").compile()
    app = guard(StateGraph(State).add_node("sub", inner).add_edge(START, "sub"))
    compiled = app.compile(checkpointer=InMemorySaver())
    thread: Any = {"configurable": {"thread_id": "1"}}
    compiled.invoke({"a": 1}, thread)
    inside: Any = compiled.get_state(thread, subgraphs=True).tasks[0].state
    with pytest.raises(ContractViolation, match="a: must be int"):
        compiled.update_state(inside.config, {"a": "many"}, as_node="ask")
    compiled.update_state(inside.config, {"a": 2}, as_node="ask")
    assert compiled.invoke(None, thread)["a"] == 2
