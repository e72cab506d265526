"""Lines of guarded nodes that succeed by chance, run for real and recorded."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from langgraph.graph import START, StateGraph
from typing_extensions import TypedDict

from coordgate import CoordgateError, Gate, NodeGuard, Policy, Tracer, gate, guard
from coordgate.audit import AuditReport, audit
from coordgate.audit.report import Handoff
from coordgate.stores import MemoryStore

GOOD, BAD = "good", "bad"


class State(TypedDict, total=False):
    """What the nodes write."""

    a: str
    b: str
    c: str
    d: str
    case: int


def chancy(key: str, rate: float, chance: random.Random) -> Callable[[State], dict[str, str]]:
    """Return a node that writes a good value this often."""

    def node(state: State) -> dict[str, str]:
        return {key: GOOD if chance.random() < rate else BAD}

    return node


def is_good(key: str) -> Gate:
    """Return a gate that passes a good value."""

    @gate
    def good(output: Mapping[str, str]) -> bool:
        return output[key] == GOOD

    return good


def line(rates: Mapping[str, float], chance: random.Random) -> StateGraph[Any, Any, Any, Any]:
    """Return a graph of chancy nodes in a row."""
    builder = StateGraph(State)
    before = START
    for key, rate in rates.items():
        builder.add_node(f"make_{key}", chancy(key, rate, chance))
        builder.add_edge(before, f"make_{key}")
        before = f"make_{key}"
    return builder


def record(
    path: Path | str,
    rates: Mapping[str, float],
    *,
    runs: int,
    policy: Policy | None = None,
    mode: str = "enforce",
    seed: int = 1,
    gates: str | None = None,
) -> list[dict[str, Any] | None]:
    """Run a line so often, guarded; return what came out, None of a run that failed."""
    keys = rates if gates is None else gates
    nodes = {f"make_{key}": NodeGuard(gates=[is_good(key)], policy=policy) for key in keys}
    found: list[dict[str, Any] | None] = []
    with Tracer(path) as tracer:
        builder = line(rates, random.Random(seed))  # noqa: S311 - a simulation
        app = guard(builder, nodes, tracer=tracer, mode=mode).compile()  # type: ignore[call-overload]
        for _ in range(runs):
            try:
                found.append(app.invoke({}))
            except CoordgateError:
                found.append(None)
    return found


def handoff(report: AuditReport, producer: str, consumer: str) -> Handoff:
    """Return the one handoff from a node to another."""
    (found,) = [h for h in report.handoffs if (h.producer, h.consumer) == (producer, consumer)]
    return found


def recorded(builder: StateGraph[Any, Any, Any, Any], nodes: Any, inputs: list[Any]) -> AuditReport:
    """Run a graph on inputs, guarded, and audit what was recorded."""
    store = MemoryStore()
    with Tracer(store) as tracer:
        app = guard(builder, nodes, tracer=tracer).compile()
        for given in inputs:
            try:
                app.invoke(given)
            except CoordgateError:
                continue
    return audit(store)
