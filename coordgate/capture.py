"""Captures: what the engine hands to the tracer, raw and cheap, and how it becomes a record.

The engine fills a `RawTransition` while a node runs and passes it to `Tracer.record`. Nothing is
copied or formatted there. On the tracer's thread `settle` turns the raw values into redacted JSON
text, in place, and `freeze` gives the records of `coordgate.record`.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from coordgate.gate import Judgement
from coordgate.observers import Seen
from coordgate.prices import Prices
from coordgate.process import identity
from coordgate.record import (
    Attempt,
    Call,
    GateVerdict,
    Mode,
    Outcome,
    Run,
    RunId,
    RunStatus,
    ThreadId,
    Transition,
    TransitionStatus,
)
from coordgate.values import ValueText

_WITHOUT_OUTPUT = frozenset({"raised", "rerouted", "sent_back", "interrupted", "cancelled"})


class RawRun:
    """A run that starts or ends, as the engine sees it: what its record needs."""

    __slots__ = ("_record", "_values", "seen")

    def __init__(
        self,
        run: str,
        graph: str,
        thread: str | None,
        mode: Mode,
        status: RunStatus,
        started: float,
        ended: float | None = None,
        error: str | None = None,
    ) -> None:
        """Keep what is known; `error` is its text, since the error itself holds the whole run."""
        self._values = (run, graph, thread, mode, status, started, ended, error)
        self.seen: Seen | None = None

    def settle(self, text: ValueText) -> Run:
        """Return the record, redacted."""
        run, graph, thread, mode, status, started, ended, error = self._values
        self._record = Run(
            RunId(run),
            graph,
            None if thread is None else ThreadId(thread),
            mode,
            status,
            started,
            ended,
            None if error is None else text.words(error),
            identity(),
        )
        return self._record

    def freeze(self) -> Run:
        """Return the record, once settled."""
        return self._record

    def observed(self) -> Seen | None:
        """Return what observers saw of a run that has ended, with its record."""
        if self.seen is not None:
            self.seen.record = self._record
        return self.seen


class RawCall:
    """One call of a model as the engine sees it: the fields of `Call`, with raw values."""

    __slots__ = (
        "__weakref__",
        "answer",
        "attempt",
        "began",
        "cost",
        "details",
        "error",
        "finish",
        "gate",
        "model",
        "prices",
        "refused",
        "repeats",
        "seconds",
        "tokens_in",
        "tokens_out",
    )

    def __init__(
        self, attempt: RawAttempt, model: str | None, gate: str | None, prices: Prices | None
    ) -> None:
        """Begin a call; everything else is assigned as it becomes known."""
        self.attempt: RawAttempt | None = attempt
        self.model = model
        self.gate = gate
        self.prices = prices
        self.began = time.perf_counter()
        self.answer: Any = None
        self.finish: str | None = None
        self.tokens_in: int | None = None
        self.tokens_out: int | None = None
        self.details: Mapping[str, int] = {}
        self.cost: float | None = None
        self.seconds: float | None = None
        self.error: str | None = None
        self.refused = False
        self.repeats = 0

    def settle(self, text: ValueText) -> None:
        """Let go of the answer, and redact the error; what ends after this is not recorded."""
        self.attempt = self.answer = None
        if self.error is not None:
            self.error = text.words(self.error)

    def told(self) -> str | None:
        """Return the details as JSON text."""
        return json.dumps(dict(self.details)) if self.details else None

    def freeze(self) -> Call:
        """Return the record of a settled call."""
        return Call(
            self.model,
            self.finish,
            self.tokens_in,
            self.tokens_out,
            self.told(),
            self.cost,
            self.seconds,
            self.gate,
            self.error,
        )


class RawAttempt:
    """One attempt as the engine sees it: the fields of `Attempt`, with raw values.

    `output` is what the attempt handed over, as it is; `judgements` what the gates said;
    `noted` what was judged below the node, such as a route or a tool call.
    """

    # Class attributes are what most attempts never change: one is made on every node's run.
    outcome: Outcome = "accepted"
    seconds: float = 0.0
    reasons: Sequence[str] = ()
    error: str | None = None
    output: Any = None
    judgements: Sequence[Judgement] = ()
    noted: Sequence[Judgement] = ()
    model: str | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    cost: float | None = None
    decision: str | None = None
    by: str | None = None
    calls: Sequence[RawCall] = ()
    seen: Seen | None = None

    def __init__(self, number: int, rung: str) -> None:
        """Begin an attempt; everything else is assigned as it becomes known."""
        self.number = number
        self.rung = rung

    def settle(self, text: ValueText, shipped: Any, written: str | None) -> None:
        """Turn the raw values into text, in place; `written` is the text of `shipped`."""
        output = self.output
        if output is not None and output is shipped:
            self.output = written
        elif output is not None or self.outcome not in _WITHOUT_OUTPUT:
            self.output = text.json(output)
        if self.reasons:
            self.reasons = tuple([text.words(reason) for reason in self.reasons])
        if self.error is not None:
            self.error = text.words(self.error)
        if self.noted:
            self.judgements = (*self.noted, *self.judgements)
        for judgement in self.judgements:
            if judgement.verdict.reason:
                self.judgements = [_redacted(each, text) for each in self.judgements]
                break
        for call in self.calls:
            call.settle(text)

    def freeze(self) -> Attempt:
        """Return the record of a settled attempt."""
        return Attempt(
            self.number,
            self.rung,
            self.outcome,
            self.seconds,
            tuple(self.reasons),
            self.error,
            self.output,
            tuple([_verdict(judgement) for judgement in self.judgements]),
            self.model,
            self.tokens_in,
            self.tokens_out,
            self.cost,
            self.decision,
            self.by,
            tuple([call.freeze() for call in self.calls]),
        )


class RawTransition:
    """One execution of one node as the engine sees it: the fields of `Transition`, with raw values.

    `reads` and `writes` are taken as they are; pass what a node may mutate through `snapshot`.
    Where an attempt's `output` and `writes` are the same object, it is turned into text once.
    """

    __slots__ = (
        "attempts",
        "goto",
        "namespace",
        "node",
        "number",
        "producers",
        "reads",
        "run",
        "seconds",
        "started",
        "status",
        "step",
        "thread",
        "writes",
    )

    def __init__(
        self,
        run: str,
        thread: str | None,
        namespace: str,
        step: int,
        node: str,
        started: float,
        producers: Sequence[str] = (),
        reads: Any = None,
    ) -> None:
        """Begin a transition; everything else is assigned as it becomes known."""
        self.run = run
        self.number = 0
        self.thread = thread
        self.namespace = namespace
        self.step = step
        self.node = node
        self.status: TransitionStatus = "accepted"
        self.started = started
        self.seconds: float = 0.0
        self.producers = producers
        self.goto: Sequence[str] = ()
        self.reads = reads
        self.writes: Any = None
        self.attempts: list[RawAttempt] = []

    def settle(self, text: ValueText) -> None:
        """Turn the raw values into text, in place. Call it once."""
        if self.reads is not None:
            self.reads = text.json(self.reads)
        shipped = self.writes
        written = self.writes = None if shipped is None else text.json(shipped)
        for attempt in self.attempts:
            attempt.settle(text, shipped, written)

    def freeze(self) -> Transition:
        """Return the record of a settled transition."""
        return Transition(
            RunId(self.run),
            self.number,
            None if self.thread is None else ThreadId(self.thread),
            self.namespace,
            self.step,
            self.node,
            self.status,
            self.started,
            self.seconds,
            tuple(self.producers),
            tuple(self.goto),
            self.reads,
            self.writes,
            tuple([attempt.freeze() for attempt in self.attempts]),
        )

    def observed(self) -> Seen | None:
        """Return what observers saw of the node, with the records of it and of its attempts."""
        made = [attempt.seen for attempt in self.attempts if attempt.seen is not None]
        node = made[0].above if made else None
        if node is not None:
            node.record = record = self.freeze()
            node.parts = made
            for seen, attempt in zip(made, record.attempts[-len(made) :], strict=True):
                seen.record = attempt
        return node


class Passed(tuple[Any, ...]):
    """A transition whose first attempt passed at once: what most are, and so kept in one object.

    Its items are the run's id, the transition's number, thread, namespace, step, node, when it
    started, how long it took, its producers, where control went, what the node read, what it
    returned, what it wrote, and the judgements.
    """

    __slots__ = ()

    def settle(self, text: ValueText) -> RawTransition:
        """Return the transition, settled."""
        (
            run,
            number,
            thread,
            namespace,
            step,
            node,
            started,
            seconds,
            producers,
            goto,
            reads,
            output,
            writes,
            judgements,
        ) = self
        raw = RawTransition(run, thread, namespace, step, node, started, producers, reads)
        raw.number, raw.seconds, raw.goto, raw.writes = number, seconds, goto, writes
        attempt = RawAttempt(1, "first")
        attempt.seconds, attempt.output, attempt.judgements = seconds, output, judgements
        raw.attempts.append(attempt)
        raw.settle(text)
        return raw

    def observed(self) -> None:
        """Return None: what observers see is no such capture."""

    def freeze(self) -> Transition:
        """Refuse: settling makes a `RawTransition` of it."""
        raise TypeError("settle it first, and freeze what that returns")


def _verdict(judgement: Judgement) -> GateVerdict:
    verdict = judgement.verdict
    return GateVerdict(
        judgement.gate, verdict.passed, verdict.score, verdict.reason, judgement.seconds
    )


def _redacted(judgement: Judgement, text: ValueText) -> Judgement:
    verdict = judgement.verdict
    if not verdict.reason:
        return judgement
    clean = dataclasses.replace(verdict, reason=text.words(verdict.reason))
    return Judgement(judgement.gate, clean, judgement.seconds)
