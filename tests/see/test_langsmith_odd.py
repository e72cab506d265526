"""LangSmith in odd cases: timeouts, sends, another exporter, records that were lost."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langchain_core.tracers.context import tracing_v2_callback_var
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.errors import InvalidUpdateError
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import Send, interrupt
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from smith import smith
from test_langsmith import DECLARED, INPUT, State, Traced, about, answering, graph

from coordgate import NodeGuard, Policy, Retry, Tracer, guard
from coordgate.exporters.otel import OpenTelemetry
from coordgate.gates import not_empty


@pytest.fixture
def traced() -> Iterator[Traced]:
    """Give a receiver."""
    with ExitStack() as stack:
        yield Traced(stack.enter_context(smith(batches_feedback=True, zstd=False)), stack)


def test_an_attempt_that_took_too_long_says_so(traced: Traced) -> None:
    """LangChain sees a cancellation; its run has the error, and the outcome, of the record."""
    waited = iter([60.0, 0.0])

    async def slow(state: State) -> dict[str, str]:
        await asyncio.sleep(next(waited))
        return {"answer": "yes"}

    builder = StateGraph(State).add_node("answer", slow, timeout=0.1).add_edge(START, "answer")
    traced.run(builder, {"answer": NodeGuard(policy=Policy(Retry(1, wait=0)))}, "ainvoke")
    (answer,) = traced.smith.named("answer")
    first, second = traced.smith.under(answer)
    assert first["error"].startswith("NodeTimeoutError: ")
    assert (about(first)["outcome"], second.get("error")) == ("raised", None)


def test_another_exporter_beside_it_changes_nothing(traced: Traced) -> None:
    """The runs are the same, and the other is told of all attempts too."""
    spans = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(spans))
    with Tracer("memory:", observers=[OpenTelemetry(provider), traced.exporter]) as tracer:
        app = guard(graph(answering("", "yes")), {"answer": DECLARED}, tracer=tracer).compile()
        app.invoke(INPUT)
        tracer.flush()
        traced.settle()
    assert sorted(run["name"] for run in traced.smith.runs.values()) == [
        "LangGraph",
        "answer",
        "attempt 1 (first)",
        "attempt 2 (retry)",
        "check",
    ]
    assert len([span for span in spans.get_finished_spans() if "attempt" in span.name]) == 3


def test_a_tool_that_asks_a_person_is_no_error(traced: Traced) -> None:
    """The tool's run, its attempt and its node wait; none has failed."""

    @tool
    def pay(amount: int) -> str:
        """Pay."""
        answer: str = interrupt(f"pay {amount}?")
        return answer

    call = AIMessage("", tool_calls=[{"name": "pay", "args": {"amount": 3}, "id": "1"}])
    builder: Any = StateGraph(MessagesState).add_node("tools", ToolNode([pay]))
    with traced.tracer() as tracer:
        app: Any = guard(builder.add_edge(START, "tools"), tracer=tracer)
        app = app.compile(checkpointer=InMemorySaver())
        app.invoke({"messages": [call]}, {"configurable": {"thread_id": "1"}})
        tracer.flush()
        traced.settle()
    (paid,), (tools,) = traced.smith.named("pay"), traced.smith.named("tools")
    assert (paid["run_type"], paid.get("error"), tools.get("error")) == ("tool", None, None)
    assert "pay 3?" in str(paid["outputs"])
    assert about(tools)["status"] == "interrupted"


def test_nothing_is_left_behind(traced: Traced) -> None:
    """After a run, streamed or left, the caller's own tracing is as it was."""
    with traced.tracer() as tracer:
        app = guard(graph(answering("yes", "yes", "yes")), {}, tracer=tracer).compile()
        app.invoke(INPUT)
        assert tracing_v2_callback_var.get() is None
        for _ in app.stream(INPUT):
            assert tracing_v2_callback_var.get() is None
        for _ in app.stream(INPUT):
            break
        assert tracing_v2_callback_var.get() is None
        tracer.flush()
        traced.settle()
        assert tracer.observers.errors == 0


def test_each_task_of_a_node_has_its_own_run(traced: Traced) -> None:
    """What is sent to one node several times at once is not mixed up."""
    tried: dict[str, int] = {}

    def answer(state: State) -> dict[str, str]:
        question = state["question"]
        tried[question] = tried.get(question, 0) + 1
        return {"answer": question if tried[question] == int(question) else ""}

    builder: Any = StateGraph(State)
    builder.add_node("answer", answer)
    sent = [Send("answer", {"question": each}) for each in "123"]
    builder.add_conditional_edges(START, lambda state: sent, ["answer"])
    nodes = {"answer": NodeGuard(gates=[not_empty("answer")], policy=Policy(Retry(2, wait=0)))}
    with pytest.raises(InvalidUpdateError):  # three answers at once for one key
        traced.run(builder, nodes)
    found = [
        (a["inputs"]["question"], len(traced.smith.under(a))) for a in traced.smith.named("answer")
    ]
    assert sorted(found) == [("1", 1), ("2", 2), ("3", 3)]


def test_runs_are_ended_whose_records_were_lost(traced: Traced) -> None:
    """A tracer that drops records drops no ends of runs: nothing stays open in LangSmith."""
    with traced.tracer(max_waiting=1, flush_seconds=60) as tracer:
        app = guard(graph(answering("", "yes")), {"answer": DECLARED}, tracer=tracer).compile()
        tracer.flush()
        app.invoke(INPUT)
        tracer.flush()
        traced.settle()
        assert tracer.lost
    assert len(traced.smith.runs) == 5
    assert all(run["end_time"] for run in traced.smith.runs.values())
