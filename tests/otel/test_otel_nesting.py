"""What runs inside a node nests in its attempt: the user's own spans, tools, retrievers, models."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.messages import AIMessage
from langchain_core.retrievers import BaseRetriever
from langchain_core.tools import BaseTool, tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import Command, Send, interrupt
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode
from otel_traces import THREAD, State, Traces, says

from coordgate import Degrade, Fallback, NodeGuard, Policy, Retry, feedback, gate, guard
from coordgate.testing import ScriptedModel
from coordgate.tools import gated_tools


class Shelf(BaseRetriever):
    """A retriever that finds the same two documents."""

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun
    ) -> list[Document]:
        return [Document("one", metadata={"page": 1}), Document("two")] if query else []


def working(traces: Traces, name: str = "own") -> Any:
    """Return a node that starts a span of its own."""

    def node(state: State) -> State:
        with traces.own.start_as_current_span(name):
            return {"text": "" if feedback() is None else "x"}

    return node


def adder(traces: Traces) -> BaseTool:
    """Return a tool that starts a span of its own."""

    @tool
    def add(a: int, b: int) -> int:
        """Add two numbers."""
        with traces.own.start_as_current_span("own in the tool"):
            return a + b

    return add


def calling(name: str, args: dict[str, Any]) -> AIMessage:
    """Return a message in which a model calls a tool."""
    return AIMessage("", tool_calls=[{"name": name, "args": args, "id": "c-1"}])


def test_a_span_of_the_nodes_own_nests_in_the_attempt_that_made_it():
    """On a retry it is in the retry's span; a fallback's is in the fallback's."""
    traces = Traces()
    refuse = gate(lambda output: output["text"] == "y", name="y")
    policy = Policy(Retry(1), Fallback(working(traces, "in the fallback"), name="f"), Degrade({}))
    guards = {"a": NodeGuard(gates=[refuse], policy=policy)}
    traces.guarded({"a": working(traces)}, guards).invoke({})
    assert traces.outline() == [
        "invoke_workflow G",
        "  node a",
        "    attempt first",
        "      own",
        "      gate y",
        "    attempt retry",
        "      own",
        "      gate y",
        "    attempt fallback:f",
        "      in the fallback",
        "      gate y",
        "    attempt degrade",
    ]


@pytest.mark.parametrize("how", ["invoke", "stream", "messages"])
def test_the_same_holds_where_the_caller_has_a_span_of_its_own(how: str):
    """A run within a caller's span is part of the caller's trace; between chunks it is not."""
    traces = Traces()
    app = traces.guarded({"a": working(traces), "b": working(traces)})
    with traces.own.start_as_current_span("caller"):
        if how == "invoke":
            app.invoke({})
        else:
            for _ in app.stream({}, stream_mode="updates" if how == "stream" else how):
                traces.own.start_span("between").end()
        traces.own.start_span("after").end()
    lines = traces.outline()
    assert lines[0] == "caller"
    assert [line for line in lines if line.strip() == "own"] == ["        own"] * 2
    assert lines[1] == "  invoke_workflow G"
    assert {line for line in lines if "between" in line} <= {"  between"}
    assert lines[-1] == "  after"
    assert not trace.get_current_span().get_span_context().is_valid


def test_a_tool_node_and_the_tools_own_spans():
    """ToolNode runs tools in threads; each tool's span is in the attempt, its own spans in it."""
    traces = Traces()
    builder = StateGraph(MessagesState).add_node("tools", ToolNode([adder(traces)]))
    app = guard(builder.add_edge(START, "tools"), tracer=traces.tracer).compile(name="G")
    given = {"messages": [calling("add", {"a": 1, "b": 2})]}
    app.invoke(given, {"configurable": {"thread_id": "t-1"}})
    assert traces.outline() == [
        "invoke_workflow G",
        "  node tools",
        "    attempt first",
        "      execute_tool add",
        "        own in the tool",
    ]
    told = {**traces.attributes("execute_tool add")}
    assert told == {
        "openinference.span.kind": "TOOL",
        "session.id": "t-1",
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "add",
        "gen_ai.tool.call.id": "c-1",
        "input.value": '{"a":1,"b":2}',
        "output.value": told["output.value"],
    }
    assert '"content":"3"' in told["output.value"]


@pytest.mark.parametrize("how", ["sync", "async"])
def test_an_agent_of_create_agent(how: str):
    """Model and tool calls of an agent nest in the agent's own nodes."""
    traces = Traces()
    model = ScriptedModel(calling("add", {"a": 1, "b": 2}), AIMessage("It is 3."))
    agent = create_agent(model, [adder(traces)])
    app = guard(agent, tracer=traces.tracer)
    given: Any = {"messages": [("user", "1 + 2?")]}
    app.invoke(given) if how == "sync" else asyncio.run(app.ainvoke(given))
    lines = [line.strip() for line in traces.outline()]
    assert lines[1:] == [
        "node model",
        "attempt first",
        "chat",
        "node tools",
        "attempt first",
        "execute_tool add",
        "own in the tool",
        "node model",
        "attempt first",
        "chat",
    ]
    first, second = [span for span in traces.spans if span.name == "chat"]
    assert first.kind is SpanKind.CLIENT
    assert first.attributes is not None
    assert second.attributes is not None
    assert first.attributes["openinference.span.kind"] == "LLM"
    assert first.attributes["input.value"] == '[{"role":"user","content":"1 + 2?"}]'
    assert second.attributes["output.value"] == '{"role":"assistant","content":"It is 3."}'


@pytest.mark.parametrize("how", ["sync", "async"])
def test_a_retriever_says_what_was_asked_and_what_was_found(how: str):
    """Its span is a RETRIEVER, with the query and the documents."""
    traces = Traces()

    def node(state: State) -> State:
        return {"text": Shelf().invoke("what")[0].page_content}

    async def anode(state: State) -> State:
        return {"text": (await Shelf().ainvoke("what"))[0].page_content}

    app = traces.guarded({"a": node if how == "sync" else anode})
    app.invoke({}) if how == "sync" else asyncio.run(app.ainvoke({}))
    assert traces.outline()[3:] == ["      retrieval Shelf"]
    told = traces.attributes("retrieval Shelf")
    assert told["openinference.span.kind"] == "RETRIEVER"
    assert told["gen_ai.operation.name"] == "retrieval"
    assert told["input.value"] == "what"
    assert told["output.value"] == (
        '[{"content":"one","metadata":{"page":1}},{"content":"two","metadata":{}}]'
    )


def test_a_stream_that_is_left_leaves_nothing_current():
    """After a stream that was closed, and after one that still hangs open, the next nests right."""
    traces = Traces()
    model = ScriptedModel("one two three", "four five six")
    open_still: list[Iterator[Any]] = []

    def node(state: State) -> State:
        left = model.stream("?")
        next(left)
        left.close()  # type: ignore[attr-defined]
        traces.own.start_span("after the first").end()
        open_still.append(model.stream("?"))
        next(open_still[0])
        return {}

    traces.guarded({"a": node, "b": working(traces)}).invoke({})
    assert traces.outline()[2:] == [
        "    attempt first",
        "      chat",
        "      after the first",
        "      chat",
        "  node b",
        "    attempt first",
        "      own",
    ]
    assert not trace.get_current_span().get_span_context().is_valid


def test_a_call_after_a_graph_was_called_is_the_outer_nodes():
    """What the inner graph's node had set does not outlive it; after the run nothing is left."""
    traces = Traces()
    add = adder(traces)
    inner = guard(StateGraph(State).add_node("deep", says("1")).add_edge(START, "deep")).compile()

    def node(state: State) -> State:
        inner.invoke({})
        return {"text": str(add.invoke({"a": 1, "b": 2}))}

    traces.guarded({"a": node}).invoke({})
    add.invoke({"a": 3, "b": 4})
    assert traces.outline() == [
        "invoke_workflow G",
        "  node a",
        "    attempt first",
        "      node deep",
        "        attempt first",
        "      execute_tool add",
        "        own in the tool",
        "own in the tool",
    ]


def test_a_stream_that_ends_within_a_span_of_the_nodes_own():
    """The next call is not taken for a part of the call that has ended."""
    traces = Traces()
    model = ScriptedModel("one two", "three")

    def node(state: State) -> State:
        words = model.stream("?")
        next(words)
        with traces.own.start_as_current_span("rest"):
            list(words)
        model.invoke("!")
        return {}

    traces.guarded({"a": node}).invoke({})
    assert traces.outline()[3:] == ["      chat", "        rest", "      chat"]


def test_overlapping_calls_do_not_nest_in_each_other():
    """Two models asked at once are both in the attempt."""
    traces = Traces()
    model = ScriptedModel("1", "2")

    async def node(state: State) -> State:
        await asyncio.gather(model.ainvoke("a"), model.ainvoke("b"))
        traces.own.start_span("after").end()
        return {}

    asyncio.run(traces.guarded({"a": node}).ainvoke({}))
    assert traces.outline()[3:] == ["      chat", "      chat", "      after"]


def test_threads_that_take_the_context_along_nest():
    """What a node starts in a thread of its own is in the attempt if the context goes along."""
    traces = Traces()

    def work() -> None:
        traces.own.start_span("in the thread").end()

    def node(state: State) -> State:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(copy_context().run, work).result()
        return {}

    traces.guarded({"a": node}).invoke({})
    assert traces.outline()[3:] == ["      in the thread"]


def test_parallel_nodes_in_langgraphs_own_threads_each_have_theirs():
    """Three sync tasks run at once, and each one's span is in its own attempt."""
    traces = Traces()
    at_once = threading.Barrier(3, timeout=20)

    def work(state: State) -> None:
        with traces.own.start_as_current_span(f"own {state['text']}"):
            at_once.wait()

    builder = StateGraph(State).add_node("work", work)
    builder.add_conditional_edges(
        START, lambda _: [Send("work", {"text": each}) for each in "abc"], ["work"]
    )
    guard(builder, tracer=traces.tracer).compile(name="G").invoke({})
    lines = traces.outline()
    assert lines[:3] == ["invoke_workflow G", "  node work", "    attempt first"]
    assert sorted(lines[3::3]) == ["      own a", "      own b", "      own c"]


def test_a_gated_tool_that_is_refused_has_a_gate_and_no_call():
    """The verdict says what was asked for; the tool was never called."""
    traces = Traces()
    (add,) = gated_tools([adder(traces)])

    def node(state: State) -> State:
        message = add.invoke({"name": "add", "args": {"a": "x"}, "id": "1", "type": "tool_call"})
        return {"text": message.text}

    traces.guarded({"a": node}).invoke({})
    assert traces.outline()[3:] == ["      gate tool:add"]
    told = traces.attributes("gate tool:add")
    assert told["coordgate.gate.passed"] is False
    assert told["input.value"] == '{"a":"x"}'


def test_a_tool_that_raises_is_an_error_and_one_that_asks_is_none():
    """An interrupt inside a tool is a pause."""
    traces = Traces()

    @tool
    def ask() -> str:
        """Ask."""
        return interrupt("?")

    @tool
    def fail() -> str:
        """Fail."""
        raise OSError("no such thing")

    def node(state: State) -> State:
        return {"text": ask.invoke({})}

    app = traces.guarded({"a": node}, checkpointer=InMemorySaver())
    app.invoke({}, THREAD)
    asked = traces.one("execute_tool ask")
    assert asked.status.status_code is StatusCode.UNSET
    assert asked.attributes is not None
    assert asked.attributes["output.value"] == '{"status":"interrupted"}'
    app.invoke(Command(resume="yes"), THREAD)
    with pytest.raises(OSError, match="no such"):
        traces.guarded({"a": lambda state: fail.invoke({})}).invoke({})
    failed = traces.one("execute_tool fail")
    assert failed.status.status_code is StatusCode.ERROR
    assert failed.attributes is not None
    assert failed.attributes["error.type"] == "OSError"


def test_a_call_that_never_ended_is_sent_with_its_attempt():
    """A cancelled tool says that it has not ended."""
    traces = Traces()
    begun = asyncio.Event()

    @tool
    async def wait() -> str:
        """Wait."""
        begun.set()
        await asyncio.Event().wait()
        return ""

    async def node(state: State) -> State:
        return {"text": await wait.ainvoke({})}

    async def run() -> None:
        app = traces.guarded({"a": node})
        task = asyncio.create_task(app.ainvoke({}))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert traces.outline()[3:] == ["      execute_tool wait"]
    assert traces.attributes("execute_tool wait")["output.value"] == '{"status":"not ended"}'
