"""One run of a guarded graph: who handed over to whom, which transitions are open, how it ended."""

from __future__ import annotations

import itertools
import time
import uuid
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from coordgate.capture import RawTransition
from coordgate.process import identity
from coordgate.tracer import Mode, Run, RunId, RunStatus, ThreadId, Tracer

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

RUN: ContextVar[RunContext | None] = ContextVar("coordgate_run", default=None)
"""The run that the current code is part of."""

_BRANCH = "branch:to:"
_JOIN = "join:"
_SENDS = "__pregel_tasks"


class RunContext:
    """What the nodes of one run share. Its methods may be called from many threads."""

    __slots__ = ("_count", "_handed", "error", "graph", "id", "interrupted", "mode", "open", "started", "streams", "thread", "tracer")

    def __init__(
        self,
        *,
        graph: str,
        thread: str | None,
        mode: Mode,
        tracer: Tracer | None,
        streams: frozenset[str] = frozenset(),
    ) -> None:
        """Start a run; it is recorded at once, so that a lost one can be told."""
        self.id = uuid.uuid4().hex
        self.graph = graph
        self.thread = thread
        self.mode: Mode = mode
        self.tracer = tracer
        self.streams = streams
        self.started = time.time()
        self.interrupted = False
        self.error: BaseException | None = None
        self.open: dict[int, Any] = {}
        self._count = itertools.count(1)
        self._handed: dict[tuple[str, str], list[str]] = {}
        if tracer is not None:
            tracer.record(self._record("running"))

    def finish(self, error: BaseException | None, *, cancelled: bool = False) -> None:
        """End the run with a status; transitions that were still open end with it."""
        self.error = error
        for ladder in list(self.open.values()):
            ladder.close(error)
        if self.tracer is None:
            return
        status: RunStatus = "completed"
        if cancelled:
            status = "cancelled"
        elif error is not None:
            status = "failed"
        elif self.interrupted:
            status = "interrupted"
        self.tracer.record(self._record(status, time.time(), error))

    def emit(self, transition: RawTransition) -> None:
        """Record a transition as the next one of this run."""
        if self.tracer is not None:
            transition.number = next(self._count)
            self.tracer.record(transition)

    def hand_over(self, namespace: str, node: str, writes: Iterable[tuple[str, Any]]) -> tuple[str, ...]:
        """Note where a node's writes send control; return the targets, in order."""
        found: list[str] = []
        for channel, value in writes:
            if channel.startswith(_BRANCH):
                target = channel[len(_BRANCH) :]
            elif channel == _SENDS:
                target = getattr(value, "node", "")
                channel = f"{_SENDS}:{target}"
            elif channel.startswith(_JOIN):
                target = channel.rpartition(":")[2]
            else:
                continue
            self._handed.setdefault((namespace, channel), []).append(node)
            if target not in found:
                found.append(target)
        return tuple(found)

    def producers(self, namespace: str, node: str, triggers: Sequence[str]) -> tuple[str, ...]:
        """Return the nodes that handed over to a task, by what triggered it."""
        found: list[str] = []
        for trigger in triggers:
            if trigger == "__pregel_push":
                handed = self._handed.get((namespace, f"{_SENDS}:{node}"), ())
            else:
                handed = self._handed.pop((namespace, trigger), ())
            found += [name for name in handed if name not in found]
        return tuple(found)

    def _record(
        self, status: RunStatus, ended: float | None = None, error: BaseException | None = None
    ) -> Run:
        return Run(
            id=RunId(self.id),
            graph=self.graph,
            thread=None if self.thread is None else ThreadId(self.thread),
            mode=self.mode,
            status=status,
            started=self.started,
            ended=ended,
            error=None if error is None else f"{type(error).__name__}: {error}",
            process=identity(),
        )
