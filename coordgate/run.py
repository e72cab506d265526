"""One run of a guarded graph: who handed over to whom, which transitions are open, how it ended."""

from __future__ import annotations

import itertools
import os
import random
import threading
import time
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from coordgate.accounts import KeptAccount
from coordgate.capture import RawRun, RawTransition
from coordgate.observers import Seen
from coordgate.prices import Prices
from coordgate.record import Mode, RunStatus
from coordgate.tracer import Tracer

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

RUN: ContextVar[RunContext | None] = ContextVar("coordgate_run", default=None)
"""The run that the current code is part of."""

BRANCH = "branch:to:"
"""What LangGraph's channels that start a node are called, before the node's name."""
JOIN = "join:"
"""What its channels that wait for several nodes are called."""

_SENDS = "__pregel_tasks"


PUSHED = ("__pregel_push",)
"""What LangGraph says triggered a task that was sent."""

_handing = threading.Lock()
_random = random.SystemRandom()
_seeded = random.Random(_random.getrandbits(128))  # noqa: S311 - an id, not a secret


def _reseed() -> None:
    _seeded.seed(_random.getrandbits(128))


os.register_at_fork(after_in_child=_reseed)


def _new_id() -> str:
    """Return an id whose order is that of time. The random half costs no system call."""
    return f"{time.time_ns():016x}{_seeded.getrandbits(64):016x}"


class RunContext:
    """What the nodes of one run share. Its methods may be called from many threads."""

    __slots__ = (
        "_lock",
        "account",
        "count",
        "enters",
        "error",
        "goes_on",
        "graph",
        "handed",
        "id",
        "interrupted",
        "mode",
        "open",
        "prices",
        "resumed",
        "seen",
        "started",
        "streams",
        "thread",
        "tracer",
    )

    def __init__(
        self,
        graph: str,
        thread: str | None,
        mode: Mode,
        tracer: Tracer | None,
        streams: frozenset[str] = frozenset(),
        prices: Prices | None = None,
    ) -> None:
        """Start a run; it is recorded at once, so that a lost one can be told."""
        self.id = _new_id()
        self.graph = graph
        self.thread = thread
        self.mode: Mode = mode
        self.tracer = tracer
        self.streams = streams
        self.prices = prices
        self.started = time.time()
        self.account: KeptAccount | None = None
        self.seen: Seen | None = None
        if tracer is not None and tracer.observers.each and tracer.observers.awake():
            self.seen = Seen(
                "run", graph, tracer.observers, run=self.id, thread=thread, started=self.started
            )
        self.enters = self.seen is not None
        self.goes_on = False
        self.interrupted = False
        self.resumed = False
        self.error: BaseException | None = None
        self.open: dict[int, Any] = {}
        self.count = itertools.count(1)
        self.handed: dict[str | tuple[str, str], tuple[str, ...]] = {}
        self._lock = _handing
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
        record = self._record(status, time.time(), error)
        record.seen = self.seen
        self.tracer.record(record)

    def emit(self, transition: RawTransition) -> None:
        """Record a transition as the next one of this run."""
        if self.tracer is not None:
            transition.number = next(self.count)
            self.tracer.record(transition)

    def hand_over_along(self, namespace: str, node: tuple[str], channels: Sequence[str]) -> None:
        """Note that a node, in a tuple by itself, sends control through some channels."""
        handed = self.handed
        for channel in channels:
            key = (namespace, channel) if namespace else channel
            if handed.setdefault(key, node) is not node:
                with self._lock:
                    handed[key] += node

    def hand_over(
        self, namespace: str, node: tuple[str], writes: Iterable[tuple[str, Any]]
    ) -> tuple[str, ...]:
        """Note where a node's writes send control; return the targets, in order."""
        found: list[str] = []
        for channel, value in writes:
            if channel.startswith(BRANCH):
                target = channel[len(BRANCH) :]
            elif channel == _SENDS:
                target = getattr(value, "node", "")
                channel = f"{_SENDS}:{target}"
            elif channel.startswith(JOIN):
                target = channel.rpartition(":")[2]
            else:
                continue
            self.hand_over_along(namespace, node, (channel,))
            if target not in found:
                found.append(target)
        return tuple(found)

    def producers(self, namespace: str, node: str, triggers: Sequence[str]) -> tuple[str, ...]:
        """Return the nodes that handed over to a task, by what triggered it."""
        if triggers == PUSHED:
            sends = f"{_SENDS}:{node}"
            handed = self.handed.get((namespace, sends) if namespace else sends, ())
            return tuple(dict.fromkeys(handed))
        found: tuple[str, ...] = ()
        for trigger in triggers:
            found += self.handed.pop((namespace, trigger) if namespace else trigger, ())
        return found if len(found) < 2 else tuple(dict.fromkeys(found))

    def _record(
        self, status: RunStatus, ended: float | None = None, error: BaseException | None = None
    ) -> RawRun:
        said = None if error is None else f"{type(error).__name__}: {error}"
        return RawRun(
            self.id, self.graph, self.thread, self.mode, status, self.started, ended, said
        )
