"""Traces in memory, as an outline that a test can compare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from langgraph.graph import START, StateGraph
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import Sampler

from coordgate import guard
from coordgate.exporters.otel import OpenTelemetry
from coordgate.testing import Recordings
from coordgate.tracer import Tracer


class State(TypedDict, total=False):
    """The state of the graphs here."""

    text: str
    other: str


THREAD: Any = {"configurable": {"thread_id": "t-1"}}


def says(text: str) -> Any:
    """Return a node that writes a text."""

    def node(state: State) -> State:
        return {"text": text}

    return node


class Traces:
    """A tracer provider of the tests' own, and what was sent to it."""

    def __init__(self, *, sampler: Sampler | None = None, **settings: Any) -> None:
        """Set up; settings are those of the exporter."""
        self._memory = InMemorySpanExporter()
        self._reader = InMemoryMetricReader()
        self.provider = TracerProvider(sampler, shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self._memory))
        meters = MeterProvider([self._reader], shutdown_on_exit=False)
        self.exporter = OpenTelemetry(self.provider, meters, **settings)
        self.tracer = Tracer(Recordings(), observers=[self.exporter])
        self.own = self.provider.get_tracer("the user's own")

    def guarded(
        self, nodes: Mapping[str, Any], guards: Mapping[str, Any] | None = None, **more: Any
    ) -> Any:
        """Return a graph of nodes in a row, guarded and compiled."""
        builder = StateGraph(State)
        before = START
        for name, node in nodes.items():
            builder.add_node(name, node)
            builder.add_edge(before, name)
            before = name
        return guard(builder, guards, tracer=self.tracer).compile(name="G", **more)

    @property
    def spans(self) -> Sequence[ReadableSpan]:
        """All spans that have ended, in the order of their start."""
        self.tracer.flush()
        assert self.tracer.observers.errors == 0
        return sorted(self._memory.get_finished_spans(), key=lambda span: span.start_time or 0)

    def one(self, name: str) -> ReadableSpan:
        """Return the span of a name; there must be exactly one."""
        (span,) = [span for span in self.spans if span.name == name]
        return span

    def attributes(self, name: str) -> Mapping[str, Any]:
        """Return the attributes of the one span of a name."""
        return self.one(name).attributes or {}

    def outline(self) -> list[str]:
        """Return the names of the spans, indented by their depth, in the order of their start."""
        inside: dict[int | None, list[ReadableSpan]] = {}
        for span in self.spans:
            inside.setdefault(span.parent.span_id if span.parent else None, []).append(span)
        lines: list[str] = []

        def add(parent: int | None, depth: int) -> None:
            for span in inside.get(parent, ()):
                lines.append("  " * depth + span.name)
                add(span.context.span_id, depth + 1)

        add(None, 0)
        assert len(lines) == len(self.spans), "a span has no parent that was sent"
        return lines

    def metrics(self) -> dict[str, dict[tuple[Any, ...], float]]:
        """Return the sums of each metric, by its attributes' values in the order of their names."""
        self.tracer.flush()
        data = self._reader.get_metrics_data()
        found: dict[str, dict[tuple[Any, ...], float]] = {}
        for scope in data.resource_metrics[0].scope_metrics if data else ():
            for metric in scope.metrics:
                points: Any = metric.data.data_points
                found[metric.name] = {
                    tuple(value for _, value in sorted(point.attributes.items())): (
                        point.value if hasattr(point, "value") else point.sum
                    )
                    for point in points
                }
        return found
