"""How runs, nodes and attempts end: what is an error on a span, and what is none."""

from __future__ import annotations

import asyncio
import json

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.types import Command, interrupt
from opentelemetry.trace import StatusCode
from otel_traces import THREAD, State, Traces, says

from coordgate import (
    Contract,
    ContractViolation,
    Escalate,
    GateRejected,
    NodeGuard,
    Policy,
    Reroute,
    Retry,
    guard,
)
from coordgate.gates import not_empty
from coordgate.testing import NEVER, scripted


def test_a_run_that_fails_is_an_error_all_the_way_up():
    """Attempt, node and run say what it was."""
    traces = Traces()
    with pytest.raises(GateRejected):
        traces.guarded({"a": says("")}, {"a": NodeGuard(gates=[not_empty("text")])}).invoke({})
    for name in ("attempt first", "node a", "invoke_workflow G"):
        assert traces.one(name).status.status_code is StatusCode.ERROR
    assert traces.attributes("invoke_workflow G")["error.type"] == "GateRejected"
    assert traces.attributes("invoke_workflow G")["output.value"] == '{"status":"failed"}'


def test_what_is_handed_over_wrongly_has_an_attempt_that_says_so():
    """An attempt that fails by its input has a span, though its body never ran."""
    traces = Traces()
    guards = {"a": NodeGuard(contract=Contract(accepts={"text": int}))}
    with pytest.raises(ContractViolation):
        traces.guarded({"a": says("x")}, guards).invoke({"text": "three"})
    told = traces.attributes("attempt first")
    assert told["coordgate.attempt.outcome"] == told["error.type"] == "violated"
    assert json.loads(told["output.value"])["outcome"] == "violated"


def test_an_interrupt_is_no_error_and_its_answer_links_back():
    """The waiting run is a trace, the answer another one, linked to it and of the same session."""
    traces = Traces()

    def asks(state: State) -> State:
        return {"text": interrupt("which?")}

    app = traces.guarded({"a": asks}, checkpointer=InMemorySaver())
    app.invoke({}, THREAD)
    app.invoke(Command(resume="this"), THREAD)
    app.invoke({"text": "anew"}, THREAD)
    asked, answered, again = [span for span in traces.spans if span.name == "invoke_workflow G"]
    assert all(span.status.status_code is StatusCode.UNSET for span in traces.spans)
    assert asked.attributes is not None
    assert answered.attributes is not None
    assert asked.attributes["coordgate.run.status"] == "interrupted"
    assert answered.attributes["coordgate.run.status"] == "completed"
    assert asked.context.trace_id != answered.context.trace_id
    (link,) = answered.links
    assert link.context == asked.context
    assert asked.attributes["session.id"] == answered.attributes["session.id"] == "t-1"
    assert "this" in str(answered.attributes["input.value"])
    assert (asked.links, again.links) == ((), ())


def test_a_question_to_a_person_is_an_attempt_and_says_who_decided():
    """What was shown is its output while it waits; the decision is on the attempt that follows."""
    traces = Traces()
    guards = {"a": NodeGuard(gates=[not_empty("text")], policy=Policy(Escalate("editor")))}
    app = traces.guarded({"a": says("")}, guards, checkpointer=InMemorySaver())
    app.invoke({}, THREAD)
    answer = {"decision": "edit", "update": {"text": "mine"}, "by": "Kim"}
    app.invoke(Command(resume=answer), THREAD)
    waits, decided = [span for span in traces.spans if span.name == "attempt escalate:editor"]
    assert waits.attributes is not None
    assert decided.attributes is not None
    assert waits.status.status_code is StatusCode.UNSET
    assert waits.attributes["coordgate.attempt.outcome"] == "interrupted"
    assert "not_empty" in str(waits.attributes["output.value"])
    assert decided.attributes["coordgate.attempt.decision"] == "edit"
    assert decided.attributes["coordgate.attempt.by"] == "Kim"


def test_a_jump_is_no_error():
    """A node that control has left says where to, and its failed attempt why."""
    traces = Traces()
    builder = StateGraph(State).add_node("a", says("")).add_node("b", says("ok"))
    builder.add_edge(START, "a")
    guards = {"a": NodeGuard(gates=[not_empty("text")], policy=Policy(Reroute("b")))}
    guard(builder, guards, tracer=traces.tracer).compile(name="G").invoke({})
    assert traces.attributes("node a")["coordgate.node.status"] == "rerouted"
    assert traces.attributes("node a")["coordgate.node.goto"] == ("b",)
    assert traces.one("node a").status.status_code is StatusCode.UNSET
    assert json.loads(traces.attributes("node a")["output.value"])["goto"] == ["b"]


def test_a_cancelled_run_is_no_error_and_all_its_spans_are_sent():
    """A stream that its caller leaves ends its run and what was under way."""
    traces = Traces()

    async def run() -> None:
        begun = asyncio.Event()

        async def waits(state: State) -> State:
            begun.set()
            await asyncio.Event().wait()
            return {}

        app = traces.guarded({"a": waits})
        task = asyncio.create_task(app.ainvoke({}))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert traces.outline() == ["invoke_workflow G", "  node a", "    attempt first"]
    assert all(span.status.status_code is StatusCode.UNSET for span in traces.spans)
    assert traces.attributes("invoke_workflow G")["coordgate.run.status"] == "cancelled"
    assert traces.attributes("attempt first")["coordgate.attempt.outcome"] == "cancelled"


def test_what_is_only_observed_is_no_error():
    """In observe mode the output shipped: its attempt says what was wrong, and is not marked."""
    traces = Traces()
    builder = StateGraph(State).add_node("a", says("")).add_edge(START, "a")
    guards = {"a": NodeGuard(gates=[not_empty("text")])}
    guard(builder, guards, mode="observe", tracer=traces.tracer).compile(name="G").invoke({})
    assert all(span.status.status_code is StatusCode.UNSET for span in traces.spans)
    assert traces.attributes("attempt first")["coordgate.attempt.outcome"] == "rejected"
    assert traces.attributes("node a")["coordgate.node.status"] == "observed"
    assert traces.attributes("invoke_workflow G")["coordgate.mode"] == "observe"


def test_an_async_timeout_of_langgraph_ends_one_attempt_and_the_next_nests_rightly():
    """The spans of the attempt that was cancelled are its own."""
    traces = Traces()
    slow = scripted(NEVER, {"text": "1"}, name="a", kind="async")

    async def node(state: State) -> State:
        with traces.own.start_as_current_span("own"):
            return await slow(state)

    builder = StateGraph(State).add_node("a", node, timeout=0.4).add_edge(START, "a")
    guards = {"a": NodeGuard(gates=[not_empty("text")], policy=Policy(Retry(1, wait=0.0)))}
    app = guard(builder, guards, tracer=traces.tracer).compile(name="G")
    asyncio.run(app.ainvoke({}))
    assert traces.outline() == [
        "invoke_workflow G",
        "  node a",
        "    attempt first",
        "      own",
        "    attempt retry",
        "      own",
        "      gate not_empty(text)",
    ]
