"""Runs of real guarded graphs that go every way: retried, rerouted, asked, degraded, nested."""

from __future__ import annotations

import contextlib
import operator
from pathlib import Path
from typing import Annotated, Any, TypedDict

from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, Send

from coordgate import (
    Degrade,
    Escalate,
    Fallback,
    NodeGuard,
    Policy,
    Reroute,
    Retry,
    Tracer,
    Verdict,
    gate,
    guard,
)
from coordgate.errors import CoordgateError


class Report(TypedDict, total=False):
    """What the nodes hand over."""

    topic: str
    rounds: int
    found: Annotated[list[str], operator.add]
    draft: str
    title: str
    summary: str
    sent: str


@gate
def cites(output: Report) -> Verdict:
    """Pass a draft that names its source."""
    if "[1]" in output.get("draft", ""):
        return Verdict.accept(1.0)
    return Verdict.reject("no sentence cites a source", 0.25)


@gate
def never(output: Report) -> bool:
    """Pass nothing."""
    return False


def plan(state: Report) -> Report:
    """Begin another round."""
    return {"rounds": state.get("rounds", 0) + 1}


def spread(state: Report) -> list[Send]:
    """Search three places at once."""
    return [Send("search", {"topic": f"{state['topic']} {place}"}) for place in ("a", "b", "c")]


def search(state: Report) -> Report:
    """Find something."""
    return {"found": [f"about {state['topic']}"]}


def title(state: Report) -> Report:
    """Name the report."""
    return {"title": f"On {state['topic']}"}


def summary(state: Report) -> Report:
    """Sum it up."""
    return {"summary": "They wait."}


class Drafts:
    """Writes drafts, of which every second one cites."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, state: Report) -> Report:
        """Write one."""
        self.count += 1
        if self.count % 2:
            return {"draft": "Herons stand still.\nThey wait for fish."}
        return {"draft": "Herons stand still [1].\nThey wait for fish."}


def again(state: Report) -> str:
    """Go round twice, and then on."""
    return "plan" if state["rounds"] < 2 else "send"


def send(state: Report) -> Report:
    """Send it off."""
    return {"sent": state["title"]}


def review(state: Report) -> Report:
    """Look at what was turned away."""
    return {"sent": "reviewed"}


def report_builder() -> StateGraph[Any, Any, Any, Any]:
    """Return a graph with a fan-out, a subgraph, a loop, and a node that is not reached."""
    inner = StateGraph(Report)
    inner.add_node(title)
    inner.add_node(summary)
    inner.add_edge(START, "title")
    inner.add_edge("title", "summary")
    builder = StateGraph(Report)
    builder.add_node(plan)
    builder.add_node(search)
    builder.add_node("draft", Drafts())
    builder.add_node("edit", inner.compile())
    builder.add_node(send)
    builder.add_node(review)
    builder.add_edge(START, "plan")
    builder.add_conditional_edges("plan", spread, ["search"])
    builder.add_edge("search", "draft")
    builder.add_edge("draft", "edit")
    builder.add_conditional_edges("edit", again, ["plan", "send", "review"])
    builder.add_edge("send", END)
    builder.add_edge("review", END)
    return builder


def report(path: Path) -> Any:
    """Run the whole graph once, recorded in a store; return the guarded graph."""
    with Tracer(path) as tracer:
        guards = {
            "draft": NodeGuard(gates=[cites], policy=Policy(Retry(1))),
            "edit|summary": NodeGuard(
                gates=[never],
                policy=Policy(Fallback(shortened, name="short"), Degrade({"summary": "-"})),
            ),
        }
        app = guard(report_builder(), guards, tracer=tracer).compile(name="report")
        app.invoke({"topic": "herons"}, {"configurable": {"thread_id": "t1"}})
    return app


def shortened(state: Report) -> Report:
    """Return less."""
    return {"summary": "short"}


def ladders(path: Path) -> None:
    """Run a node under each ladder, one run each: rerouted, asked and edited, waiting, failed."""
    for name, policy in {
        "rerouted": Policy(Reroute("review")),
        "asked": Policy(Escalate("editor")),
        "waiting": Policy(Escalate("editor")),
        "failed": Policy(Retry(1)),
    }.items():
        builder = StateGraph(Report)
        builder.add_node(search)
        builder.add_node(review)
        builder.add_edge(START, "search")
        builder.add_edge("search", END)
        builder.add_edge("review", END)
        with Tracer(path) as tracer:
            guards = {"search": NodeGuard(gates=[never], policy=policy)}
            app = guard(builder, guards, tracer=tracer).compile(
                name=name, checkpointer=InMemorySaver()
            )
            config: Any = {"configurable": {"thread_id": name}}
            with contextlib.suppress(CoordgateError):
                app.invoke({"topic": "herons"}, config)
            if name == "asked":
                answer = {"decision": "approve", "by": "Ada"}
                app.invoke(Command(resume=answer), config)
