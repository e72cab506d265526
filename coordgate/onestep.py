"""One step: a node's body and its write, run as a single step of LangGraph's sequence."""

# What LangGraph's own base class does, its signatures leave open:
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context, copy_context
from typing import Any

from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import var_child_runnable_config
from langchain_core.tracers.langchain import LangChainTracer

from coordgate import _langgraph as lg


def plain_function(step: Runnable[Any, Any], name: str) -> Callable[[Any], Any] | None:
    """Return a step's `func` or `afunc` if calling it with the state is all that the step does."""
    if type(step) is not lg.RunnableCallable:
        return None
    if step.trace or step.func_accepts or step.kwargs or step.explode_args or not step.recurse:
        return None
    found: Callable[[Any], Any] | None = getattr(step, name)
    return found


class OneStep(lg.RunnableSeq):
    """A sequence of one step, run without what LangGraph does for the steps that follow.

    The traced run, the step's tag and the context of the step are those of a RunnableSeq.
    """

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        """Run the step within the node's traced run."""
        assert config is not None
        manager = self._start(input, config)
        try:
            config = lg.patch_config(config, callbacks=manager.get_child("seq:step:1"))
            context = _traced_context(manager, config) if manager.handlers else None
            if context is None:
                context = copy_context()
                context.run(var_child_runnable_config.set, config)
            output = context.run(self.steps[0].invoke, input, config, **kwargs)
        except BaseException as error:
            manager.on_chain_error(error)
            raise
        self._end(manager, output)
        return output

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        """Run the step within the node's traced run."""
        assert config is not None
        manager = await self._astart(input, config)
        try:
            config = lg.patch_config(config, callbacks=manager.get_child("seq:step:1"))
            context = _traced_context(manager, config) if manager.handlers else None
            if context is None:
                context = copy_context()
                context.run(var_child_runnable_config.set, config)
            step = self.steps[0].ainvoke(input, config, **kwargs)
            output = await asyncio.create_task(step, context=context)
        except BaseException as error:
            await manager.on_chain_error(error)
            raise
        await self._aend(manager, output)
        return output


def _traced_context(manager: Any, config: RunnableConfig) -> Context | None:
    """Return the context that a step runs in where LangSmith traces it; None where it does not."""
    for handler in manager.handlers:
        if isinstance(handler, LangChainTracer):
            with lg.set_config_context(config, handler.run_map.get(str(manager.run_id))) as context:
                # LangGraph enters the context that this leaves set up for the step.
                return context.copy()
    return None


def one_step(like: lg.RunnableSeq, step: Runnable[Any, Any]) -> lg.RunnableSeq:
    """Return a sequence of one step that is traced like another sequence."""
    made = object.__new__(OneStep if hasattr(lg.RunnableSeq, "_start") else lg.RunnableSeq)
    vars(made).update(vars(like))
    made.steps = [step]
    return made
