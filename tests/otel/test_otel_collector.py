"""What arrives at a real OTLP receiver, and what a run pays where there is none."""

from __future__ import annotations

import socket
import subprocess
import sys
import time

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from otel_traces import Traces, says
from otlp_receiver import attributes, receiving

from coordgate import Degrade, NodeGuard, Policy, Retry
from coordgate.exporters.otel import OpenTelemetry, names
from coordgate.gates import not_empty

PROGRAM = """
import sys, time
from typing import TypedDict
from langgraph.graph import START, StateGraph
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from coordgate import guard
from coordgate.exporters.otel import OpenTelemetry

class State(TypedDict, total=False):
    text: str

provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(sys.argv[1], timeout=0.5)))
trace.set_tracer_provider(provider)
builder = StateGraph(State).add_node("a", lambda state: {"text": "done"}).add_edge(START, "a")
app = guard(builder, tracer=OpenTelemetry()).compile()
began = time.perf_counter()
print(app.invoke({})["text"], flush=True)
print(time.perf_counter() - began, flush=True)
"""


def free_port() -> int:
    """Return a port on which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


def ended(url: str) -> tuple[subprocess.CompletedProcess[str], float]:
    """Run the program against a collector; return what it did and how long it took in all."""
    began = time.perf_counter()
    command = [sys.executable, "-c", PROGRAM, f"{url}/v1/traces"]
    done = subprocess.run(command, capture_output=True, text=True)  # noqa: S603 - our own program
    return done, time.perf_counter() - began


def test_spans_and_metrics_arrive_at_a_receiver_as_they_were_made():
    """Ids, times, attributes and errors come over the wire; the tree is whole."""
    with receiving() as receiver:
        provider = TracerProvider(shutdown_on_exit=False)
        spans = OTLPSpanExporter(f"{receiver.url}/v1/traces")
        provider.add_span_processor(BatchSpanProcessor(spans))
        reader = PeriodicExportingMetricReader(OTLPMetricExporter(f"{receiver.url}/v1/metrics"))
        meters = MeterProvider([reader], shutdown_on_exit=False)
        traces = Traces()
        traces.tracer.observers.each = (OpenTelemetry(provider, meters),)
        policy = Policy(Retry(1), Degrade({"text": "none"}))
        guards = {"a": NodeGuard(gates=[not_empty("text")], policy=policy)}
        traces.guarded({"a": says("")}, guards).invoke({"text": "?"})
        traces.tracer.flush()
        provider.shutdown()
        meters.shutdown()
    by_id = {span.span_id: span for span in receiver.spans}
    told = {span.name: attributes(span) for span in receiver.spans}
    assert sorted(told) == [
        "attempt degrade",
        "attempt first",
        "attempt retry",
        "gate not_empty(text)",
        "invoke_workflow G",
        "node a",
    ]
    for span in receiver.spans:
        assert not span.parent_span_id or span.parent_span_id in by_id
        assert span.start_time_unix_nano <= span.end_time_unix_nano
        assert {names.KIND, names.INPUT, names.OUTPUT} <= set(attributes(span))
    (root,) = [span for span in receiver.spans if not span.parent_span_id]
    assert root.name == "invoke_workflow G"
    assert told["node a"][names.OUTPUT] == '{"text":"none"}'
    assert told["attempt first"][names.OUTCOME] == "rejected"
    assert {names.ATTEMPT_COUNT, names.VERDICT_COUNT, names.RUN_DURATION} <= set(receiver.metrics)


def test_the_spans_of_a_program_that_just_ends_arrive():
    """Nobody flushes: at the end the record is written first, then the provider sends."""
    with receiving() as receiver:
        done, _ = ended(receiver.url)
    assert done.stderr == ""
    assert sorted(span.name for span in receiver.spans) == [
        "attempt first",
        "invoke_workflow LangGraph",
        "node a",
    ]


def test_a_collector_that_refuses_costs_the_run_nothing():
    """The result is the same, and the program ends."""
    done, seconds = ended(f"http://127.0.0.1:{free_port()}")
    result, took = done.stdout.split()
    assert (done.returncode, result) == (0, "done")
    assert float(took) < 5.0
    assert seconds < 15.0


def test_a_collector_that_stalls_costs_the_run_nothing():
    """The run does not wait for it, and the end only as long as the exporter's own timeout."""
    with receiving(stalls=True) as receiver:
        done, seconds = ended(receiver.url)
        assert receiver.asked.is_set()
    result, took = done.stdout.split()
    assert (done.returncode, result) == (0, "done")
    assert float(took) < 5.0
    assert seconds < 15.0
