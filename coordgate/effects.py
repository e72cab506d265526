"""Effects: what a node does outside the graph, its key, and what must be saved before it is done.

The key names a task by the checkpoint that the task starts from. So that checkpoint must be saved
before the node runs: had the process died between the two, the run would go on from an older one,
and come to the same node as another task, with another key.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import hashlib
from typing import Any, Protocol, cast

from langgraph.config import get_config

from coordgate import _langgraph as lg
from coordgate.errors import UngatedError
from coordgate.node import RUNNING
from coordgate.plan import NodePlan


class Acting(Protocol):
    """What is asked of the attempt at a node that has effects, and of those around it."""

    node: NodePlan
    config: Any
    above: Any
    acted: bool


def idempotency_key() -> str:
    """Return the key of the task that is being run, to pass on to what must happen only once.

    It is the same in every attempt at the task: across retries, resumes, processes and crashes.
    Another task has another: the next turn of a loop, a sibling under `Send`, another thread, a
    branch forked from an older checkpoint. Without a checkpointer it is the same for the attempts
    of one run.

    Declare `effects="external"` or `"idempotent"` on the node: only then is the checkpoint that
    the task starts from sure to be saved before the node runs.

    Raises:
        UngatedError: no guarded node is being run here.
    """
    if RUNNING.get() is None:
        raise UngatedError(
            "coordgate.idempotency_key() names the task of a guarded node, and none is being run "
            "here; call it within a node of a guarded graph: app = guard(builder).compile(...)"
        )
    config = get_config()
    thread = config.get("configurable", {}).get("thread_id")
    namespace = config["metadata"]["langgraph_checkpoint_ns"]  # pyright: ignore[reportTypedDictNotRequiredAccess] - a task has it
    return hashlib.sha256(f"{thread}\n{namespace}".encode()).hexdigest()[:40]


def begin(turn: Acting) -> None:
    """Wait until the checkpoints that a task starts from are saved; note that it is about to act.

    Raises:
        Exception: one could not be saved, so the node is not run.
    """
    for saving in lg.being_saved(turn.config):
        if isinstance(saving, concurrent.futures.Future) or saving.done():
            saving.result()
        elif saving.get_loop() is not _loop():  # which could save nothing while it waits here
            _from_outside(saving).result()
    _note(turn)


async def abegin(turn: Acting) -> None:
    """Do what `begin` does, in the event loop."""
    for saving in lg.being_saved(turn.config):
        future: Any = saving
        if isinstance(saving, concurrent.futures.Future):
            future = asyncio.wrap_future(cast("concurrent.futures.Future[object]", saving))
        elif saving.get_loop() is not _loop():
            future = asyncio.wrap_future(_from_outside(saving))
        await asyncio.shield(future)
    _note(turn)


def _note(turn: Acting) -> None:
    each: Any = turn if turn.node.guard.effects == "external" else None
    while each is not None:
        each.acted = True
        each = each.above


def _loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _from_outside(saving: asyncio.Future[Any]) -> concurrent.futures.Future[None]:
    """Return what is done when a future of an event loop in another thread is."""

    async def finished() -> None:
        await asyncio.shield(saving)

    return asyncio.run_coroutine_threadsafe(finished(), saving.get_loop())
