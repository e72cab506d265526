"""Small graphs that are made to go wrong."""

from __future__ import annotations

import asyncio
import operator
from random import Random
from typing import Annotated, Any, TypedDict

from langgraph.graph import START, StateGraph


class State(TypedDict, total=False):
    """The state of the graphs here."""

    topic: str
    draft: str
    count: int


class Fan(TypedDict, total=False):
    """The state of a fan-out."""

    found: Annotated[list[str], operator.add]


def draft(state: State) -> State:
    """Write."""
    return {"draft": f"all about {state.get('topic', '?')}", "count": 3}


async def adraft(state: State) -> State:
    """Write, async."""
    return draft(state)


def publish(state: State) -> State:
    """Hand on what it got."""
    return {"topic": state.get("draft", "nothing")}


def graph(*nodes: Any) -> StateGraph[State]:
    """Return a builder of nodes in a row."""
    builder: StateGraph[State] = StateGraph(State)
    builder.add_sequence(list(nodes)).add_edge(START, nodes[0].__name__)
    return builder


def run(app: Any, name: int | None = None, *, asynchronous: bool = False) -> Any:
    """Run a graph, under a name if given."""
    config: Any = {} if name is None else {"configurable": {"seed": name}}
    if asynchronous:
        return asyncio.run(app.ainvoke({"topic": "owls"}, config))
    return app.invoke({"topic": "owls"}, config)


def chance(seed: int) -> Random:
    """Return the chance of a seed."""
    return Random(seed)  # noqa: S311 - chance, not secrecy


RIGHT = {"topic": "owls", "draft": "all about owls", "count": 3}
