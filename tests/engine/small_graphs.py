"""Graphs of one node, which the tests of guarding share."""

import asyncio
from typing import Any

import pytest
from langgraph.graph import START, StateGraph
from typing_extensions import TypedDict

from coordgate import gate


class State(TypedDict, total=False):
    """The state of the graphs here."""

    draft: str
    count: int


def write(state: State) -> State:
    """Write a draft."""
    return {"draft": "x"}


@gate
def never(output: State) -> bool:
    """Pass nothing."""
    return False


def graph_of(node: Any = write, **settings: Any) -> StateGraph[Any, Any, Any, Any]:
    """Return a graph of one node."""
    builder = StateGraph(State)
    builder.add_node("write", node, **settings)
    builder.add_edge(START, "write")
    return builder


both = pytest.mark.parametrize("how", ["sync", "async"])


def run(app: Any, how: str = "sync", given: Any = None) -> Any:
    """Run a graph, sync or async."""
    given = {} if given is None else given
    return app.invoke(given) if how == "sync" else asyncio.run(app.ainvoke(given))
