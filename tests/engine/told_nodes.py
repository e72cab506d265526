"""Nodes that are told why they are run again, which the tests of feedback share."""

import asyncio
from typing import Any, TypedDict

import pytest
from langgraph.graph import START, StateGraph

from coordgate import NodeGuard, Policy, Retry, Verdict, feedback, gate, guard


class State(TypedDict, total=False):
    """The state of the graphs here."""

    draft: str
    told: bool
    later: list[str]


@gate
def told(output: State) -> Verdict:
    """Pass what was made with feedback."""
    return Verdict.accept() if output.get("told") else Verdict.reject("say why")


ONCE = NodeGuard(gates=[told], policy=Policy(Retry(1)))


both = pytest.mark.parametrize("how", ["sync", "async"])


def run(app: Any, how: str, given: Any = None) -> Any:
    """Run a graph, sync or async."""
    given = {"draft": "x"} if given is None else given
    return app.invoke(given) if how == "sync" else asyncio.run(app.ainvoke(given))


def one(node: Any, spec: NodeGuard = ONCE) -> Any:
    """Return a guarded graph of one node."""
    builder = StateGraph(State)
    builder.add_node("write", node)
    builder.add_edge(START, "write")
    return guard(builder, {"write": spec}).compile()


def heard() -> State:
    """Say whether there is feedback here."""
    return {"told": feedback() is not None}
