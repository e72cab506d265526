"""The one file that touches LangGraph's private names: a release that moves them breaks this file.

It reads a compiled graph (its edges and retry policies), reads a task's config (its
writes, a place to keep what belongs to it), and makes guarded copies of graphs.
"""

# Much of LangGraph is generic in parameters that its own signatures leave open:
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

import copy
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from typing import Any

from langchain_core.runnables import Runnable, RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.pregel import Pregel
from langgraph.types import RetryPolicy

from coordgate.errors import UnsupportedLangGraph

try:
    from langgraph._internal._config import patch_config
    from langgraph._internal._constants import (
        CONFIG_KEY_CALL,
        CONFIG_KEY_CHECKPOINT_NS,
        CONFIG_KEY_CHECKPOINTER,
        CONFIG_KEY_READ,
        CONFIG_KEY_RESUMING,
        CONFIG_KEY_RUNTIME,
        CONFIG_KEY_SCRATCHPAD,
        CONFIG_KEY_SEND,
        CONFIG_KEY_STREAM,
        CONFIG_KEY_TASK_ID,
        INTERRUPT,
        RESUME,
        TASKS,
    )
    from langgraph._internal._runnable import (
        RunnableCallable,
        RunnableSeq,
        coerce_to_runnable,
        set_config_context,
    )
    from langgraph.graph._branch import BranchSpec
    from langgraph.pregel import _retry as _retry_loop
    from langgraph.pregel._algo import (
        Call,
        LazyAtomicCounter,
        _scratchpad,  # pyright: ignore[reportPrivateUsage]
        task_path_str,
    )
    from langgraph.pregel._loop import PregelLoop
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
    "CONFIG_KEY_READ",
    "CONFIG_KEY_RUNTIME",
    "CONFIG_KEY_SEND",
    "CONFIG_KEY_STREAM",
    "CONFIG_KEY_TASK_ID",
    "INTERRUPT",
    "PASSTHROUGH",
    "TASKS",
    "BranchSpec",
    "Call",
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
    "patch_config",
    "set_config_context",
    "task_path_str",
]

_TASK_ID = re.compile(r"and id '([^']+)'$")


# A task: what its config holds


def slot(config: Mapping[str, Any]) -> Any:
    """Return the one object that stays with a task over all its attempts, to keep things on."""
    return config["configurable"].get(CONFIG_KEY_READ)


def writes(config: Mapping[str, Any]) -> Sequence[tuple[str, Any]]:
    """Return what the task has written so far: (channel, value) pairs."""
    read = config["configurable"].get(CONFIG_KEY_READ)
    return read.args[3].writes if isinstance(read, partial) else ()


def take_back(config: Mapping[str, Any]) -> None:
    """Take back what the task has written, but for the answers it was given.

    LangGraph keeps what a task had written when it failed, and takes it for done on a resume.
    """
    written: Any = writes(config)
    if written:
        answers_kept = [each for each in written if each[0] == RESUME]
        written.clear()
        written.extend(answers_kept)


def channel(config: Mapping[str, Any], name: str) -> Any:
    """Return the value of one of the graph's channels when the task began."""
    return config["configurable"][CONFIG_KEY_READ](name)


def keep_from_cache(config: Mapping[str, Any]) -> None:
    """Have what the task writes left out of LangGraph's cache, if it would go there."""
    call = config["configurable"].get(CONFIG_KEY_CALL)
    for cell in getattr(call, "__closure__", None) or ():  # a timed attempt's guard is around it
        call = cell.cell_contents if isinstance(cell.cell_contents, partial) else call
    task = call.args[0]() if isinstance(call, partial) else None
    if task is not None:
        object.__setattr__(task, "cache_key", None)


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


def has_checkpointer(config: Mapping[str, Any]) -> bool:
    """Return whether what the task writes can be read again later."""
    return config["configurable"].get(CONFIG_KEY_CHECKPOINTER) is not None


def being_saved(config: Mapping[str, Any]) -> Iterator[Any]:
    """Yield the futures of the checkpoints that a task starts from: its graph's, and outwards."""
    loop = loop_of(config)
    while loop is not None:
        saving = getattr(loop, "_put_checkpoint_fut", None)
        if saving is not None:
            yield saving
        loop = loop_of(loop.config)


def waiting(config: Mapping[str, Any]) -> Iterator[Any]:
    """Yield the values of the interrupts that the task was waiting with when the run began."""
    pad = config["configurable"][CONFIG_KEY_SCRATCHPAD]
    task = config["configurable"].get(CONFIG_KEY_TASK_ID)
    for task_id, channel, value in _loaded(pad).get("pending_writes", ()):
        if task_id == task and channel == INTERRUPT:
            for each in value if isinstance(value, list | tuple) else (value,):
                yield each.value


def answers(config: Mapping[str, Any]) -> list[Any]:
    """Return the task's own list of the answers to its interrupts, in their order."""
    found: list[Any] = config["configurable"][CONFIG_KEY_SCRATCHPAD].resume
    return found


def keep_answers(config: Mapping[str, Any]) -> None:
    """Have all the answers of a task that pauses kept; LangGraph keeps those it asked for last."""
    known = answers(config)
    if known:
        config["configurable"][CONFIG_KEY_SEND]([(RESUME, list(known))])


def answers_given(config: Mapping[str, Any]) -> list[Any]:
    """Return what stands for `Command(resume=...)`, of the task's graph and those around it.

    LangGraph keeps it with the checkpoint after it was taken, and gives it again in a later run.
    """
    found: list[Any] = []
    pad = config["configurable"][CONFIG_KEY_SCRATCHPAD]
    while pad is not None:
        loaded = _loaded(pad)
        given = loaded.get("null_resume_write")
        if given is not None:
            found.append(given[2])
        pad = loaded.get("parent_scratchpad")
    return found


def is_answered(config: Mapping[str, Any], position: int) -> bool:
    """Return whether the interrupt at a position has an answer."""
    pad = config["configurable"][CONFIG_KEY_SCRATCHPAD]
    return len(pad.resume) > position or pad.get_null_resume(False) is not None


def asking(
    config: RunnableConfig, position: int, *, beside: frozenset[int] = frozenset(), takes: bool
) -> RunnableConfig:
    """Return a config in which interrupts count from a position, and leave out those in `beside`.

    With `takes` unset they take no answer that is not the task's own.
    """
    own: dict[str, Any] = config["configurable"]  # pyright: ignore[reportTypedDictNotRequiredAccess] - a task has it
    pad = own[CONFIG_KEY_SCRATCHPAD]
    free = itertools.filterfalse(beside.__contains__, itertools.count(position))
    changed = replace(pad, interrupt_counter=free.__next__)
    if not takes:
        changed = replace(changed, get_null_resume=_no_answer)
    return {**config, "configurable": {**own, CONFIG_KEY_SCRATCHPAD: changed}}


def _no_answer(consume: bool = False) -> None:
    """Stand in for a task's way to `Command(resume=...)`."""


def _loaded(pad: Any) -> Mapping[str, Any]:
    """Return what LangGraph made a task's scratchpad of."""
    return _enclosed(pad.get_null_resume)


def _enclosed(function: Any) -> Mapping[str, Any]:
    """Return what a function has from the one around it."""
    cells = function.__closure__ or ()
    names = function.__code__.co_freevars
    return {name: cell.cell_contents for name, cell in zip(names, cells, strict=True)}


def loop_of(config: Mapping[str, Any]) -> Any:
    """Return the loop that runs a task; None for a write that no running task makes."""
    call = config["configurable"].get(CONFIG_KEY_CALL)
    if call is not None and not isinstance(call, partial):
        call = _enclosed(call)["call"]  # a timed attempt's own is behind a guard
    return None if call is None else call.keywords["schedule_task"].__self__


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


def steps_of(seq: RunnableSeq) -> list[Runnable[Any, Any]]:
    """Return the steps of a node's executable: its own, then its writes."""
    return seq.steps


def function_of(node: PregelNode) -> Any:
    """Return the user's own function or Runnable behind a node."""
    bound = node.bound
    found = getattr(bound, "func", None) or getattr(bound, "afunc", None)
    return bound if found is None else found


def subgraph_of(node: PregelNode) -> Pregel[Any, Any, Any, Any] | None:
    """Return the graph that a node is, if it is one."""
    return node.bound if isinstance(node.bound, Pregel) else None


def contains_graph(node: PregelNode) -> bool:
    """Return whether a node is, or names, another graph."""
    return bool(node.subgraphs) or isinstance(node.bound, PregelProtocol)


def retry_policies(app: Pregel[Any, Any, Any, Any], node: PregelNode) -> tuple[RetryPolicy, ...]:
    """Return the LangGraph retry policies in force on a node: its own, else the graph's."""
    return tuple(node.retry_policy or app.retry_policy or ())


# A run of a graph: what it is invoked with


def saver_of(app: Any, config: RunnableConfig) -> BaseCheckpointSaver[Any] | None:
    """Return the saver that a graph uses when it is invoked with a config, if any."""
    if app.checkpointer is False:
        return None
    found = config.get("configurable", {}).get(CONFIG_KEY_CHECKPOINTER) or app.checkpointer
    return found if isinstance(found, BaseCheckpointSaver) else None


def namespace_of(config: RunnableConfig) -> str:
    """Return the checkpoint namespace that a graph is invoked in: empty, unless it is nested."""
    return str(config.get("configurable", {}).get(CONFIG_KEY_CHECKPOINT_NS) or "")


def is_resuming(config: RunnableConfig) -> bool:
    """Return whether the graph around a nested one goes on where it had stopped."""
    return bool(config.get("configurable", {}).get(CONFIG_KEY_RESUMING))


# Guarded copies


def copy_graph(
    app: Any,
    kind: type[Any],
    nodes: Mapping[str, PregelNode],
    channels: Mapping[str, Any] | None = None,
) -> Any:
    """Return a copy of a compiled graph, as `kind`, with other nodes, and channels if given."""
    made = object.__new__(kind)
    made.__dict__.update(app.__dict__)
    made.nodes = dict(nodes)
    if channels is not None:
        made.channels = dict(channels)
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


if not {"pending_writes", "null_resume_write", "parent_scratchpad"} <= {
    *_scratchpad.__code__.co_cellvars
} or "_put_checkpoint_fut" not in {
    *PregelLoop._put_checkpoint.__code__.co_names  # pyright: ignore[reportPrivateUsage]
}:  # pragma: no cover - needs another LangGraph
    raise UnsupportedLangGraph(
        "coordgate reads a task's pending interrupt and the checkpoint being saved, which "
        f"langgraph {version('langgraph')} keeps elsewhere: install 1.2.18 to 1.2.22, or report "
        "this one"
    )
