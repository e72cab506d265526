"""The one file that touches LangGraph's private names: a release that moves them breaks this file.

It reads a compiled graph (its state keys, edges and retry policies), reads a task's config (its
writes, a place to keep what belongs to it), and makes guarded copies of graphs.
"""

# Much of LangGraph is generic in parameters that its own signatures leave open:
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

import asyncio
import copy
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import Context, copy_context
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from typing import Any, ForwardRef, Union, get_args, get_origin, get_type_hints

from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import var_child_runnable_config
from langchain_core.tracers.langchain import LangChainTracer
from langgraph.func import entrypoint
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.pregel import Pregel
from langgraph.types import CachePolicy, RetryPolicy
from pydantic import BaseModel

from coordgate.errors import UnsupportedLangGraph
from coordgate.statekey import ROOT, StateKey

try:
    from langgraph._internal._config import patch_config
    from langgraph._internal._constants import (
        CONFIG_KEY_READ,
        CONFIG_KEY_RUNTIME,
        CONFIG_KEY_SCRATCHPAD,
        CONFIG_KEY_SEND,
        CONFIG_KEY_STREAM,
        TASKS,
    )
    from langgraph._internal._runnable import (
        RunnableCallable,
        RunnableSeq,
        coerce_to_runnable,
        set_config_context,
    )
    from langgraph.pregel import _retry as _retry_loop
    from langgraph.pregel._algo import LazyAtomicCounter
    from langgraph.pregel._messages import StreamMessagesHandler
    from langgraph.pregel._read import DEFAULT_BOUND, PregelNode
    from langgraph.pregel._retry import (
        _should_retry_on,  # pyright: ignore[reportPrivateUsage]
    )
    from langgraph.pregel._write import (
        PASSTHROUGH,
        ChannelWrite,
        ChannelWriteEntry,
        ChannelWriteTupleEntry,
    )
    from langgraph.pregel.protocol import PregelProtocol, StreamProtocol
except ImportError as error:  # pragma: no cover - needs another LangGraph
    raise UnsupportedLangGraph(
        f"coordgate works on langgraph 1.2.18 and newer 1.x; {version('langgraph')} is installed "
        f"and lacks {error.name}: install a supported version, or report this one"
    ) from error

__all__ = [
    "CONFIG_KEY_RUNTIME",
    "CONFIG_KEY_SEND",
    "CONFIG_KEY_STREAM",
    "PASSTHROUGH",
    "TASKS",
    "ChannelWrite",
    "ChannelWriteEntry",
    "ChannelWriteTupleEntry",
    "CompiledStateGraph",
    "Pregel",
    "PregelNode",
    "RunnableCallable",
    "RunnableSeq",
    "StateGraph",
    "StreamMessagesHandler",
    "StreamProtocol",
    "coerce_to_runnable",
    "set_config_context",
]

_TASK_ID = re.compile(r"and id '([^']+)'$")


# A task: what its config holds


def slot(config: Mapping[str, Any]) -> Any:
    """Return the one object that stays with a task over all its attempts, to keep things on."""
    return config["configurable"].get(CONFIG_KEY_READ)


def is_timed(config: Mapping[str, Any]) -> bool:
    """Return whether LangGraph times this attempt: a guard then stands before its writes."""
    send = config["configurable"].get(CONFIG_KEY_SEND)
    return getattr(send, "__self__", None) is None


def writes(config: Mapping[str, Any]) -> Sequence[tuple[str, Any]]:
    """Return what the task has written so far: (channel, value) pairs."""
    read = config["configurable"].get(CONFIG_KEY_READ)
    return read.args[3].writes if isinstance(read, partial) else ()


def with_answers(config: RunnableConfig) -> RunnableConfig:
    """Return a later attempt's config, in which interrupts reuse the answers that the task has.

    From 1.2.20 on LangGraph's own loop sees to it.
    """
    own: dict[str, Any] = config["configurable"]  # pyright: ignore[reportTypedDictNotRequiredAccess] - a task has it
    scratchpad = own.get(CONFIG_KEY_SCRATCHPAD)
    if scratchpad is None or hasattr(_retry_loop, "_reset_interrupt_counter"):
        return config
    counted = replace(scratchpad, interrupt_counter=LazyAtomicCounter())
    return {**config, "configurable": {**own, CONFIG_KEY_SCRATCHPAD: counted}}


def task_id_in(error: BaseException) -> str | None:
    """Return the id of the task that LangGraph's retry loop noted on an error."""
    for note in reversed(getattr(error, "__notes__", ())):
        if found := _TASK_ID.search(note):
            return found[1]
    return None


def retries_on(policy: RetryPolicy, error: Exception) -> bool:
    """Return whether a LangGraph retry policy is for this error."""
    return _should_retry_on(policy, error)


# A compiled graph: what it says of itself


def runnable_nodes(app: Pregel[Any, Any, Any, Any]) -> Iterator[tuple[str, PregelNode]]:
    """Yield the nodes that do something and hand over through a channel write."""
    for name, node in app.nodes.items():
        if name == START or node.bound is DEFAULT_BOUND or not node.flat_writers:
            continue
        if isinstance(node.flat_writers[0], ChannelWrite):
            yield name, node


def state_keys(app: Pregel[Any, Any, Any, Any]) -> list[StateKey]:
    """Return what the graph's state says of each key that a node may write."""
    builder = getattr(app, "builder", None)
    if builder is None:
        written = getattr(app.channels.get(END), "UpdateType", Any)
        if isinstance(written, str | ForwardRef):  # an annotation that LangGraph leaves as text
            written = _returned_by(app)
        return [StateKey(ROOT, written)]
    schemas = [builder.state_schema, *(s for s in builder.schemas if s is not builder.state_schema)]
    hints = [(schema, _hints(schema)) for schema in schemas]
    keys = [_state_key(name, channel, hints) for name, channel in builder.channels.items()]
    return keys + [StateKey(name, Any, "managed") for name in builder.managed]


def _returned_by(app: Pregel[Any, Any, Any, Any]) -> Any:
    """Return what an entrypoint's function says it returns; Any if that cannot be told."""
    functions = [function_of(node) for node in app.nodes.values()]
    try:
        returned = get_type_hints(functions[0], include_extras=True).get("return", Any)
    except (NameError, TypeError, IndexError):
        return Any
    opened = get_origin(returned) is entrypoint.final
    return get_args(returned)[0] if opened else returned


def _state_key(name: str, channel: Any, hints: list[tuple[Any, dict[str, Any]]]) -> StateKey:
    found = [(s, h[name]) for s, h in hints if name in h]
    schema, annotation = found[0] if found else (None, getattr(channel, "UpdateType", Any))
    plain = type(channel).__name__ == "LastValue"
    if len(found) > 1 and name not in hints[0][1] and plain:
        # Not a key of the state itself: each node may write what its own schema says of it.
        schema, annotation = None, Union[tuple(each for _, each in found)]  # noqa: UP007
    model = schema if isinstance(schema, type) and issubclass(schema, BaseModel) else None
    reducer = getattr(channel, "operator", None) or getattr(channel, "reducer", None)
    if reducer is not None:
        if "messages" in getattr(reducer, "__name__", "") and _is_langgraph(reducer):
            return StateKey(name, annotation, "messages", reducer)
        if not hasattr(channel, "operator"):
            return StateKey(name, Any, "reducer", _unknown)
        return StateKey(name, annotation, "reducer", reducer)
    if type(channel).__name__ == "Topic":
        return StateKey(name, channel.UpdateType)
    return StateKey(name, annotation, model=model)


def _unknown(old, new):  # type: ignore[no-untyped-def]  # its parameters must be unannotated
    """Stand in for a reducer over batches of updates, whose update type is not annotated."""


def _is_langgraph(function: Any) -> bool:
    function = getattr(function, "func", function)
    return str(getattr(function, "__module__", "")).startswith("langgraph.")


def _hints(schema: Any) -> dict[str, Any]:
    if not hasattr(schema, "__annotations__"):
        return {ROOT: schema}
    try:
        return get_type_hints(schema, include_extras=True)
    except (NameError, TypeError):
        return {}


def steps_of(seq: RunnableSeq) -> list[Runnable[Any, Any]]:
    """Return the steps of a node's executable: its own, then its writes."""
    return seq.steps


def input_keys(node: PregelNode) -> tuple[str, ...]:
    """Return the state keys that a node is handed; empty where it is handed one value."""
    return tuple(node.channels) if isinstance(node.channels, list) else ()


def static_targets(app: Pregel[Any, Any, Any, Any], name: str) -> tuple[str, ...]:
    """Return where a node's own edges go, conditional ones left out."""
    builder = getattr(app, "builder", None)
    if builder is None:
        return ()
    own = {end for start, end in builder.edges if start == name}
    own |= {end for starts, end in builder.waiting_edges if name in starts}
    return tuple(sorted(own - {END}))


def control_channels(write: ChannelWrite) -> Iterator[str]:
    """Yield the channels by which a write sends control along the node's static edges."""
    for entry in write.writes:
        channel = getattr(entry, "channel", "")
        if channel.startswith(("branch:to:", "join:")):
            yield channel


def target_of(channel: str) -> str:
    """Return the node that a control channel starts."""
    return channel.rpartition(":")[2]


def function_of(node: PregelNode) -> Any:
    """Return the user's own function or Runnable behind a node."""
    bound = node.bound
    found = getattr(bound, "func", None) or getattr(bound, "afunc", None)
    return bound if found is None else found


def subgraph_of(node: PregelNode) -> Pregel[Any, Any, Any, Any] | None:
    """Return the graph that a node is, if it is one."""
    return node.bound if isinstance(node.bound, Pregel) else None


def contains_graph(node: PregelNode) -> bool:
    """Return whether a node is, or calls, another graph."""
    return bool(node.subgraphs) or isinstance(node.bound, PregelProtocol)


def retry_policies(app: Pregel[Any, Any, Any, Any], node: PregelNode) -> tuple[RetryPolicy, ...]:
    """Return the LangGraph retry policies in force on a node: its own, else the graph's."""
    return tuple(node.retry_policy or app.retry_policy or ())


# Guarded copies


def guarded_node(
    node: PregelNode,
    seq: RunnableSeq,
    write: ChannelWrite,
    retry: Sequence[RetryPolicy] | None,
    cache_prefix: str | None,
) -> PregelNode:
    """Return a copy of a node whose executable is `seq`; all else is as it was."""
    guarded = copy.copy(node)
    if retry is not None:
        guarded.retry_policy = tuple(retry)
    if cache_prefix is not None and node.cache_policy is not None:
        guarded.cache_policy = _prefixed(node.cache_policy, cache_prefix)
    guarded.__dict__["flat_writers"] = [write, *node.flat_writers[1:]]
    guarded.__dict__["node"] = seq
    return guarded


def _prefixed(policy: CachePolicy[Any], prefix: str) -> CachePolicy[Any]:
    """Return a cache policy whose keys also depend on what is declared on the node."""

    def key(*args: Any, **kwargs: Any) -> str:
        own = policy.key_func(*args, **kwargs)
        return f"{prefix}:{own if isinstance(own, str) else own.hex()}"

    return CachePolicy(key_func=key, ttl=policy.ttl)


def copy_graph(app: Any, kind: type[Any], nodes: Mapping[str, PregelNode]) -> Any:
    """Return a copy of a compiled graph, as `kind`, with other nodes."""
    made = object.__new__(kind)
    made.__dict__.update(app.__dict__)
    made.nodes = dict(nodes)
    return made


def copy_builder(builder: Any, kind: type[Any]) -> Any:
    """Return a copy of a StateGraph, as `kind`, that can be added to without touching the first."""
    made = object.__new__(kind)
    made.__dict__.update(
        {
            k: copy.copy(v) if isinstance(v, dict | set | list) else v
            for k, v in vars(builder).items()
        }
    )
    made.nodes = {name: copy.copy(spec) for name, spec in builder.nodes.items()}
    for name, branches in builder.branches.items():
        made.branches[name] = dict(branches)
    if hasattr(builder, "_node_defaults"):
        made._node_defaults = copy.copy(builder._node_defaults)
    made.compiled = False
    return made


def as_runnable(thing: Any, name: str) -> Runnable[Any, Any]:
    """Return a node function as the Runnable that LangGraph makes of it."""
    return coerce_to_runnable(thing, name=name, trace=False)


def plain_function(step: Runnable[Any, Any], name: str) -> Callable[[Any], Any] | None:
    """Return a step's `func` or `afunc` if calling it with the state is all that the step does."""
    if type(step) is not RunnableCallable:
        return None
    if step.trace or step.func_accepts or step.kwargs or step.explode_args or not step.recurse:
        return None
    found: Callable[[Any], Any] | None = getattr(step, name)
    return found


class OneStep(RunnableSeq):
    """A sequence of one step, run without what LangGraph does for the steps that follow.

    The traced run, the step's tag and the context of the step are those of a RunnableSeq.
    """

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        """Run the step within the node's traced run."""
        assert config is not None
        manager = self._start(input, config)
        try:
            config, context = _step_context(manager, config)
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
            config, context = _step_context(manager, config)
            step = self.steps[0].ainvoke(input, config, **kwargs)
            output = await asyncio.create_task(step, context=context)
        except BaseException as error:
            await manager.on_chain_error(error)
            raise
        await self._aend(manager, output)
        return output


def _step_context(manager: Any, config: RunnableConfig) -> tuple[RunnableConfig, Context]:
    """Return the config of the first step of a run, and the context that it runs in."""
    config = patch_config(config, callbacks=manager.get_child("seq:step:1"))
    for handler in manager.handlers:
        if isinstance(handler, LangChainTracer):
            with set_config_context(config, handler.run_map.get(str(manager.run_id))) as context:
                # LangGraph enters the context that this leaves set up for the step.
                return config, context.copy()
    context = copy_context()
    context.run(var_child_runnable_config.set, config)
    return config, context


def one_step(like: RunnableSeq, step: Runnable[Any, Any]) -> RunnableSeq:
    """Return a sequence of one step that is traced like another sequence."""
    made = object.__new__(OneStep if hasattr(RunnableSeq, "_start") else RunnableSeq)
    vars(made).update(vars(like))
    made.steps = [step]
    return made
