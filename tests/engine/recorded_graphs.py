"""Graphs that are recorded, which the tests of the record of a run share."""

import asyncio
import operator
from typing import Annotated, Any, TypedDict

import pytest
from langgraph.graph import START, StateGraph

from coordgate.testing import RecordingTracer


class State(TypedDict, total=False):
    """The state of the graphs here."""

    draft: str
    log: Annotated[list[str], operator.add]


def says(name: str) -> Any:
    """Return a node that logs its name."""

    def node(state: State) -> State:
        return {"log": [name]}

    node.__name__ = name
    return node


def line(*names: str, **nodes: Any) -> StateGraph[Any, Any, Any, Any]:
    """Return a graph of nodes in a row."""
    builder = StateGraph(State)
    for name in names:
        builder.add_node(name, nodes.get(name) or says(name))
    for before, after in zip((START, *names), names, strict=False):
        builder.add_edge(before, after)
    return builder


CONFIG: Any = {"configurable": {"thread_id": "t"}}


both = pytest.mark.parametrize("how", ["sync", "async"])


def run(app: Any, how: str, given: Any = None, config: Any = None, **settings: Any) -> Any:
    """Run a graph, sync or async."""
    given = {} if given is None else given
    if how == "sync":
        return app.invoke(given, config, **settings)
    return asyncio.run(app.ainvoke(given, config, **settings))


def statuses(tracer: RecordingTracer) -> list[str]:
    """Return how the runs ended."""
    return [run_.status for run_ in tracer.runs]
