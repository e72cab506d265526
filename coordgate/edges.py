"""Edges: the conditional edges of a node, and labels that their maps do not name."""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Sequence
from typing import Any, TypeAlias

from langchain_core.runnables import Runnable, RunnableConfig
from langgraph.types import Send

from coordgate import _langgraph as lg

Refuse: TypeAlias = Callable[[Sequence[Any], Collection[Any]], None]
"""Is given the labels that an edge's map does not name, and those that it does; it raises."""


class _LookedAt(lg.BranchSpec):
    """A conditional edge with a map. What is not in it ends in a bare KeyError otherwise."""

    refuse: Refuse

    def _finish(self, writer: Any, input: Any, result: Any, config: RunnableConfig) -> Any:
        base: Any = super()
        try:
            return base._finish(writer, input, result, config)
        except KeyError:
            known: dict[Any, str] = self.ends or {}
            lost = [each for each in _labels(result) if each not in known]
            if lost:
                self.refuse(lost, known)
            raise


def _labels(result: Any) -> list[Any]:
    returned: list[Any] = list(result) if isinstance(result, list | tuple) else [result]  # pyright: ignore[reportUnknownArgumentType] - of anything
    return [each for each in returned if not isinstance(each, Send)]


def looked_at(step: Runnable[Any, Any], refuse: Refuse) -> Runnable[Any, Any]:
    """Return a step of a node; where it is a conditional edge with a map, one that is looked at."""
    made: Any = copy.copy(step)
    spec = getattr(getattr(made, "func", None), "__self__", None)
    if not isinstance(spec, lg.BranchSpec) or not spec.ends:
        return step
    edge: Any = _LookedAt(*spec)
    edge.refuse = refuse
    made.func, made.afunc = edge._route, edge._aroute
    return made  # type: ignore[no-any-return]
