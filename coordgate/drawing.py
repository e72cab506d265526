"""Drawings: a guarded graph with what each node must hand over, its gates and its ladder."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape
from importlib import import_module
from pathlib import Path
from typing import Any, assert_never

from coordgate import _langgraph as lg
from coordgate.engine import GuardedSeq
from coordgate.errors import ConfigurationError
from coordgate.gate import Gate
from coordgate.guarded import GraphGuard, GuardedGraph
from coordgate.node import NodeGuard
from coordgate.picture import Edge, Node, Picture, picture, svg
from coordgate.policy import Degrade, Escalate, Fallback, Reroute, Retry, Rung, SendBack
from coordgate.printable import printable
from coordgate.schema import type_name

Says = Mapping[str, str]
"""What stands on a node: what it is about, and in words what is declared."""


@dataclass(frozen=True, slots=True, repr=False)
class Drawing:
    """A guarded graph drawn: as SVG, as a PNG, as Mermaid text, and in a notebook by itself."""

    title: str
    """What is drawn, in a line."""
    graph: Any
    """LangChain's drawable graph, whose nodes' metadata is what is declared on them."""

    @property
    def mermaid(self) -> str:
        """Return the drawing as Mermaid text."""
        drawn: str = self.graph.draw_mermaid()
        return drawn

    @property
    def svg(self) -> str:
        """Return the drawing as SVG, without a script, in the colour of the text around it."""
        return svg(self._picture())

    def __str__(self) -> str:
        """Return the drawing as Mermaid text."""
        return self.mermaid

    def __repr__(self) -> str:
        """Return what is drawn."""
        return f"<drawing of {self.title}>"

    def png(self, path: str | os.PathLike[str] | None = None, **options: Any) -> bytes:
        """Return the drawing as a PNG, and write it to `path` if one is given.

        It is drawn here, by Pillow, and sent nowhere. With options LangChain's `draw_mermaid_png`
        makes it, which takes them: `base_url` of a Mermaid server, or `draw_method` of a browser.

        Raises:
            ImportError: Pillow is not installed.
        """
        if options:
            image: bytes = self.graph.draw_mermaid_png(**options)
        else:
            image = import_module("coordgate.png").png(self._picture())
        if path is not None:
            Path(path).write_bytes(image)
        return image

    def _picture(self) -> Picture:
        nodes = [
            Node(id, id if ":" in id else node.name, _of(node.metadata))
            for id, node in self.graph.nodes.items()
        ]
        edges = [
            Edge(each.source, each.target, _label(each), each.conditional)
            for each in self.graph.edges
        ]
        return picture(self.title, nodes, edges)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        """Show the drawing in a notebook; where it shows no SVG, Markdown may hold Mermaid."""
        mermaid = self.mermaid
        return {
            "text/plain": mermaid,
            "text/html": self.svg,
            "text/markdown": f"```mermaid\n{mermaid}```\n",
        }


def _of(metadata: Mapping[str, Any] | None) -> Says:
    return {part: str(metadata[part]) for part in _PARTS if part in metadata} if metadata else {}


def _label(edge: Any) -> str:
    return "" if edge.data is None or str(edge.data) == edge.target else str(edge.data)


def draw(app: Any, *, xray: int | bool = False) -> Drawing:
    """Draw a guarded graph: contracts, gates, ladders and effects stand on its nodes.

    Args:
        app: A compiled graph, guarded.
        xray: Whether, or how deep, subgraphs are drawn too, as in LangGraph's `get_graph`.

    Raises:
        ConfigurationError: the graph is not a guarded one.
    """
    if not isinstance(app, GuardedGraph):
        raise ConfigurationError(
            f"draw({type(app).__name__}): give what guard(...) returned, compiled; an unguarded "
            "graph is drawn by its own get_graph().draw_mermaid()"
        )
    guarded: Any = app
    graph = guarded.get_graph(xray=xray)
    said = dict(_said(app))
    for id, node in graph.nodes.items():
        if id in said:
            graph.nodes[id] = node._replace(metadata={**(node.metadata or {}), **said[id]})
    return Drawing(_title(app), graph)


def _said(app: Any, within: str = "") -> Iterator[tuple[str, Says]]:
    """Yield what is declared on each node of a graph and of its subgraphs, by drawn id."""
    for name, node in lg.runnable_nodes(app):
        seq = node.node
        if not isinstance(seq, GuardedSeq):
            continue
        yield f"{within}{name}", declared_in_words(seq.plan.guard)
        inner = lg.steps_of(seq)[0]
        if isinstance(inner, GuardedGraph):
            yield from _said(inner, f"{within}{name}:")


def declared_in_words(guard: NodeGuard) -> Says:
    """Return what is declared on a node, in words, by what it is about."""
    said: dict[str, str] = {}
    if guard.contract is not None:
        if guard.contract.accepts is not None:
            said["accepts"] = type_name(guard.contract.accepts)
        if guard.contract.returns is not None:
            said["returns"] = type_name(guard.contract.returns)
    gates = [each.name for each in guard.gates if isinstance(each, Gate)]
    if gates:
        said["gates"] = ", ".join(gates)
    if guard.policy:
        said["on failure"] = ", then ".join(map(_rung_in_words, guard.policy.rungs))
    if guard.effects != "none":
        said["effects"] = guard.effects
    return said


def _rung_in_words(rung: Rung) -> str:
    match rung:
        case Retry():
            return f"retry up to {rung.attempts} more" if rung.attempts > 1 else "retry once"
        case Fallback():
            return f"fall back to {rung.name}"
        case Escalate():
            return f"ask {rung.to}"
        case Reroute():
            return f"go to {rung.node}"
        case SendBack():
            return f"send back to {rung.node or 'the producer'}"
        case Degrade():
            return f"degrade {', '.join(rung.update)}"
        case _:
            assert_never(rung)


def graph_text(app: Any) -> str:
    """Return a guarded graph in one line: what its repr is."""
    return f"<{_title(app)}>"


def graph_html(app: Any) -> str:
    """Return a guarded graph drawn, and a table of what is declared on its nodes, as HTML."""
    head = "".join(_cell("th", part) for part in ("node", *_PARTS))
    rows = "".join(
        f"<tr>{_cell('th', name)}{''.join(_cell('td', says.get(part, '')) for part in _PARTS)}</tr>"
        for name, says in _said(app)
    )
    table = f"<table><tr>{head}</tr>{rows}</table>"
    return (
        f"<p>{escape(printable(_title(app)))}</p>{draw(app).svg}"
        f"<details><summary>As a table</summary>{table}</details>"
    )


def graph_bundle(app: Any, **_: Any) -> dict[str, str]:
    """Return what a notebook shows of a guarded graph, made here and sent nowhere."""
    return {"text/plain": graph_text(app), "text/html": graph_html(app)}


def _title(app: Any) -> str:
    guard: GraphGuard = app.coordgate
    count = sum(1 for _ in lg.runnable_nodes(app))
    nodes = "1 node" if count == 1 else f"{count} nodes"
    traced = "not traced" if guard.tracer is None else f"traced to {guard.tracer.sink!r}"
    return f"guarded {app.get_name()}: {nodes}, mode {guard.mode!r}, {traced}"


def _cell(kind: str, text: str) -> str:
    return f"<{kind} style='text-align: left'>{escape(printable(text))}</{kind}>"


_PARTS = ("accepts", "returns", "gates", "on failure", "effects")
