"""Flows: the state, the nodes and the ways of running a graph that the tests of rerouting share."""

import asyncio
import operator
from collections.abc import Callable
from typing import Annotated, Any

import pytest
from langgraph.graph import START, StateGraph
from typing_extensions import TypedDict

from coordgate import Feedback, Verdict, feedback, gate
from coordgate.testing import RecordingTracer

both = pytest.mark.parametrize("how", ["sync", "async"])


class State(TypedDict, total=False):
    """What the nodes hand over, who ran, and what they were told."""

    facts: str
    draft: str
    ran: Annotated[list[str], operator.add]
    told: Annotated[list[str], operator.add]


@gate
def good(output: Any) -> Verdict:
    """Pass a draft that is good."""
    return Verdict.accept() if output["draft"] == "good" else Verdict.reject("is not good")


def bad(name: str) -> Callable[[State], dict[str, Any]]:
    """Return a node whose draft no gate passes."""

    def node(state: State) -> dict[str, Any]:
        return {"draft": "bad", "ran": [name]}

    return node


def step(name: str) -> Callable[[State], dict[str, Any]]:
    """Return a node that says that it ran, and what it was told."""

    def node(state: State) -> dict[str, Any]:
        told = feedback()
        return {"ran": [name], "told": [] if told is None else [f"{name}: {said(told)}"]}

    return node


def said(told: Feedback) -> str:
    """Return what a node was told, and by whom."""
    return f"{' and '.join(told.reasons)} ({', '.join(told.by)})"


def graph(*nodes: str, **functions: Callable[..., Any]) -> StateGraph[Any]:
    """Return a graph of nodes that say that they ran, or do as given; the first one is entered."""
    builder = StateGraph(State)
    for name in nodes:
        builder.add_node(name, functions.get(name, step(name)))
    return builder.add_edge(START, nodes[0])


def run(app: Any, how: str, given: Any = (), config: Any = None, **kwargs: Any) -> Any:
    """Run a graph to its end or its next pause, sync or async."""
    given = {} if given == () else given
    if how == "sync":
        return app.invoke(given, config, **kwargs)
    return asyncio.run(app.ainvoke(given, config, **kwargs))


def ends(tracer: RecordingTracer) -> list[tuple[str, str, tuple[str, ...]]]:
    """Return each transition's node, how it ended, and where control went."""
    return [(each.node, each.status, each.goto) for each in tracer.transitions]


def thread(name: str = "1") -> Any:
    """Return the config of a thread."""
    return {"configurable": {"thread_id": name}}
