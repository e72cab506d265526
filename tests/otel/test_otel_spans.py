"""The spans of a run: their tree, kinds, names and attributes, and what is an error."""

from __future__ import annotations

import asyncio
import contextlib
import json
import operator
import subprocess
import sys
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.types import Send
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from otel_traces import THREAD, State, Traces, says

from coordgate import (
    ConfigurationError,
    Degrade,
    Fallback,
    NodeGuard,
    Policy,
    Retry,
    Verdict,
    gate,
    guard,
)
from coordgate.exporters.langsmith import LangSmith
from coordgate.exporters.otel import OpenTelemetry, names
from coordgate.gates import not_empty
from coordgate.tracer import Tracer


def in_turn(*answers: Any) -> Any:
    """Return a node that gives one answer after another, and raises what is an exception."""
    left = iter(answers)

    def node(state: State) -> State:
        answer = next(left)
        if isinstance(answer, Exception):
            raise answer
        return {"text": answer}

    return node


@pytest.mark.parametrize("how", ["sync", "async", "stream", "astream"])
def test_a_run_is_one_trace_of_nodes_and_attempts(how: str):
    """The tree is the same, however the graph is run."""
    traces = Traces()
    app = traces.guarded({"a": says("1"), "b": says("2")})

    async def astream() -> None:
        async for _ in app.astream({}):
            pass

    match how:
        case "sync":
            app.invoke({})
        case "async":
            asyncio.run(app.ainvoke({}))
        case "stream":
            list(app.stream({}))
        case _:
            asyncio.run(astream())
    assert traces.outline() == [
        "invoke_workflow G",
        "  node a",
        "    attempt first",
        "  node b",
        "    attempt first",
    ]
    assert len({span.context.trace_id for span in traces.spans}) == 1


def test_the_attributes_of_a_run_a_node_an_attempt_and_a_gate_are_pinned():
    """Their names are a contract with every dashboard: a change of one must be seen here."""
    traces = Traces()
    guards = {"a": NodeGuard(gates=[not_empty("text")])}
    app = traces.guarded({"a": says("yes")}, guards, checkpointer=InMemorySaver())
    app.invoke({"text": "?"}, THREAD)
    run, node = traces.one("invoke_workflow G"), traces.one("node a")
    attempt, asked = traces.one("attempt first"), traces.one("gate not_empty(text)")
    told = {**(run.attributes or {})}
    run_id = told.pop("coordgate.run.id")
    assert told == {
        "openinference.span.kind": "CHAIN",
        "gen_ai.operation.name": "invoke_workflow",
        "gen_ai.workflow.name": "G",
        "gen_ai.conversation.id": "t-1",
        "session.id": "t-1",
        "coordgate.graph": "G",
        "coordgate.run.status": "completed",
        "coordgate.mode": "enforce",
        "input.value": '{"text":"?"}',
        "output.value": '{"text":"yes"}',
    }
    told = {**(node.attributes or {})}
    assert told.pop("coordgate.node.namespace").startswith("a:")
    assert told == {
        "openinference.span.kind": "CHAIN",
        "coordgate.run.id": run_id,
        "session.id": "t-1",
        "coordgate.node.name": "a",
        "coordgate.node.status": "accepted",
        "coordgate.node.number": 1,
        "coordgate.node.step": 1,
        "coordgate.node.producers": (),
        "coordgate.node.goto": (),
        "coordgate.node.attempts": 1,
        "input.value": '{"text":"?"}',
        "output.value": '{"text":"yes"}',
    }
    assert attempt.attributes == {
        "openinference.span.kind": "CHAIN",
        "coordgate.run.id": run_id,
        "session.id": "t-1",
        "coordgate.node.name": "a",
        "coordgate.attempt.number": 1,
        "coordgate.attempt.rung": "first",
        "coordgate.attempt.outcome": "accepted",
        "input.value": '{"text":"?"}',
        "output.value": '{"text":"yes"}',
    }
    assert asked.attributes == {
        "openinference.span.kind": "GUARDRAIL",
        "coordgate.run.id": run_id,
        "session.id": "t-1",
        "coordgate.gate.name": "not_empty(text)",
        "coordgate.gate.passed": True,
        "gen_ai.evaluation.name": "not_empty(text)",
        "gen_ai.evaluation.score.label": "passed",
        "input.value": '{"text":"yes"}',
        "output.value": '{"passed": true, "score": null, "reason": ""}',
    }
    assert run.instrumentation_scope is not None
    assert run.instrumentation_scope.name == "coordgate"
    assert run.instrumentation_scope.schema_url == names.SCHEMA_URL


def test_every_attempt_of_a_ladder_has_a_span_with_its_gates():
    """A rejected attempt says why; what shipped in the end makes the node no error."""
    traces = Traces()
    policy = Policy(Retry(1), Fallback(says(""), name="other"), Degrade({"text": "none"}))
    guards = {"a": NodeGuard(gates=[not_empty("text")], policy=policy)}
    traces.guarded({"a": in_turn("", ValueError("broken"))}, guards).invoke({"text": "?"})
    assert traces.outline() == [
        "invoke_workflow G",
        "  node a",
        "    attempt first",
        "      gate not_empty(text)",
        "    attempt retry",
        "    attempt fallback:other",
        "      gate not_empty(text)",
        "    attempt degrade",
    ]
    first = traces.one("attempt first")
    assert first.status.status_code is StatusCode.ERROR
    assert first.attributes is not None
    assert first.attributes["error.type"] == "rejected"
    (reason,) = first.attributes["coordgate.attempt.reasons"]  # type: ignore[misc]
    assert reason == first.status.description
    assert first.events == ()
    raised = traces.one("attempt retry")
    assert raised.status.status_code is StatusCode.ERROR
    assert raised.attributes is not None
    assert raised.attributes["error.type"] == "ValueError"
    (event,) = raised.events
    assert event.attributes == {"exception.type": "ValueError", "exception.message": "broken"}
    assert traces.one("node a").status.status_code is StatusCode.UNSET
    assert traces.attributes("node a")["coordgate.node.status"] == "degraded"
    assert traces.one("invoke_workflow G").status.status_code is StatusCode.UNSET


def test_nodes_of_subgraphs_nest_in_the_attempt_that_ran_them():
    """A node that is a graph, and a graph called in a node, both."""
    traces = Traces()
    inner = StateGraph(State).add_node("deep", says("1")).add_edge(START, "deep").compile()

    called = guard(inner)

    def calls(state: State) -> State:
        return called.invoke(state)  # type: ignore[return-value]

    traces.guarded({"a": inner, "b": calls}).invoke({})
    assert traces.outline() == [
        "invoke_workflow G",
        "  node a",
        "    attempt first",
        "      node deep",
        "        attempt first",
        "  node b",
        "    attempt first",
        "      node deep",
        "        attempt first",
    ]


@pytest.mark.parametrize("how", ["sync", "async"])
def test_parallel_tasks_each_have_their_own_node_span(how: str):
    """Three Sends to one node are three spans under the run, none within another."""

    class Log(TypedDict, total=False):
        log: Annotated[list[str], operator.add]

    def work(state: Any) -> Any:
        return {"log": [state["text"]]}

    async def awork(state: Any) -> Any:
        await asyncio.sleep(0)
        return {"log": [state["text"]]}

    traces = Traces()
    builder = StateGraph(Log).add_node("work", work if how == "sync" else awork)
    builder.add_conditional_edges(
        START, lambda _: [Send("work", {"text": each}) for each in "abc"], ["work"]
    )
    app = guard(builder, tracer=traces.tracer).compile(name="G")
    app.invoke({}) if how == "sync" else asyncio.run(app.ainvoke({}))
    assert traces.outline() == ["invoke_workflow G", *["  node work", "    attempt first"] * 3]
    given = sorted(
        str(span.attributes["input.value"])
        for span in traces.spans
        if span.name == "node work" and span.attributes
    )
    assert given == ['{"text":"a"}', '{"text":"b"}', '{"text":"c"}']


def test_two_runs_at_once_do_not_mix():
    """Each node's spans are of its own run's trace."""
    traces = Traces()

    async def run() -> None:
        async def node(state: State) -> State:
            await asyncio.sleep(0)
            with traces.own.start_as_current_span(f"own {state['text']}"):
                await asyncio.sleep(0)
            return {}

        app = traces.guarded({"a": node, "b": node})
        await asyncio.gather(*(app.ainvoke({"text": str(n)}) for n in range(5)))

    asyncio.run(run())
    by_trace: dict[int, set[str]] = {}
    for span in traces.spans:
        if span.name.startswith("own"):
            by_trace.setdefault(span.context.trace_id, set()).add(span.name)
    assert sorted(map(sorted, by_trace.values())) == [[f"own {n}"] for n in range(5)]
    assert len(traces.outline()) == 5 * 7


def test_what_a_streamed_run_wrote_last_is_its_output():
    """Nobody has the final state of a stream; what the last step wrote stands for it."""
    traces = Traces()
    list(traces.guarded({"a": says("1"), "b": says("2")}).stream({"text": "0"}))
    told = traces.attributes("invoke_workflow G")
    assert told["input.value"] == '{"text":"0"}'
    assert told["output.value"] == '[{"b":{"text":"2"}}]'


def test_a_node_that_wrote_nothing_says_where_control_went():
    """An empty value is dropped by some servers, so there is never one."""
    traces = Traces()
    traces.guarded({"a": lambda state: {}, "b": says("1")}).invoke({})
    given = [json.loads(str((span.attributes or {})["input.value"])) for span in traces.spans]
    gave = [json.loads(str((span.attributes or {})["output.value"])) for span in traces.spans]
    assert all(given)
    assert all(gave)
    assert json.loads(traces.attributes("node a")["output.value"]) == {
        "status": "accepted",
        "goto": ["b"],
    }


def test_values_are_redacted_and_cut_as_in_the_record():
    """A secret in an input, an output, an error or a tool's answer is not sent."""
    traces = Traces()
    traces.tracer = Tracer(traces.tracer.sink, observers=[traces.exporter], max_value_chars=300)
    key = "sk-proj-" + "a1B2" * 12
    policy = Policy(Retry(1), Degrade({"text": "none"}))

    @tool
    def fail() -> str:
        """Fail."""
        raise OSError(f"no {key}")

    answers = in_turn(ValueError(f"refused {key}"), "x" * 5000)

    def node(state: State) -> State:
        with contextlib.suppress(OSError):
            fail.invoke({})
        return answers(state)  # type: ignore[no-any-return]

    traces.guarded({"a": node}, {"a": NodeGuard(policy=policy)}).invoke({"text": key})
    everything = [f"{span.attributes} {span.events} {span.status}" for span in traces.spans]
    sent = " ".join(str(event.attributes) for span in traces.spans for event in span.events)
    assert "refused" in sent
    assert "OSError" in sent
    assert key not in sent + "".join(map(str, everything))
    assert len(traces.attributes("node a")["output.value"]) <= 300


def test_a_redaction_that_breaks_the_json_breaks_no_trace():
    """What the user's own function makes of a value is sent as it is."""
    traces = Traces()

    def redact(text: str) -> str:
        return text.replace('"', "")

    traces.tracer = Tracer(traces.tracer.sink, observers=[traces.exporter], redact=redact)
    list(traces.guarded({"a": says("1")}).stream({"text": "0"}))
    assert traces.attributes("node a")["output.value"] == "{text:1}"
    assert "text:1" in traces.attributes("invoke_workflow G")["output.value"]


def test_without_content_nothing_is_sent_that_could_quote_a_state():
    """Names, verdicts, outcomes and types of errors stay."""
    traces = Traces(content=False)
    policy = Policy(Retry(1), Degrade({"text": "SECRET"}))
    reject = gate(lambda output: Verdict(False, reason="SECRET in it"), name="no")
    guards = {"a": NodeGuard(gates=[reject], policy=policy)}
    node = in_turn("SECRET", ValueError("SECRET"))
    traces.guarded({"a": node}, guards).invoke({"text": "SECRET"})
    for span in traces.spans:
        told = f"{span.attributes} {span.status.description}"
        told += "".join(str(event.attributes) for event in span.events)
        assert "SECRET" not in told
        assert "input.value" not in (span.attributes or {})
    assert traces.attributes("gate no")["coordgate.gate.passed"] is False
    assert traces.attributes("attempt retry")["error.type"] == "ValueError"
    assert traces.one("attempt retry").status.description == "ValueError"


def test_where_nothing_is_sampled_the_run_goes_on_the_same():
    """Without a provider anywhere the exporter sends nothing and fails nothing."""
    exporter = OpenTelemetry()
    tracer = Tracer(exporter)
    builder = StateGraph(State).add_node("a", says("1")).add_edge(START, "a")
    app = guard(builder, tracer=tracer).compile()
    assert app.invoke({}) == {"text": "1"}
    assert tracer.flush()
    assert tracer.observers.errors == tracer.errors == 0


def test_the_exporter_alone_can_be_the_tracer():
    """`guard(graph, tracer=OpenTelemetry())` sends, and keeps no record."""
    traces = Traces()
    builder = StateGraph(State).add_node("a", says("1")).add_edge(START, "a")
    app = guard(builder, tracer=traces.exporter).compile(name="G")  # type: ignore[arg-type]
    app.invoke({})
    app.coordgate.tracer.flush()
    assert len(traces.outline()) == 3


def test_what_is_no_provider_is_refused():
    """The error says what to give; an exporter is what one takes for it."""
    with pytest.raises(ConfigurationError, match="give a TracerProvider, such as"):
        OpenTelemetry(InMemorySpanExporter())  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="give a MeterProvider"):
        OpenTelemetry(None, "meters")  # type: ignore[arg-type]


def test_it_goes_together_with_the_exporter_to_langsmith():
    """Both are told; with LangSmith's tracing off the trace is what it is without."""
    traces = Traces()
    traces.tracer = Tracer(traces.tracer.sink, observers=[LangSmith(), traces.exporter])
    traces.guarded({"a": says("1")}).invoke({})
    assert traces.outline() == ["invoke_workflow G", "  node a", "    attempt first"]


def test_without_opentelemetry_the_extra_is_named():
    """The error of a missing extra says what to install."""
    script = "import sys; sys.modules['opentelemetry'] = None\nimport coordgate.exporters.otel\n"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)  # noqa: S603 - our own script
    assert done.returncode == 1
    assert "pip install 'coordgate[otel]'" in done.stderr
