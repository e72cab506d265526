"""The exporter: spans that are open while their code runs, and filled when the record is there."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

from langgraph.types import Command
from opentelemetry import metrics, trace
from opentelemetry.context import Context
from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import Link, Span, SpanContext, TracerProvider

from coordgate.errors import ConfigurationError
from coordgate.exporters.otel import names
from coordgate.exporters.otel.calls import CALLS, CallSpans
from coordgate.exporters.otel.content import Content, updates
from coordgate.exporters.otel.metrics import Metrics
from coordgate.exporters.otel.scopes import Scope, pop, push, tidy
from coordgate.observers import Seen
from coordgate.record import Attempt, GateVerdict, Record, Run, Transition
from coordgate.values import ValueText

_MOST_THREADS = 10_000
"""Of so many threads that wait it is known which trace to link the answer to."""


@dataclass(slots=True)
class _Open:
    """What is kept on a part of a run: its span, and what is needed to end it."""

    span: Span
    thread: Mapping[str, str]
    """The attribute that says the thread, for all that is below; empty without one."""
    scope: Scope | None = None
    before: CallSpans | None = None
    calls: CallSpans | None = None
    ended: float = 0.0
    step: int = -1
    writes: list[tuple[str, str | None]] = field(default_factory=list[tuple[str, str | None]])


class OpenTelemetry:
    """Sends each run as one trace, and metrics, to the providers that the program has set up.

    Give it to a tracer as an observer, or to `guard` as the tracer if no record is to be kept:
    `guard(builder, tracer=OpenTelemetry())`. It is current in each node: spans that a node's own
    code starts, and those of tools, retrievers and models, nest in the attempt that made them. The
    spans of a node are sent when its record is made, at most about 0.1 seconds after it ends.
    """

    def __init__(
        self,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        *,
        content: bool = True,
    ) -> None:
        """Take the providers; those not given are the global ones, and none is ever set here.

        With `content=False` nothing is sent that could quote a state: no inputs, outputs, reasons
        or messages of errors. What is sent is redacted and cut as the tracer says.

        Raises:
            ConfigurationError: what is given is no provider.
        """
        for given, kind in ((tracer_provider, TracerProvider), (meter_provider, MeterProvider)):
            if given is not None and not isinstance(given, kind):  # pyright: ignore[reportUnnecessaryIsInstance] - not every caller is type-checked
                raise ConfigurationError(
                    f"OpenTelemetry({given!r}): give a {kind.__name__}, such as "
                    "opentelemetry.sdk.trace.TracerProvider() with a BatchSpanProcessor, or "
                    "nothing for the global one"
                )
        released = version("coordgate")
        self._tracer = trace.get_tracer(
            "coordgate", released, tracer_provider, schema_url=names.SCHEMA_URL
        )
        self._metrics = Metrics(
            metrics.get_meter("coordgate", released, meter_provider, schema_url=names.SCHEMA_URL)
        )
        self._content = content
        self._left: OrderedDict[tuple[str, str], SpanContext] = OrderedDict()
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        """Return it as it would be made."""
        return "OpenTelemetry()" if self._content else "OpenTelemetry(content=False)"

    def write(self, records: Sequence[Record]) -> None:
        """Keep no record: this can stand where a tracer's sink does."""

    def enter(self, seen: Seen) -> None:
        """Start what has not been started, and make it current."""
        tidy()
        if seen.kind == "run":
            opened = seen.kept.get(self) or self._start_run(seen)
        elif seen.kind == "attempt":
            opened = self._start_attempt(seen)
        else:
            told = {names.KIND: names.GUARDRAIL, **_named(seen.name)}
            opened = self._start(seen, f"gate {seen.name}", told)
        opened.scope = push(opened.span)
        if seen.kind == "attempt":
            opened.before = CALLS.get()
            opened.calls = CallSpans(self._tracer, opened.thread)
            CALLS.set(opened.calls)

    def leave(self, seen: Seen) -> None:
        """Make current what was before."""
        opened: _Open | None = seen.kept.get(self)
        if opened is None or opened.scope is None:
            return
        pop(opened.scope)
        opened.ended = time.time()
        if opened.calls is not None and CALLS.get() is opened.calls:
            CALLS.set(opened.before)

    def recorded(self, seen: Seen, text: ValueText) -> None:
        """End the spans of a node and its attempts, or of a run, with what the record says."""
        content = Content(text, shown=self._content)
        record = seen.record
        if isinstance(record, Transition):
            self._metrics.node(record)
            self._end_node(seen, record, content)
        elif isinstance(record, Run):
            self._metrics.run(record)
            self._end_run(seen, record, content)

    def _start(
        self,
        seen: Seen,
        name: str,
        told: dict[str, Any],
        context: Context | None = None,
        links: Sequence[Link] = (),
    ) -> _Open:
        around: _Open | None = None if seen.above is None else seen.above.kept.get(self)
        thread: Mapping[str, str] = {} if around is None else around.thread
        if seen.thread is not None:
            thread = {names.SESSION: seen.thread}
        span = self._tracer.start_span(
            name,
            context,
            attributes={**told, **thread, names.RUN: seen.run},
            links=links,
            start_time=_nanoseconds(seen.started),
        )
        opened = seen.kept[self] = _Open(span, thread)
        return opened

    def _start_run(self, seen: Seen) -> _Open:
        told = {
            names.KIND: names.CHAIN,
            names.OPERATION: names.INVOKE_WORKFLOW,
            names.WORKFLOW_NAME: seen.name,
            names.GRAPH: seen.name,
        }
        links: list[Link] = []
        if seen.thread is not None:
            told[names.CONVERSATION] = seen.thread
            with self._lock:
                earlier = self._left.pop((seen.name, seen.thread), None)
            if earlier is not None and (seen.input is None or isinstance(seen.input, Command)):
                links.append(Link(earlier, {names.LINK: "goes on"}))
        opened = self._start(seen, f"{names.INVOKE_WORKFLOW} {seen.name}", told, links=links)
        if seen.thread is not None:
            with self._lock:
                self._left[seen.name, seen.thread] = opened.span.get_span_context()
                if len(self._left) > _MOST_THREADS:
                    self._left.popitem(last=False)
        return opened

    def _start_attempt(self, seen: Seen) -> _Open:
        node = seen.above
        assert node is not None
        told: dict[str, Any] = {names.KIND: names.CHAIN, names.NODE: seen.name}
        around: _Open = node.kept.get(self) or self._start(node, f"node {node.name}", told)
        told |= {names.ATTEMPT: seen.number, names.RUNG: seen.rung}
        inside = trace.set_span_in_context(around.span)
        return self._start(seen, f"attempt {seen.rung}", told, inside)

    def _end_run(self, seen: Seen, run: Run, content: Content) -> None:
        opened: _Open | None = seen.kept.get(self)
        if opened is None:
            return
        if seen.thread is not None and run.status == "completed":
            with self._lock:
                if self._left.get((seen.name, seen.thread)) == opened.span.get_span_context():
                    del self._left[seen.name, seen.thread]
        if opened.span.is_recording():
            returned = seen.output
            if returned is None and opened.writes and run.status == "completed":
                returned = updates(opened.writes)
            content.run(opened.span, run, seen.input, returned)
        opened.span.end(_nanoseconds(run.ended or seen.started))

    def _end_node(self, seen: Seen, node: Transition, content: Content) -> None:
        opened: _Open | None = seen.kept.get(self)
        if opened is None:
            return
        for part in seen.parts:
            if isinstance(part.record, Attempt):
                self._end_attempt(part, part.record, node, content)
        if opened.span.is_recording():
            content.node(opened.span, node)
        opened.span.end(_nanoseconds(seen.started + node.seconds))
        self._keep_writes(seen, node)

    def _keep_writes(self, seen: Seen, node: Transition) -> None:
        """Keep what the last step of the graph itself has written: what a stream comes to."""
        run = seen.above
        opened: _Open | None = None if run is None else run.kept.get(self)
        if run is None or run.kind != "run" or opened is None:
            return
        if node.step > opened.step:
            opened.step, opened.writes = node.step, []
        if node.step == opened.step:
            opened.writes.append((node.node, node.writes))

    def _end_attempt(
        self, seen: Seen, attempt: Attempt, node: Transition, content: Content
    ) -> None:
        opened: _Open | None = seen.kept.get(self)
        if opened is None:
            return
        ended = seen.started + attempt.seconds
        for call in opened.calls.made if opened.calls is not None else ():
            call.finish(content, self._metrics, _nanoseconds(ended))
        self._end_gates(seen, opened, attempt, content, ended)
        if opened.span.is_recording():
            content.attempt(opened.span, attempt, node)
        opened.span.end(_nanoseconds(ended))

    def _end_gates(
        self, seen: Seen, opened: _Open, attempt: Attempt, content: Content, ended: float
    ) -> None:
        """End the spans of gates that waited, and make those of the others.

        Of a quick gate it is known how long it took, and that it was asked after the body, before
        the next one: so they are put one after the other, up to the attempt's end.
        """
        inside = trace.set_span_in_context(opened.span)
        waited = {id(part): part for part in seen.parts}
        noted, last = seen.noted, ended
        placed: list[tuple[GateVerdict, str | None, Seen | None, float, float]] = []
        for place, verdict in reversed(list(enumerate(attempt.verdicts))):
            if place < len(noted):
                at, about = noted[place]
                judged = content.text_of(about)
                placed.append((verdict, judged, None, at - verdict.seconds, at))
                continue
            part = next((each for each in waited.values() if each.name == verdict.gate), None)
            if part is not None:
                del waited[id(part)]
                begun = part.started
                placed.append((verdict, attempt.output, part, begun, begun + verdict.seconds))
            else:
                begun = max(seen.started, last - verdict.seconds)
                placed.append((verdict, attempt.output, None, begun, last))
            last = min(last, begun)
        for verdict, judged, part, begun, over in reversed(placed):
            known: _Open | None = None if part is None else part.kept.get(self)
            span = (
                self._gate(opened, seen.run, verdict, inside, begun)
                if known is None
                else known.span
            )
            if span.is_recording():
                content.gate(span, verdict, judged)
            span.end(_nanoseconds(over))
        for part in waited.values():  # asked, and nobody waited for the answer
            left: _Open | None = part.kept.get(self)
            if left is not None:
                content.made(left.span, names.INPUT, attempt.output or "null")
                content.made(left.span, names.OUTPUT, '{"status": "not ended"}')
                left.span.end(_nanoseconds(left.ended or ended))

    def _gate(
        self, around: _Open, run: str, verdict: GateVerdict, inside: Context, begun: float
    ) -> Span:
        told = {names.KIND: names.GUARDRAIL, names.RUN: run, **_named(verdict.gate)}
        told.update(around.thread)
        return self._tracer.start_span(
            f"gate {verdict.gate}", inside, attributes=told, start_time=_nanoseconds(begun)
        )


def _named(name: str) -> dict[str, Any]:
    return {names.GATE: name, names.EVALUATION_NAME: name}


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1_000_000_000)
