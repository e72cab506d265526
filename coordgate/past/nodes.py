"""The nodes of a guarded graph by the path that the record calls them by."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from coordgate import _langgraph as lg
from coordgate.bodies import WITHIN
from coordgate.channels import state_keys
from coordgate.engine import GuardedSeq
from coordgate.errors import ConfigurationError
from coordgate.past.restore import Restored, Restorer
from coordgate.plan import NodePlan


@dataclass(frozen=True, slots=True, eq=False)
class GuardedNode:
    """One guarded node of a graph, and how what it handed over is read back."""

    path: str
    """Its name, `"subgraph|node"` inside a subgraph."""
    plan: NodePlan
    """What is declared on it."""
    restorer: Restorer
    """Reads back its records."""
    graph: Any
    """The graph that it stands in."""
    mapper: Any
    """What LangGraph makes the node's state of a dict with; None if it stays one."""

    def state(self, reads: str) -> Restored:
        """Return the state that the node was handed, as it was handed it."""
        restored = self.restorer.state(reads)
        value: Any = restored.value
        if self.mapper is None or restored.lost or not isinstance(value, dict):
            return restored
        try:
            state = self.mapper(value)
        except Exception as error:  # noqa: BLE001 - the state's own validators may raise anything
            return Restored(None, (f"(state): it is no state any more: {error}",))
        return Restored(state, (), restored.doubts)


def guarded_nodes(app: Any, where: str) -> dict[str, GuardedNode]:
    """Return the guarded nodes of a compiled graph by their paths.

    Raises:
        ConfigurationError: the graph is not guarded.
    """
    found = {node.path: node for node in _nodes(app, "")}
    if not found:
        raise ConfigurationError(
            f"{where} is not guarded, so there is nothing to hold the record against; name the "
            "guarded graph: app = guard(builder, ...).compile()"
        )
    return found


def _nodes(app: Any, around: str) -> Iterator[GuardedNode]:
    keys = state_keys(app)
    for name, node in app.nodes.items():
        seq = node.node
        if not isinstance(seq, GuardedSeq):
            continue
        path = around + name
        inner = lg.steps_of(seq)[0]
        if isinstance(inner, lg.Pregel):
            yield from _nodes(inner, f"{path}{WITHIN}")
        restorer = Restorer(keys, seq.plan.guard.contract, f"node {path!r}")
        yield GuardedNode(path, seq.plan, restorer, app, node.mapper)
