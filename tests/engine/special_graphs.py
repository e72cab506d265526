"""Graphs with nodes of every kind, which the tests of special nodes share."""

import asyncio
import operator
from typing import Annotated, Any, TypedDict

import pytest
from langgraph.graph import START, StateGraph
from langgraph.types import Send

from coordgate import gate


class State(TypedDict, total=False):
    """The state of the graphs here."""

    topics: list[str]
    topic: str
    draft: str
    drafts: Annotated[list[str], operator.add]


class Draft(TypedDict, total=False):
    """The state of graphs that write one draft."""

    topic: str
    draft: str


def check_drafts(word: str) -> Any:
    """Return a gate for drafts that say a word."""

    @gate(name=f"says {word}")
    def says(output: State) -> bool:
        return all(word in draft for draft in output["drafts"])

    return says


def map_reduce(write: Any) -> StateGraph[Any, Any, Any, Any]:
    """Return a graph that sends topics to one node and joins what it writes."""
    builder = StateGraph(State)
    builder.add_node("plan", lambda state: {"topic": "all"})
    builder.add_node("write", write)
    builder.add_node("join", lambda state: {"draft": " ".join(sorted(state["drafts"]))})
    builder.add_edge(START, "plan")
    builder.add_conditional_edges(
        "plan", lambda state: [Send("write", {"topic": t}) for t in state["topics"]], ["write"]
    )
    builder.add_edge("write", "join")
    return builder


def run(app: Any, how: str, given: Any, config: Any = None) -> Any:
    """Run a graph, sync or async."""
    if how == "sync":
        return app.invoke(given, config)
    return asyncio.run(app.ainvoke(given, config))


both = pytest.mark.parametrize("how", ["sync", "async"])
