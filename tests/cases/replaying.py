"""Graphs that record into memory and are replayed, and count how often their bodies run."""

from __future__ import annotations

import asyncio
import operator
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, TypedDict

from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from pydantic import BaseModel

from coordgate import (
    CoordgateError,
    NodeGuard,
    Tracer,
    Verdict,
    gate,
    guard,
)
from coordgate.gates import check
from coordgate.past.replay import Replay, replay
from coordgate.stores import MemoryStore


class Brief(BaseModel):
    """A value that is a model."""

    title: str
    at: datetime


class State(TypedDict, total=False):
    """The state of the graphs here."""

    topic: str
    draft: str
    brief: Brief
    found: Annotated[list[str], operator.add]
    pair: tuple[int, int]


class Recorded:
    """A graph that records into memory, and counts how often its bodies run."""

    def __init__(self, build: Callable[[Recorded], Any], nodes: dict[str, NodeGuard]) -> None:
        self.ran: list[str] = []
        self.store = MemoryStore()
        self.tracer = Tracer(self.store)
        self.build = build
        self.nodes = nodes
        self.app: Any = self.made(nodes)

    def made(self, nodes: dict[str, NodeGuard], *, saver: bool = True) -> Any:
        """Return the graph with what is declared on its nodes."""
        builder = self.build(self)
        made = guard(builder, nodes, tracer=self.tracer)
        if isinstance(builder, StateGraph):
            return made.compile(checkpointer=InMemorySaver() if saver else None)
        return made

    def run(self, given: Any, *, asynchronous: bool = False) -> Any:
        """Run it once, whatever comes of it."""
        config: Any = {"configurable": {"thread_id": "1"}}
        try:
            if asynchronous:
                return asyncio.run(self.app.ainvoke(given, config))
            return self.app.invoke(given, config)
        except (CoordgateError, ConnectionError) as error:
            return error

    def transitions(self) -> list[Any]:
        """Return the transitions of the latest run."""
        self.tracer.flush()
        return list(self.store.transitions(next(self.store.runs(limit=1)).id))

    def replayed(
        self, nodes: dict[str, NodeGuard] | None = None, *, app: Any = None, is_async: bool = False
    ) -> Replay:
        """Replay the latest run, with other declarations if given; no body may run."""
        self.tracer.flush()
        latest = next(self.store.runs(limit=1))
        before = list(self.ran)
        app = app or self.made(self.nodes if nodes is None else nodes)
        found = replay(self.store, latest, app, is_async=is_async)
        assert self.ran == before
        return found


def row(*names: str, outputs: dict[str, Any]) -> Callable[[Recorded], Any]:
    """Return what builds a graph of nodes in a row, each with its outputs one after another."""

    def build(recorded: Recorded) -> Any:
        builder: Any = StateGraph(State)
        given = {name: iter(outputs[name]) for name in names}

        def node(name: str) -> Callable[[State], Any]:
            def body(state: State) -> Any:
                recorded.ran.append(name)
                output = next(given[name])
                if isinstance(output, Exception):
                    raise output
                return output

            return body

        builder.add_sequence([(name, node(name)) for name in names]).add_edge(START, names[0])
        return builder

    return build


@gate
def good(output: Any) -> Verdict:
    """Accept a draft that says it is good."""
    return Verdict.accept(1.0) if "good" in output["draft"] else Verdict.reject("not good")


GOOD = check(lambda output: "good" in output.get("draft", ""), "not good", name="good")
