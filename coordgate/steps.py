"""Steps: what the tasks of one step of a running graph hand over, and the state that they leave."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple, Self, TypeAlias

from langchain_core.runnables import RunnableConfig
from langgraph.errors import EmptyChannelError

from coordgate import _langgraph as lg
from coordgate.snapshots import snapshot

Pairs: TypeAlias = Sequence[tuple[str, Any]]
"""What a task writes to the state: keys and values, as LangGraph writes them."""


class Written(NamedTuple):
    """What one task of a step writes."""

    node: str
    """Its node."""
    path: tuple[Any, ...]
    """Its place among the tasks of the step, by which LangGraph orders their writes."""
    pairs: Pairs
    """The keys and values."""


class Reading(NamedTuple):
    """The state that a step began with, and how to read it as some writes would leave it."""

    pad: Any
    """What the managed values are counted from."""
    channels: Mapping[str, Any]
    """The channels, which the step leaves as they are until it ends."""
    managed: Mapping[str, Any]
    """The values that LangGraph manages."""

    @classmethod
    def of(cls, config: RunnableConfig) -> Self:
        """Return what a task reads."""
        return cls(*lg.slot(config).args[:3])

    def values(self, keys: Sequence[str], pairs: Pairs) -> dict[str, Any]:
        """Return the keys' values after some writes; a key that has none is left out.

        Raises:
            Exception: a reducer, or a channel, refuses a write.
        """
        written: dict[str, list[Any]] = {}
        for key, value in pairs:
            written.setdefault(key, []).append(value)
        found: dict[str, Any] = {}
        for key in keys:
            if key in self.managed:
                found[key] = self.managed[key].get(self.pad)
                continue
            channel = self.channels[key]
            if key in written:
                channel = channel.copy()
                if hasattr(channel, "value"):  # a reducer may change in place what it is given
                    channel.value = snapshot(channel.value)
                channel.update(written[key])
            try:
                found[key] = channel.get()
            except EmptyChannelError:
                continue
        return found


Stop: TypeAlias = Callable[[Reading, Sequence[Written]], None]
"""Looks at a step before it is kept, and raises if it must not be."""


class Step:
    """The step that a running graph is at. One object stays with the run over all its steps."""

    def __init__(self, loop: Any) -> None:
        """Begin with the first task that asks for it."""
        self._loop: Callable[[], Any] = weakref.ref(loop)
        self._lock = threading.Lock()
        self._number = -2
        self._handed: dict[str, Written] = {}
        self._judged: frozenset[str] = frozenset()

    @classmethod
    def of(cls, config: RunnableConfig) -> Step | None:
        """Return the step that a task is part of; None for an update by hand."""
        loop = None if is_by_hand(config) else lg.loop_of(config)
        if loop is None:
            return None
        kept: Any = loop.__dict__
        return kept.setdefault("coordgate", cls(loop))  # type: ignore[no-any-return]

    def hand(self, config: RunnableConfig, node: str, pairs: Pairs) -> list[Written] | None:
        """Note what a task writes; return what all of the step do, or None while some have not.

        A task whose writes were kept, from before an interrupt or in a cache, has written.
        """
        loop = self._loop()
        with self._lock:
            if loop.step != self._number:
                self._number = loop.step
                self._handed.clear()
            self._handed[_task_of(config)] = Written(node, lg.slot(config).args[3].path, pairs)
            found = self._written(loop)
            if found is not None:
                self._judged = frozenset(loop.tasks)
            return found

    def withdraw(self, config: RunnableConfig) -> None:
        """Forget what a task wanted to write."""
        with self._lock:
            self._handed.pop(_task_of(config), None)
            self._judged = frozenset()

    def at_join(self, stop: Stop) -> None:
        """Have a step that no task of it has judged looked at when all of them have ended."""
        loop = self._loop()
        if "after_tick" in vars(loop):
            return

        original: Callable[[Any], None] = loop.__class__.after_tick

        def after_tick() -> None:
            loop = self._loop()
            if not self._judged.issuperset(loop.tasks):
                pad = SimpleNamespace(step=loop.step, stop=loop.stop)
                written = self._written(loop)
                if written is not None:
                    stop(Reading(pad, loop.channels, loop.managed), written)
            original(loop)

        loop.after_tick = after_tick

    def _written(self, loop: Any) -> list[Written] | None:
        found: list[Written] = []
        for task in list(loop.tasks.values()):
            if isinstance(task.path[-1], lg.Call):
                continue  # a `@task` that a node called writes no state
            handed = self._handed.get(task.id)
            if handed is None and not task.writes:
                return None
            found.append(handed or Written(task.name, task.path, list(task.writes)))
        return sorted(found, key=lambda each: lg.task_path_str(each.path))  # pyright: ignore[reportUnknownMemberType] - LangGraph leaves it open


def is_by_hand(config: RunnableConfig) -> bool:
    """Return whether a write is one of `update_state`."""
    return bool(lg.slot(config).args[3].triggers == [lg.INTERRUPT])


def _task_of(config: RunnableConfig) -> str:
    own: dict[str, Any] = config["configurable"]  # pyright: ignore[reportTypedDictNotRequiredAccess] - a task has it
    return str(own[lg.CONFIG_KEY_TASK_ID])
