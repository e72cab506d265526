"""Paths: a run as a graph, with the nodes it reached, how they went, and the edges it took."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from coordgate.drawing import draw
from coordgate.guarded import GuardedGraph
from coordgate.viewer.outcome import How, worst
from coordgate.viewer.outline import Line

START: Final = "__start__"
END: Final = "__end__"

MOST_NODES: Final = 200
"""A drawing with more can neither be laid out fast nor be read."""

_MOST_NUMBERS = 100
"""So many visits of one node are named."""

_SHIPPED = frozenset({"accepted", "degraded", "observed"})

Scope: TypeAlias = tuple[str, ...]
"""The nodes that a graph runs in: `()` is the whole graph, `("sub",)` the graph in `sub`."""


@dataclass(slots=True)
class Node:
    """A node, or the box of the graph in it."""

    id: str
    """Its name, after those of the nodes around it: `sub:draft`."""
    name: str
    """Its own name."""
    scope: Scope = ()
    """The nodes around it."""
    hows: list[How] = field(default_factory=list[How])
    """How each of its visits went."""
    numbers: list[int] = field(default_factory=list[int])
    """The numbers of its transitions."""
    is_box: bool = False
    """Whether nodes inside it are shown."""
    is_next: bool = False
    """Whether it runs now, or next, as far as the record can tell."""
    says: Mapping[str, str] = field(default_factory=dict[str, str])
    """What is declared on it, in words, if the graph is at hand."""

    @property
    def how(self) -> How:
        """Return how it went: as its worst visit did."""
        return worst(self.hows) if self.hows else "expected" if self.is_next else "unreached"


@dataclass(slots=True)
class Edge:
    """A way from one node to another."""

    source: str
    """The id of the node that handed over."""
    target: str
    """The id of the node that was handed it."""
    numbers: list[int] = field(default_factory=list[int])
    """The transitions that began or ended on it; empty if it was not taken."""


@dataclass(frozen=True, slots=True)
class Path:
    """A run as a graph."""

    nodes: Sequence[Node]
    """The nodes; a box stands before what is in it."""
    edges: Sequence[Edge]
    """The edges between nodes that are no boxes."""
    left_out: int
    """How many nodes were too many to be drawn."""
    undeclared: str = ""
    """Why the graph's other nodes are not there, if it could not be asked for them."""

    def as_json(self) -> dict[str, Any]:
        """Return the graph for the script that draws it."""
        return {
            "nodes": [
                {
                    "id": each.id,
                    "name": each.name,
                    "parent": ":".join(each.scope),
                    "how": each.how,
                    "next": each.is_next,
                    "box": each.is_box,
                    "visits": len(each.numbers),
                    "numbers": each.numbers[:_MOST_NUMBERS],
                    "says": dict(each.says),
                }
                for each in self.nodes
            ],
            "edges": [
                {
                    "source": each.source,
                    "target": each.target,
                    "taken": len(each.numbers),
                    "numbers": each.numbers[:_MOST_NUMBERS],
                }
                for each in self.edges
            ],
            "left_out": self.left_out,
            "undeclared": self.undeclared,
        }


class _Drawing:
    """A graph that grows, line by line."""

    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {}
        self.edges: dict[tuple[str, str], Edge] = {}
        self._handed: dict[tuple[Scope, str, str], list[int]] = {}
        self._began: dict[Scope, dict[str, list[int]]] = {}
        self._ended: dict[Scope, dict[str, list[int]]] = {}

    def declare(self, app: Any) -> None:
        """Add the nodes and edges of a graph, its subgraphs opened."""
        graph: Any = (
            draw(app, xray=True).graph
            if isinstance(app, GuardedGraph)
            else app.get_graph(xray=True)
        )
        for id, node in graph.nodes.items():
            *scope, name = id.split(":")
            metadata: dict[Any, Any] = node.metadata or {}
            says = {str(key): str(value) for key, value in metadata.items()}
            self.node(tuple(scope), name).says = says
        for edge in graph.edges:
            self.edge(edge.source, edge.target)

    def node(self, scope: Scope, name: str) -> Node:
        """Return a node, new if need be, with the boxes around it."""
        id = ":".join((*scope, name))
        found = self.nodes.get(id)
        if found is None:
            if scope:
                self.node(scope[:-1], scope[-1]).is_box = True
            found = self.nodes[id] = Node(id, name, scope)
        return found

    def edge(self, source: str, target: str) -> Edge:
        """Return an edge, new if need be."""
        return self.edges.setdefault((source, target), Edge(source, target))

    def visit(self, lines: Iterable[Line]) -> None:
        """Add what a run did."""
        gone: dict[tuple[Scope, str, str], list[int]] = {}
        idle: list[tuple[Scope, Line]] = []
        last: dict[Scope, int] = {}
        for line in lines:
            scope = line.scope
            node = self.node(scope, line.node)
            node.hows.append(line.how)
            node.numbers.append(line.number)
            last[scope] = line.number
            for producer in line.producers:
                self._handed.setdefault((scope, producer, line.node), []).append(line.number)
            if not line.producers:
                self._began.setdefault(scope, {}).setdefault(line.node, []).append(line.number)
            for target in line.goto:
                gone.setdefault((scope, line.node, target), []).append(line.number)
            if not line.goto and line.status in _SHIPPED:
                idle.append((scope, line))
        # Where control went, but nothing has been recorded of it: it runs yet, or was not guarded.
        for (scope, source, target), numbers in gone.items():
            if target == END:
                self._ended.setdefault(scope, {}).setdefault(source, []).extend(numbers)
            elif (scope, source, target) not in self._handed:
                self.node(scope, target)
                self._handed[scope, source, target] = numbers
        self._end(idle, last)

    def _end(self, idle: Iterable[tuple[Scope, Line]], last: Mapping[Scope, int]) -> None:
        """Add where the graph ended: at what shipped, and from which control went nowhere."""
        handed = {(scope, source) for scope, source, _ in self._handed}
        for scope, line in idle:
            # A node that waits for others to meet it goes nowhere by itself.
            if (scope, line.node) not in handed or line.number == last[scope]:
                self._ended.setdefault(scope, {}).setdefault(line.node, []).append(line.number)

    def connect(self) -> None:
        """Add the edges that were taken."""
        for (scope, source, target), numbers in self._handed.items():
            for one in self._leaves(scope, source, self._ended):
                for other in self._leaves(scope, target, self._began):
                    self.edge(one, other).numbers.extend(numbers)
        for name, numbers in self._began.get((), {}).items():
            self.node((), START)
            for id in self._leaves((), name, self._began):
                self.edge(START, id).numbers.extend(numbers)
        for name, numbers in self._ended.get((), {}).items():
            self.node((), END)
            for id in self._leaves((), name, self._ended):
                self.edge(id, END).numbers.extend(numbers)

    def _leaves(
        self, scope: Scope, name: str, which: Mapping[Scope, Mapping[str, object]]
    ) -> list[str]:
        """Return a node's id, or of a box those of the nodes in it that began it, or ended it."""
        node = self.node(scope, name)
        if not node.is_box:
            return [node.id]
        within = (*scope, name)
        return [
            leaf for inner in which.get(within, ()) for leaf in self._leaves(within, inner, which)
        ]

    def look_ahead(self, lines: Sequence[Line]) -> None:
        """Mark where control went last, and nothing has come back yet."""
        latest: dict[Scope, list[Line]] = {}
        for line in lines:
            known = latest.setdefault(line.scope, [])
            if known and line.step > known[0].step:
                known.clear()
            if not known or line.step == known[0].step:
                known.append(line)
        for scope, last in latest.items():
            for line in last:
                for target in line.goto:
                    if target != END:
                        self.node(scope, target).is_next = True


def path_of(lines: Sequence[Line], *, app: Any = None, running: bool = False) -> Path:
    """Return the graph of a run.

    Args:
        lines: Its transitions in short.
        app: The graph that ran; its other nodes and edges are drawn too.
        running: Whether the run goes on.
    """
    drawing = _Drawing()
    undeclared = ""
    if app is not None:
        try:
            drawing.declare(app)
        except Exception as error:  # noqa: BLE001 - LangGraph asks the user's own code what to draw
            undeclared = f"{type(error).__name__}: {error}"
    drawing.visit(lines)
    if running:
        drawing.look_ahead(lines)
    drawing.connect()
    kept = dict(list(drawing.nodes.items())[:MOST_NODES])
    return Path(
        tuple(kept.values()),
        tuple(
            each for each in drawing.edges.values() if each.source in kept and each.target in kept
        ),
        len(drawing.nodes) - len(kept),
        undeclared,
    )
