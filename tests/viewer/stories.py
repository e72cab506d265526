"""Stores that real guarded graphs have written, for the viewer to show."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TypedDict

from langgraph.graph import END, START, StateGraph

from coordgate import Degrade, Feedback, NodeGuard, Policy, Retry, Tracer, gate, guard
from coordgate.errors import CoordgateError


class Brief(TypedDict, total=False):
    """What the nodes hand over."""

    topic: str
    pages: list[str]
    draft: str
    answer: str


@gate
def cites(output: Brief) -> bool:
    """Pass a draft that names its source."""
    return "[1]" in output.get("draft", "")


@gate
def short(output: Brief) -> bool:
    """Pass an answer that is not too long."""
    return len(output.get("answer", "")) < 10_000


def retrieve(state: Brief) -> Brief:
    """Find pages."""
    return {"pages": [f"about {state['topic']}"]}


def draft(state: Brief, feedback: Feedback | None = None) -> Brief:
    """Write a draft, which cites at the second attempt only, and never of hopeless topics."""
    cited = feedback is not None and "hopeless" not in state["topic"]
    return {"draft": f"{state['topic']} is so{' [1]' if cited else ''}"}


def answer(state: Brief) -> Brief:
    """Answer with the draft; raise for a topic that is said to break it."""
    if "broken" in state["topic"]:
        raise ValueError(f"cannot answer {state['topic']}")
    return {"answer": state["draft"]}


def write_store(path: Path, *topics: str, name: str = "brief") -> Path:
    """Run a guarded graph once for each topic, one after the other; return the store's path.

    Each draft is rejected once, then accepted; of a `hopeless` topic it is degraded; a `broken`
    topic fails in its last node.
    """
    builder = StateGraph(Brief)
    builder.add_node(retrieve)
    builder.add_node(draft)
    builder.add_node(answer)
    builder.add_edge(START, "retrieve")
    builder.add_edge("retrieve", "draft")
    builder.add_edge("draft", "answer")
    builder.add_edge("answer", END)
    guards = {
        "draft": NodeGuard(
            gates=[cites], policy=Policy(Retry(1), Degrade({"draft": "no draft [1]"}))
        ),
        "answer": NodeGuard(gates=[short]),
    }
    with Tracer(path) as tracer:
        app = guard(builder, guards, tracer=tracer).compile(name=name)
        for topic in topics or ("herons",):
            with contextlib.suppress(ValueError, CoordgateError):
                app.invoke({"topic": topic}, {"configurable": {"thread_id": f"about {topic}"}})
    return path
