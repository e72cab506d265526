"""The classes of guarded graphs: what `guard` adds to LangGraph's own, run by run."""

# What super() is and what self has, only the classes that `guard` makes of these know:
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from langchain_core.runnables import RunnableConfig
from langgraph.errors import GraphBubbleUp, GraphInterrupt
from langgraph.types import Command

from coordgate.node import NodeGuard
from coordgate.prices import Prices
from coordgate.record import Mode
from coordgate.run import RUN, RunContext
from coordgate.tracer import Tracer

_NONE: frozenset[str] = frozenset()
_SHOWN = frozenset({"messages", "custom"})
"""The stream modes that show an attempt before its verdict."""


class GraphGuard:
    """What is declared for a whole graph, as given to `guard`."""

    def __init__(
        self,
        nodes: Mapping[str, NodeGuard],
        *,
        mode: Mode,
        tracer: Tracer | None,
        prices: Prices | None = None,
        unchecked: Sequence[str] = (),
        within: str = "",
    ) -> None:
        """Take the settings.

        `unchecked` names what no contract can check; `within` is how the graph's nodes are named
        in the graph around it, up to their own names.
        """
        self.nodes = nodes
        self.mode: Mode = mode
        self.tracer = tracer
        self.prices = prices
        self.unchecked = tuple(unchecked)
        self.within = within

    def inside(self, node: str, nodes: Mapping[str, NodeGuard]) -> GraphGuard:
        """Return the same settings for the graph that a node is, with what is declared in it."""
        within = f"{self.within}{node}|"
        return GraphGuard(nodes, mode=self.mode, tracer=self.tracer, within=within)


class GuardedGraph:
    """What a guarded graph's class adds to LangGraph's: its runs begin and end in the record."""

    coordgate: ClassVar[GraphGuard]
    bare_class: ClassVar[type[Any]]

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        """Invoke the graph, as LangGraph does, within a recorded run."""
        if self._joins():
            return super().invoke(input, config, **kwargs)  # type: ignore[misc]
        run = self._run(input, config, kwargs)
        token = RUN.set(run)
        try:
            result = super().invoke(input, config, **kwargs)  # type: ignore[misc]
        except BaseException as error:
            _finish(run, error)
            raise
        finally:
            RUN.reset(token)
        if self._pauses(kwargs):
            run.interrupted |= bool(self._next(config))
        run.finish(None)
        return result

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        """Invoke the graph, as LangGraph does, within a recorded run."""
        if self._joins():
            return await super().ainvoke(input, config, **kwargs)  # type: ignore[misc]
        run = self._run(input, config, kwargs)
        token = RUN.set(run)
        try:
            result = await super().ainvoke(input, config, **kwargs)  # type: ignore[misc]
        except BaseException as error:
            _finish(run, error)
            raise
        finally:
            RUN.reset(token)
        if self._pauses(kwargs):
            run.interrupted |= bool(await self._anext(config))
        run.finish(None)
        return result

    def stream(
        self, input: Any, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Iterator[Any]:
        """Stream the graph, as LangGraph does, within a recorded run."""
        flow = super().stream(input, config, **kwargs)  # type: ignore[misc]
        return flow if self._joins() else self._streamed(flow, input, config, kwargs)

    def astream(
        self, input: Any, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AsyncIterator[Any]:
        """Stream the graph, as LangGraph does, within a recorded run."""
        flow = super().astream(input, config, **kwargs)  # type: ignore[misc]
        return flow if self._joins() else self._astreamed(flow, input, config, kwargs)

    def _streamed(
        self, flow: Any, input: Any, config: RunnableConfig | None, kwargs: dict[str, Any]
    ) -> Iterator[Any]:
        run = self._run(input, config, kwargs)
        try:
            while True:
                # The run is current only while the graph works, not while its caller does.
                token = RUN.set(run)
                try:
                    chunk = next(flow)
                except StopIteration:
                    break
                finally:
                    RUN.reset(token)
                yield chunk
        except GeneratorExit:
            flow.close()
            run.finish(None, cancelled=True)
            raise
        except BaseException as error:
            _finish(run, error)
            raise
        if self._pauses(kwargs):
            run.interrupted |= bool(self._next(config))
        run.finish(None)

    async def _astreamed(
        self, flow: Any, input: Any, config: RunnableConfig | None, kwargs: dict[str, Any]
    ) -> AsyncIterator[Any]:
        run = self._run(input, config, kwargs)
        try:
            while True:
                token = RUN.set(run)
                try:
                    chunk = await anext(flow)
                except StopAsyncIteration:
                    break
                finally:
                    RUN.reset(token)
                yield chunk
        except GeneratorExit:
            await flow.aclose()
            run.finish(None, cancelled=True)
            raise
        except BaseException as error:
            _finish(run, error)
            raise
        if self._pauses(kwargs):
            run.interrupted |= bool(await self._anext(config))
        run.finish(None)

    def _joins(self) -> bool:
        """Whether this graph is part of a run that is already being recorded, as a subgraph is."""
        run = RUN.get()
        return run is not None and (run.tracer is not None or self.coordgate.tracer is None)

    def _run(self, input: Any, config: RunnableConfig | None, kwargs: dict[str, Any]) -> RunContext:
        guard = self.coordgate
        modes = kwargs.get("stream_mode")
        streams = (
            _NONE
            if modes is None
            else _SHOWN.intersection([modes] if isinstance(modes, str) else modes)
        )
        thread = None
        for each in (config, self.config):  # type: ignore[attr-defined]
            known = each.get("configurable", {}) if each else {}
            if "thread_id" in known:
                thread = str(known["thread_id"])
                break
        run = RunContext(self.name, thread, guard.mode, guard.tracer, streams, guard.prices)  # type: ignore[attr-defined]
        if isinstance(input, Command):
            run.resumed = _answers_one(input.resume)
        return run

    def _pauses(self, kwargs: dict[str, Any]) -> bool:
        """Whether the run may have paused before or after a node, which no node can tell."""
        asked = kwargs.get("interrupt_before") or kwargs.get("interrupt_after")
        return bool(
            (asked or self.interrupt_before_nodes or self.interrupt_after_nodes)  # type: ignore[attr-defined]
            and self.checkpointer  # type: ignore[attr-defined]
        )

    def _next(self, config: RunnableConfig | None) -> Sequence[str]:
        return self.get_state(config).next  # type: ignore[attr-defined,no-any-return]

    async def _anext(self, config: RunnableConfig | None) -> Sequence[str]:
        return (await self.aget_state(config)).next  # type: ignore[attr-defined,no-any-return]


def _answers_one(resume: Any) -> bool:
    """Whether this is one answer, not a map of interrupt ids to answers, which LangGraph tells."""
    mapped = isinstance(resume, dict) and all(len(str(key)) == 32 for key in resume)
    return resume is not None and not mapped


def _finish(run: RunContext, error: BaseException | None) -> None:
    if isinstance(error, GraphBubbleUp):
        run.interrupted |= isinstance(error, GraphInterrupt)
        run.finish(None)
    else:
        run.finish(error, cancelled=error is not None and not isinstance(error, Exception))
