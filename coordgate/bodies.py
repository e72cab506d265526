"""Bodies: graphs whose nodes run something else in their bodies' place, under the same guard."""

# What super() is, only the classes made of these know:
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

import copy
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from functools import partial
from typing import Any, TypeAlias, TypeVar

from langchain_core.runnables import Runnable, RunnableConfig

from coordgate import _langgraph as lg
from coordgate.contract import nearest
from coordgate.errors import ConfigurationError
from coordgate.graph import reguarded

Graph = TypeVar("Graph")

Change: TypeAlias = Callable[[str, Runnable[Any, Any]], Runnable[Any, Any]]
"""Takes a node's path (`"draft"`, `"team|draft"`) and its body, and returns what runs instead."""

WITHIN = "|"
"""Stands between the names of a subgraph's node and of a node inside it."""


def with_bodies(
    target: Graph,
    change: Change,
    *,
    known: Collection[str] = (),
    numbers: Iterator[int] | None = None,
) -> Graph:
    """Return the same kind of graph, guarded as it was, with every node's body changed.

    The body of a node that is itself a graph is left as it is; the nodes inside it are changed.

    Args:
        target: A StateGraph, a compiled graph, or an `@entrypoint`.
        change: What runs in the place of a body.
        known: Paths of nodes that the graph must have.
        numbers: If given, each run of the graph takes the next one, to be read by `run_number`.

    Raises:
        ConfigurationError: the target is no graph, or lacks a node; a StateGraph's nodes are
            looked up when it is compiled.
    """
    if not isinstance(target, lg.StateGraph | lg.Pregel):
        raise ConfigurationError(
            f"{type(target).__name__} is no graph: give a StateGraph, a compiled graph or an "
            "@entrypoint"
        )

    def changed(bare: Any) -> Any:
        made: Any
        if isinstance(bare, lg.StateGraph):
            again = partial(with_bodies, change=change, known=known, numbers=numbers)
            earlier = getattr(bare, "changes", ())
            made = _subclass(bare, _ChangedBuilder, changes=(*earlier, again))
            return lg.copy_builder(bare, made)
        there = set(paths(bare))
        for path in known:
            if path not in there:
                raise ConfigurationError(
                    f"the graph has no node {path!r} with a body{nearest(path, there)}; a node "
                    f"inside a subgraph is named 'subgraph{WITHIN}node'"
                )
        made = type(bare)
        if numbers is not None:
            made = _subclass(bare, _NumberedGraph, numbers=numbers)
        return lg.copy_graph(bare, made, _changed_nodes(bare, change, ""))

    return reguarded(target, changed)  # type: ignore[no-any-return]


def _subclass(thing: Any, mixin: type[Any], **body: Any) -> type[Any]:
    """Return the class of a graph with a mixin, which it has once only."""
    kind: type[Any] = type(thing)
    if issubclass(kind, mixin):
        kind = next(each for each in kind.__bases__ if each is not mixin)
    return type(kind.__name__, (mixin, kind), {"__module__": kind.__module__, **body})


def paths(app: Any, around: str = "") -> Iterator[str]:
    """Yield the paths of the nodes of a compiled graph that have a body to change."""
    for name, node in lg.runnable_nodes(app):
        subgraph = lg.subgraph_of(node)
        if subgraph is None:
            yield around + name
        else:
            yield from paths(subgraph, f"{around}{name}{WITHIN}")


class _ChangedBuilder:
    """What a StateGraph's class adds: the bodies are changed when it is compiled."""

    changes: tuple[Callable[[Any], Any], ...]

    def compile(self, *args: Any, **kwargs: Any) -> Any:
        """Compile as LangGraph does, and change the bodies of the result."""
        app = super().compile(*args, **kwargs)  # type: ignore[misc]
        for change in self.changes:
            app = change(app)
        return app


def _changed_nodes(app: Any, change: Change, around: str) -> dict[str, Any]:
    nodes: dict[str, Any] = dict(app.nodes)
    for name, node in lg.runnable_nodes(app):
        subgraph = lg.subgraph_of(node)
        made = nodes[name] = copy.copy(node)
        own = lg.steps_of(node.node)[: -len(node.flat_writers)]  # type: ignore[arg-type]
        if subgraph is not None:
            inside = partial(_changed_graph, change=change, around=f"{around}{name}{WITHIN}")
            body: Any = reguarded(subgraph, inside)
            made.bound = body
            made.subgraphs = [body if each is subgraph else each for each in node.subgraphs]
        else:
            first = own[0] if len(own) == 1 else _sequence(node.node, own)
            body = change(around + name, first)
        made.__dict__["flat_writers"] = node.flat_writers
        made.__dict__["node"] = _sequence(node.node, [body, *node.flat_writers])
    return nodes


def _changed_graph(bare: Any, change: Change, around: str) -> Any:
    return lg.copy_graph(bare, type(bare), _changed_nodes(bare, change, around))


def _sequence(like: Any, steps: list[Runnable[Any, Any]]) -> Any:
    """Return a sequence that is traced like another one, of other steps."""
    made = object.__new__(lg.RunnableSeq)
    vars(made).update(vars(like))
    made.steps = steps
    return made


_RUN_NUMBER = "__coordgate_run"
"""Where a run's number stands in its config; LangGraph keeps such keys out of the metadata."""


class _NumberedGraph:
    """What a graph's class adds that numbers its runs."""

    numbers: Iterator[int]

    def stream(
        self, input: Any, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Iterator[Any]:
        """Stream the graph, as LangGraph does, with the run's number in its config."""
        return super().stream(input, self._numbered(config), **kwargs)  # type: ignore[misc,no-any-return]

    def astream(
        self, input: Any, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AsyncIterator[Any]:
        """Stream the graph, as LangGraph does, with the run's number in its config."""
        return super().astream(input, self._numbered(config), **kwargs)  # type: ignore[misc,no-any-return]

    def _numbered(self, config: RunnableConfig | None) -> RunnableConfig:
        given = config or {}
        own: dict[str, Any] = given.get("configurable", {})
        if _RUN_NUMBER in own:
            return given
        return {**given, "configurable": {**own, _RUN_NUMBER: next(self.numbers)}}


def run_number(config: RunnableConfig) -> int:
    """Return the how manyeth run of its graph a task belongs to, from 0; 0 if runs have none."""
    found: int = config.get("configurable", {}).get(_RUN_NUMBER, 0)
    return found
