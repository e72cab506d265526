"""The classes of guarded graphs: what `guard` adds to LangGraph's own, run by run."""

# What super() is and what self has, only the classes that `guard` makes of these know:
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextvars import Token
from typing import Any, ClassVar

from langchain_core.runnables import RunnableConfig, ensure_config
from langgraph.errors import GraphBubbleUp, GraphInterrupt
from langgraph.types import Command

from coordgate import _langgraph as lg
from coordgate.accounts import KeptAccount
from coordgate.budget import Budget
from coordgate.errors import ConfigurationError
from coordgate.gate import Gate
from coordgate.node import NodeGuard
from coordgate.prices import Prices
from coordgate.record import Mode
from coordgate.run import RUN, RunContext
from coordgate.snapshots import snapshot
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
        invariants: Sequence[Gate] = (),
        prices: Prices | None = None,
        budget: Budget | None = None,
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
        self.invariants = tuple(invariants)
        self.prices = prices
        self.budget = budget
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
        _open(run)
        token = _enter(run)
        try:
            result = super().invoke(input, config, **kwargs)  # type: ignore[misc]
        except BaseException as error:
            _finish(run, error)
            raise
        finally:
            _leave(run, token)
        if self._pauses(kwargs):
            run.interrupted |= bool(self._next(config))
        if run.seen is not None:
            run.seen.output = snapshot(result)
        _finish(run, None)
        return result

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        """Invoke the graph, as LangGraph does, within a recorded run."""
        if self._joins():
            return await super().ainvoke(input, config, **kwargs)  # type: ignore[misc]
        run = self._run(input, config, kwargs, awaited=True)
        await _aopen(run)
        token = _enter(run)
        try:
            result = await super().ainvoke(input, config, **kwargs)  # type: ignore[misc]
        except BaseException as error:
            await _afinish(run, error)
            raise
        finally:
            _leave(run, token)
        if self._pauses(kwargs):
            run.interrupted |= bool(await self._anext(config))
        if run.seen is not None:
            run.seen.output = snapshot(result)
        await _afinish(run, None)
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
        _open(run)
        try:
            while True:
                # The run is current only while the graph works, not while its caller does.
                token = _enter(run)
                try:
                    chunk = next(flow)
                except StopIteration:
                    break
                finally:
                    _leave(run, token)
                yield chunk
        except GeneratorExit:
            flow.close()
            _finish(run, None, cancelled=True)
            raise
        except BaseException as error:
            _finish(run, error)
            raise
        if self._pauses(kwargs):
            run.interrupted |= bool(self._next(config))
        _finish(run, None)

    async def _astreamed(
        self, flow: Any, input: Any, config: RunnableConfig | None, kwargs: dict[str, Any]
    ) -> AsyncIterator[Any]:
        run = self._run(input, config, kwargs, awaited=True)
        await _aopen(run)
        try:
            while True:
                token = _enter(run)
                try:
                    chunk = await anext(flow)
                except StopAsyncIteration:
                    break
                finally:
                    _leave(run, token)
                yield chunk
        except GeneratorExit:
            await flow.aclose()
            await _afinish(run, None, cancelled=True)
            raise
        except BaseException as error:
            await _afinish(run, error)
            raise
        if self._pauses(kwargs):
            run.interrupted |= bool(await self._anext(config))
        await _afinish(run, None)

    def _joins(self) -> bool:
        """Whether this graph is part of a run that is already being recorded, as a subgraph is."""
        run = RUN.get()
        if run is None or (run.tracer is None and self.coordgate.tracer is not None):
            return False
        own = self.coordgate.budget
        if own is not None and (run.account is None or run.account.budget is not own):
            raise ConfigurationError(
                f"graph {self.name!r} has a budget of its own, and is run within a run of "  # type: ignore[attr-defined]
                f"{run.graph!r}; a budget is for a whole run: give it to the outermost graph"
            )
        return True

    def _run(
        self,
        input: Any,
        config: RunnableConfig | None,
        kwargs: dict[str, Any],
        *,
        awaited: bool = False,
    ) -> RunContext:
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
        outer = RUN.get()
        if outer is not None:
            run.account = outer.account
        elif guard.budget is not None:
            own = ensure_config(config)
            run.goes_on = input is None or isinstance(input, Command) or lg.is_resuming(own)
            saver, namespace = lg.saver_of(self, own), lg.namespace_of(own)
            run.account = KeptAccount(
                guard.budget, run.id, saver, thread, namespace, awaited=awaited
            )
        run.enters = run.enters or run.account is not None
        if run.seen is not None:
            run.seen.input = snapshot(input)
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


def _enter(run: RunContext) -> Token[RunContext | None]:
    """Make a run current, and tell those who observe it."""
    if run.seen is not None:
        run.seen.enter()
    return RUN.set(run)


def _leave(run: RunContext, token: Token[RunContext | None]) -> None:
    """Undo what `_enter` does."""
    RUN.reset(token)
    if run.seen is not None:
        run.seen.leave()


def _open(run: RunContext) -> None:
    """Go on with what an earlier part of the run has spent."""
    if run.account is not None and run.goes_on:
        run.account.load()


async def _aopen(run: RunContext) -> None:
    """Do what `_open` does, in the event loop."""
    if run.account is not None and run.goes_on:
        await run.account.aload()


def _finish(run: RunContext, error: BaseException | None, *, cancelled: bool = False) -> None:
    over = _ended(run, error, cancelled=cancelled)
    if run.account is not None and run.account.run == run.id:
        run.account.close(over=over)


async def _afinish(
    run: RunContext, error: BaseException | None, *, cancelled: bool = False
) -> None:
    over = _ended(run, error, cancelled=cancelled)
    if run.account is not None and run.account.run == run.id:
        await run.account.aclose(over=over)


def _ended(run: RunContext, error: BaseException | None, *, cancelled: bool) -> bool:
    """Record how a run has ended; return whether nothing of it is left to be done."""
    if isinstance(error, GraphBubbleUp):
        run.interrupted |= isinstance(error, GraphInterrupt)
        run.finish(None)
        return False
    run.finish(error, cancelled=cancelled or not isinstance(error, Exception | None))
    return error is None and not cancelled and not run.interrupted
