"""Small graphs of one node on a ladder, which the tests of policies share."""

import asyncio
from typing import Any, TypedDict

import pytest
from langgraph.graph import START, StateGraph

from coordgate import NodeGuard, Policy, Verdict, gate, guard
from coordgate.testing import RecordingTracer

both = pytest.mark.parametrize("how", ["sync", "async"])


AT_ONCE: dict[str, Any] = {"wait": 0.0, "jitter": False}


class Draft(TypedDict, total=False):
    """A state without reducers."""

    draft: str
    extra: str


@gate
def good(output: Any) -> Verdict:
    """Pass what says good."""
    return Verdict.accept() if output["draft"] == "good" else Verdict.reject("is not good")


def run(app: Any, how: str, given: Any = None, config: Any = None) -> Any:
    """Run a graph, sync or async."""
    given = {} if given is None else given
    return app.invoke(given, config) if how == "sync" else asyncio.run(app.ainvoke(given, config))


def app_of(
    node: Any,
    *rungs: Any,
    gates: Any = (good,),
    tracer: Any = None,
    contract: Any = None,
    **settings: Any,
) -> Any:
    """Return a guarded graph of one node with a ladder."""
    builder = StateGraph(Draft)
    builder.add_node("write", node, **settings)
    builder.add_edge(START, "write")
    spec = NodeGuard(contract, gates, Policy(*rungs))
    return guard(builder, {"write": spec}, tracer=tracer).compile()


def climbed(tracer: RecordingTracer, node: str = "write") -> list[tuple[str, str]]:
    """Return the rungs of a node's attempts, and how each ended."""
    return [(a.rung, a.outcome) for a in tracer.attempts(node)]


BAD = {"draft": "bad"}


GOOD = {"draft": "good"}


def nested(
    inner_node: Any, inner: NodeGuard | None, outer: NodeGuard | None, **defaults: Any
) -> Any:
    """Return a guarded graph of one node in a subgraph in a parent."""
    graph = StateGraph(Draft)
    graph.add_node("write", inner_node)
    graph.add_edge(START, "write")
    parent = StateGraph(Draft)
    parent.add_node("sub", graph.compile())
    parent.add_edge(START, "sub")
    if defaults:
        parent.set_node_defaults(**defaults)
    nodes = {"sub|write": inner, "sub": outer}
    return guard(parent, {name: spec for name, spec in nodes.items() if spec}).compile()
