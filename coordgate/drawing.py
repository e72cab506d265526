"""Drawings: a guarded graph with what each node must hand over, its gates and its ladder."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, assert_never

from coordgate import _langgraph as lg
from coordgate.engine import GuardedSeq
from coordgate.errors import ConfigurationError
from coordgate.gate import Gate
from coordgate.guarded import GraphGuard, GuardedGraph
from coordgate.node import NodeGuard
from coordgate.policy import Degrade, Escalate, Fallback, Reroute, Retry, Rung, SendBack
from coordgate.schema import type_name

Says = Mapping[str, str]
"""What stands on a node: what it is about, and in words what is declared."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """A guarded graph drawn: as Mermaid text, as a PNG, and in a notebook by itself."""

    graph: Any
    """LangChain's drawable graph, whose nodes' metadata is what is declared on them."""

    @property
    def mermaid(self) -> str:
        """Return the drawing as Mermaid text."""
        drawn: str = self.graph.draw_mermaid()
        return drawn

    def __str__(self) -> str:
        """Return the drawing as Mermaid text."""
        return self.mermaid

    def png(self, path: str | os.PathLike[str] | None = None, **options: Any) -> bytes:
        """Return the drawing as a PNG, and write it to `path` if one is given.

        LangChain's `draw_mermaid_png` makes it: its options are taken, and as it stands it sends
        the drawing to mermaid.ink. Give `base_url` for a server of your own, or `draw_method` for
        a browser of your own.
        """
        image: bytes = self.graph.draw_mermaid_png(**options)
        if path is not None:
            Path(path).write_bytes(image)
        return image

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        """Show the drawing in a notebook, where Markdown may hold Mermaid."""
        return {"text/plain": self.mermaid, "text/markdown": f"```mermaid\n{self.mermaid}```\n"}


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
    return Drawing(graph)


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
    """Return a table of a guarded graph's nodes with what is declared on them, as HTML."""
    head = "".join(_cell("th", part) for part in ("node", *_PARTS))
    rows = "".join(
        f"<tr>{_cell('th', name)}{''.join(_cell('td', says.get(part, '')) for part in _PARTS)}</tr>"
        for name, says in _said(app)
    )
    return f"<p>{escape(_title(app))}</p><table><tr>{head}</tr>{rows}</table>"


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
    return f"<{kind} style='text-align: left'>{escape(text)}</{kind}>"


_PARTS = ("accepts", "returns", "gates", "on failure", "effects")
