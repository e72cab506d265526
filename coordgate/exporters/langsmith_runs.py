"""LangSmith's view of a guarded run: LangChain's own tracer, with a node's attempts under one run.

LangGraph traces each attempt at a node as a run of its own, under the run of the graph, and an
interrupt as an error. `NodeTracer` takes the place of LangChain's tracer where an attempt begins,
sharing all that it knows, and hangs the attempt's run under the run of its node.
"""

# What LangChain's tracer keeps it shares by its own means, which its signatures leave open:
# pyright: reportPrivateUsage=false, reportIncompatibleMethodOverride=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from langchain_core.callbacks.base import BaseCallbackManager
from langchain_core.tracers.langchain import LangChainTracer
from langchain_core.tracers.schemas import Run
from langgraph.errors import GraphBubbleUp, GraphInterrupt
from langsmith import uuid7

from coordgate.drawing import declared_in_words
from coordgate.errors import ContractViolation, GateRejected, HandoffError, InvariantViolated
from coordgate.observers import Seen
from coordgate.values import ValueText

_WHOLE = 1 << 40
"""Where a value is cut that LangChain would send whole: never."""


@dataclass(slots=True)
class NodeRun:
    """What LangSmith is told of a node: its run, and under it those of its attempts."""

    tracer: LangChainTracer
    """Who traces it."""
    name: str
    """The node."""
    said: Mapping[str, Any]
    """What is declared on it, as metadata."""
    apart: bool
    """Whether the node has a run of its own; else the one attempt's run is the node's."""
    run: Run | None = None
    """Its run, once it has begun."""
    attempts: dict[int, Run] = field(default_factory=dict[int, Run])
    """The runs of its attempts, by number; their ends are sent when the record is there."""


class NodeTracer(LangChainTracer):
    """LangChain's tracer as it is, with runs redacted, and an attempt's under its node's."""

    __slots__ = ("_above", "_clean", "_node", "_seen")

    _node: NodeRun | None
    _seen: Seen | None
    _above: UUID | None
    _clean: ValueText | None

    @classmethod
    def around(
        cls,
        tracer: LangChainTracer,
        redact: Callable[[str], str] | None,
        node: NodeRun | None = None,
        seen: Seen | None = None,
        above: UUID | None = None,
    ) -> NodeTracer:
        """Return a tracer that shares all that another knows.

        Args:
            tracer: The other.
            redact: What takes secrets out of what is sent; None for nothing.
            node: The node of which an attempt begins.
            seen: The attempt.
            above: The run that LangGraph hangs the attempt's run under.
        """
        made = object.__new__(cls)
        object.__setattr__(made, "__dict__", vars(tracer))
        made._node, made._seen, made._above = node, seen, above
        made._clean = None if redact is None else ValueText(redact, _WHOLE)
        return made

    def copy_with_metadata_defaults(self, **defaults: Any) -> LangChainTracer:
        """Return a tracer with more defaults, which LangChain asks for where a run begins."""
        made = super().copy_with_metadata_defaults(**defaults)
        if isinstance(made, NodeTracer):
            made._node, made._seen, made._above = self._node, self._seen, self._above
            made._clean = self._clean
        return made

    def _start_trace(self, run: Run) -> None:
        node, seen = self._node, self._seen
        if node is not None and seen is not None and run.parent_run_id == self._above:
            annotate(run, {"coordgate.attempt": seen.number, "coordgate.rung": seen.rung})
            node.attempts[seen.number] = run
            if not node.apart:
                annotate(run, node.said)
                node.run = run
            elif node.run is not None:
                run.parent_run_id = node.run.id
                run.name = f"attempt {seen.number} ({seen.rung})"
        if self._clean is not None:
            run.inputs = _cleaned(run.inputs, self._clean)
        super()._start_trace(run)

    def _end_trace(self, run: Run) -> None:
        if self._clean is not None:
            if run.extra.get("defers_inputs"):
                run.inputs = _cleaned(run.inputs, self._clean)
            if run.outputs is not None:
                run.outputs = _cleaned(run.outputs, self._clean)
            if run.error is not None:
                run.error = self._clean.words(run.error)
        super()._end_trace(run)

    def _holds(self, run: Run) -> bool:
        """Whether the end of a run is sent when the record is there.

        LangChain would send it twice then, and the client may swap two changes of one run.
        """
        node, seen = self._node, self._seen
        mine = node is not None and seen is not None and node.attempts.get(seen.number) is run
        return mine and not run.extra.get("defers_inputs")

    def _on_chain_end(self, run: Run) -> None:
        if not self._holds(run):
            super()._on_chain_end(run)

    def _on_chain_error(self, run: Run) -> None:
        if not self._holds(run):
            super()._on_chain_error(run)

    def on_chain_error(
        self,
        error: BaseException,
        *,
        inputs: dict[str, Any] | None = None,
        run_id: UUID,
        **kwargs: Any,
    ) -> Run:
        """End a run that raised; one that waits for an answer, or hands up, has not failed."""
        run = self.run_map.get(str(run_id))
        if run is not None and "coordgate.attempt" in run.extra.get("metadata", ()):
            name = "" if self._node is None else self._node.name
            annotate(run, {"coordgate.outcome": outcome_of(error, name)})
        if isinstance(error, GraphBubbleUp):
            return self.on_chain_end(_asked(error), run_id=run_id, inputs=inputs, **kwargs)
        return super().on_chain_error(error, inputs=inputs, run_id=run_id, **kwargs)

    def on_tool_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> Run:
        """End a tool that raised; one that waits for an answer has not failed."""
        if isinstance(error, GraphBubbleUp):
            return self.on_tool_end(_asked(error), run_id=run_id, **kwargs)
        return super().on_tool_error(error, run_id=run_id, **kwargs)


def take_place(seen: Seen, node: NodeRun | None) -> NodeRun | None:
    """Put our tracer in the place of LangChain's in the config of an attempt.

    `node` is its node, if that has been seen before. Return the node; None where nothing traces
    the attempt.
    """
    manager = seen.config.get("callbacks")
    if not isinstance(manager, BaseCallbackManager):
        return None
    found = next((h for h in manager.handlers if isinstance(h, LangChainTracer)), None)
    if found is None:
        return None
    above, redact = manager.parent_run_id, seen.watch.redact
    if node is None:
        repeats = seen.above is not None and seen.above.repeats
        node = NodeRun(found, seen.name, _said(seen), repeats)
    if node.apart and node.run is None:
        node.run = NodeTracer.around(found, redact).on_chain_start(
            {},
            seen.input,
            run_id=uuid7(),
            parent_run_id=above,
            tags=list(manager.tags),
            metadata={**seen.config.get("metadata", {}), **node.said},
            name=node.name,
        )
    made = NodeTracer.around(found, redact, node, seen, above)
    changed = manager.copy()
    changed.handlers = [made if each is found else each for each in manager.handlers]
    changed.inheritable_handlers = [
        made if each is found else each for each in manager.inheritable_handlers
    ]
    seen.config = {**seen.config, "callbacks": changed}
    return node


def annotate(run: Run, said: Mapping[str, Any]) -> None:
    """Add to the metadata of a run, which LangChain may share among runs."""
    run.extra = {**run.extra, "metadata": {**run.extra.get("metadata", {}), **said}}


def outcome_of(error: BaseException, node: str) -> str:
    """Return how an attempt at a node ended that raised, as in its record."""
    if isinstance(error, GraphInterrupt):
        return "interrupted"
    if isinstance(error, GraphBubbleUp):
        return "handed_up"
    if isinstance(error, asyncio.CancelledError):
        return "cancelled"
    if isinstance(error, HandoffError) and error.node == node:
        if isinstance(error, GateRejected | InvariantViolated):
            return "rejected"
        if isinstance(error, ContractViolation):
            return "violated"
    return "raised"


def _asked(error: GraphBubbleUp) -> dict[str, Any]:
    """Return what is asked of a person, as the output of the run that asks."""
    asked: Any = error.args[0] if isinstance(error, GraphInterrupt) and error.args else ()
    return {"interrupts": [getattr(each, "value", None) for each in asked]} if asked else {}


def _said(seen: Seen) -> dict[str, Any]:
    words = declared_in_words(seen.guard)
    said = {f"coordgate.{about.replace(' ', '_')}": text for about, text in words.items()}
    return {"coordgate.run": seen.run, **said}


def _cleaned(values: Any, clean: ValueText) -> Any:
    text: Any = json.loads(clean.json(values))
    return text if isinstance(text, dict) else {"value": text}
