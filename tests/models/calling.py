"""Graphs of one node that calls a model, and what their attempts spent."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
from langchain_openai import ChatOpenAI
from langgraph.graph import START, StateGraph
from typing_extensions import TypedDict

from coordgate import NodeGuard, guard
from coordgate.prices import Prices
from coordgate.testing import RecordingTracer
from coordgate.tracer import Attempt

Chat = Callable[..., ChatOpenAI]

ALONE = httpx.Limits(max_keepalive_connections=0)
"""No connection is kept: one of an event loop that has ended could not be closed."""

PRICES = Prices({"small": {"input": 1.0, "output": 4.0}})
"""Figures for tests: no vendor's."""


ASKED = "Why is the street wet?"


class State(TypedDict, total=False):
    """What the nodes share."""

    question: str
    draft: str


def one_node(node: Any, **options: Any) -> Any:
    """Return a graph of one node, `write`."""
    return StateGraph(State).add_node("write", node, **options).add_edge(START, "write").compile()


def attempts_of(
    node: Any, guarded: NodeGuard | None = None, *, asynchronous: bool = False
) -> list[Attempt]:
    """Run a node, or a graph whose node is called `write`; return its attempts.

    What the node raises by design, a RuntimeError, ends the run and not the test.
    """
    tracer = RecordingTracer()
    graph = node if hasattr(node, "nodes") else one_node(node)
    app = guard(graph, {"write": guarded} if guarded else None, tracer=tracer, prices=PRICES)
    try:
        if asynchronous:
            asyncio.run(app.ainvoke({"question": ASKED}))
        else:
            app.invoke({"question": ASKED})
    except RuntimeError:
        pass
    return tracer.attempts("write")


def invoked(model: Any) -> Any:
    """Return a node that calls the model."""
    return lambda _: {"draft": model.invoke(ASKED).text}


def streamed(model: Any) -> Any:
    """Return a node that reads the model's stream."""
    return lambda _: {"draft": "".join(chunk.text for chunk in model.stream(ASKED))}


def batched(model: Any) -> Any:
    """Return a node that asks with a batch."""
    return lambda _: {"draft": model.batch([ASKED])[0].text}


def invoked_async(model: Any) -> Any:
    """Return an async node that calls the model."""

    async def node(_: State) -> State:
        return {"draft": (await model.ainvoke(ASKED)).text}

    return node


def streamed_async(model: Any) -> Any:
    """Return an async node that reads the model's stream."""

    async def node(_: State) -> State:
        return {"draft": "".join([chunk.text async for chunk in model.astream(ASKED)])}

    return node
