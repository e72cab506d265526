"""Model calls stand in the record with the attempt that made them, however they were made."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from typing import Any
from uuid import uuid4

import httpx
import openai
import pytest
from calling import (
    ALONE,
    ASKED,
    PRICES,
    Chat,
    State,
    attempts_of,
    invoked,
    invoked_async,
    one_node,
    streamed,
    streamed_async,
)
from langchain.agents import create_agent
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableConfig, RunnableLambda, RunnableParallel
from langchain_core.tools import tool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command, Send
from llmock.pytest_plugin import LLMock
from llmock.scenarios import Reply

from coordgate import NodeGuard, Policy, Retry, gate, guard
from coordgate.calls import COUNTER, COUNTING
from coordgate.capture import RawAttempt
from coordgate.gate import Judgement
from coordgate.gates import check, finished
from coordgate.running import RUNNING
from coordgate.testing import RecordingTracer

Node = Callable[..., Any]

TOKENS = 5
"""Of that question, as the server counts them: four characters to one."""


def total(llmock: LLMock) -> int:
    """Return how many requests the server has had."""
    return len(llmock.requests)


# Every way to call a model


def with_callbacks(model: Any) -> Node:
    """Return a node that calls the model with callbacks of its own, and not with its config."""

    def node(_: State) -> State:
        return {"draft": model.invoke(ASKED, {"callbacks": [BaseCallbackHandler()]}).text}

    return node


def with_config(model: Any) -> Node:
    """Return a node that hands its config on."""

    def node(_: State, config: RunnableConfig) -> State:
        return {"draft": model.invoke(ASKED, config).text}

    return node


def in_a_thread(model: Any) -> Node:
    """Return a node that calls the model in a thread of its own, in a copy of its context."""

    def node(_: State) -> State:
        with ThreadPoolExecutor() as pool:
            answer = pool.submit(copy_context().run, model.invoke, ASKED)
            return {"draft": answer.result().text}

    return node


def a_sequence(model: Any) -> Any:
    """Return a node that is a sequence of LangChain's, which LangGraph takes apart."""
    prompt = ChatPromptTemplate.from_template("{question}")
    return prompt | model | RunnableLambda(lambda answer: {"draft": answer.text})


WAYS = [invoked, streamed, with_callbacks, with_config, in_a_thread, a_sequence]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_a_call_is_put_on_its_attempt(
    llmock: LLMock, chat: Chat, way: Node, asynchronous: bool
) -> None:
    """Model, finish reason, tokens and cost of a call stand on the attempt that made it."""
    (attempt,) = attempts_of(way(chat()), asynchronous=asynchronous)
    assert attempt.outcome == "accepted"
    (call,) = attempt.calls
    assert (call.model, call.finish, call.gate, call.error) == ("small", "stop", None, None)
    assert attempt.model == "small"
    assert attempt.tokens_in == call.tokens_in == TOKENS
    assert attempt.tokens_out == call.tokens_out
    assert call.tokens_out is not None
    assert attempt.cost == pytest.approx((TOKENS * 1.0 + 4.0 * call.tokens_out) / 1e6)
    assert call.seconds is not None
    assert 0 < call.seconds <= attempt.seconds
    assert total(llmock) == 1


@pytest.mark.parametrize("way", [invoked_async, streamed_async])
def test_a_call_of_an_async_node_is_put_on_its_attempt(
    llmock: LLMock, chat: Chat, way: Node
) -> None:
    """An async client's calls count as a sync one's do."""
    (attempt,) = attempts_of(way(chat()), asynchronous=True)
    assert [(call.model, call.finish, call.tokens_in) for call in attempt.calls] == [
        ("small", "stop", TOKENS)
    ]


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_calls_at_the_same_time_are_all_counted(
    llmock: LLMock, chat: Chat, asynchronous: bool
) -> None:
    """Branches and batches run in threads or tasks of LangChain's; each call is counted once."""
    both = RunnableParallel(a=chat(), b=chat("large"))

    def node(_: State) -> State:
        both.invoke(ASKED)
        chat().batch([ASKED] * 3)
        return {"draft": "done"}

    (attempt,) = attempts_of(node, asynchronous=asynchronous)
    assert sorted(str(call.model) for call in attempt.calls) == ["large", *["small"] * 4]
    assert attempt.tokens_in == 5 * TOKENS
    assert set(str(attempt.model).split(", ")) == {"small", "large"}
    assert total(llmock) == 5


class Lazy:
    """A running node that makes its attempt when it is first asked for, as the engine does."""

    declared = None
    namespace = "write:1"

    def __init__(self) -> None:
        """Let two threads meet where both find no attempt yet."""
        self._made: RawAttempt | None = None
        self._both = threading.Barrier(2)

    @property
    def raw(self) -> RawAttempt:
        """The attempt."""
        if self._made is None:
            with suppress(threading.BrokenBarrierError):
                self._both.wait(0.2)
            self._made = RawAttempt(1, "first")
        return self._made

    gate = None

    def feedback(self) -> None:
        """Tell nothing."""

    def note(self, judgement: Judgement) -> None:
        """Keep nothing."""


def test_calls_that_begin_at_the_same_moment_are_all_counted() -> None:
    """The attempt is made once, whichever of a node's threads asks for it first."""
    running = Lazy()
    token = RUNNING.set(running)
    with ThreadPoolExecutor(2) as pool:
        for _ in range(2):
            begin = partial(COUNTING.on_chat_model_start, {}, [], run_id=uuid4())
            pool.submit(copy_context().run, begin)
    RUNNING.reset(token)
    assert len(running.raw.calls) == 2


def test_a_node_with_branches_counts_its_calls(llmock: LLMock, chat: Chat) -> None:
    """A node with conditional edges runs in more steps; its calls count all the same."""
    graph = StateGraph(State).add_node("write", invoked(chat())).add_edge(START, "write")
    graph.add_conditional_edges("write", lambda _: "__end__", ["__end__"])
    (attempt,) = attempts_of(graph.compile())
    assert [call.model for call in attempt.calls] == ["small"]


def test_tasks_that_were_sent_count_apart(llmock: LLMock, chat: Chat) -> None:
    """Two tasks of one node at a time: each has its own call."""
    graph = StateGraph(State).add_node("write", lambda _: chat().invoke(ASKED) and {})
    graph.add_conditional_edges(START, lambda _: [Send("write", {}), Send("write", {})])
    attempts = attempts_of(graph.compile())
    assert [len(attempt.calls) for attempt in attempts] == [1, 1]


# Graphs in graphs


@tool
def look_up(order: str) -> str:
    """Look up an order."""
    return f"order {order} has been sent"


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_an_agent_inside_a_node_counts_for_the_node(
    llmock: LLMock, chat: Chat, asynchronous: bool
) -> None:
    """What an agent calls that nobody guarded belongs to the guarded node that runs it."""
    agent = create_agent(chat(), [look_up])

    def node(_: State) -> State:
        llmock.call_tool("look_up", {"order": "7"}).reply("It has been sent.")
        answer = agent.invoke({"messages": [("human", "Where is order 7?")]})
        return {"draft": answer["messages"][-1].text}

    (attempt,) = attempts_of(node, asynchronous=asynchronous)
    assert [call.finish for call in attempt.calls] == ["tool_calls", "stop"]
    assert total(llmock) == 2


def test_a_guarded_inner_node_has_its_calls_to_itself(llmock: LLMock, chat: Chat) -> None:
    """Calls of a node inside a guarded agent are the inner attempt's, and counted once."""
    agent = create_agent(chat(), [look_up])
    graph = StateGraph(MessagesState).add_node("agent", agent).add_edge(START, "agent")
    tracer = RecordingTracer()
    app = guard(graph.compile(), tracer=tracer)
    llmock.call_tool("look_up", {"order": "7"}).reply("It has been sent.")
    app.invoke({"messages": [("human", "Where is order 7?")]})
    assert [attempt.calls for attempt in tracer.attempts("agent")] == [()]
    finishes = [call.finish for attempt in tracer.attempts("model") for call in attempt.calls]
    assert finishes == ["tool_calls", "stop"]


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_calls_after_an_inner_graph_are_the_outer_nodes_again(
    llmock: LLMock, chat: Chat, asynchronous: bool
) -> None:
    """A node that runs a guarded graph and then calls a model itself has the second call."""
    inner = guard(one_node(invoked(chat("inner"))))

    def node(state: State) -> State:
        inner.invoke(state)
        return {"draft": chat("outer").invoke(ASKED).text}

    def outer() -> Any:
        return StateGraph(State).add_node("outer", node).add_edge(START, "outer").compile()

    tracer = RecordingTracer()
    app = guard(outer(), tracer=tracer)
    if asynchronous:
        asyncio.run(app.ainvoke({}))
    else:
        app.invoke({})
    made = {
        name: [call.model for attempt in tracer.attempts(name) for call in attempt.calls]
        for name in ("write", "outer")
    }
    assert made == {"write": ["inner"], "outer": ["outer"]}


# Gates


def test_a_gates_call_is_the_gates(llmock: LLMock, chat: Chat) -> None:
    """What a slow gate spends stands with the attempt that it judged, under its own name."""

    @gate(slow=True)
    def is_polite(output: Any) -> bool:
        return bool(chat("judge").invoke("Is it polite?").text)

    (attempt,) = attempts_of(invoked(chat()), NodeGuard(gates=[is_polite]))
    assert [(call.model, call.gate) for call in attempt.calls] == [
        ("small", None),
        ("judge", "is_polite"),
    ]
    assert attempt.model == "small"
    assert attempt.tokens_in == sum(call.tokens_in or 0 for call in attempt.calls)


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("kind", ["a dict", "a Command"])
def test_a_quick_gates_call_is_the_gates_too(
    llmock: LLMock, chat: Chat, asynchronous: bool, kind: str
) -> None:
    """A gate that is not declared slow and asks a model is its own caller, and nobody else's."""
    llmock.reply("It rains.").add(Reply("Yes, i", finish_reason="length")).reply("Anywhere.")

    def node(_: State) -> Any:
        draft = chat().invoke(ASKED).text
        return {"draft": draft} if kind == "a dict" else Command(update={"draft": draft})

    @gate
    def is_polite(output: Any) -> bool:
        return bool(chat("judge").invoke("Is it polite?").text)

    def onward(_: State) -> str:
        return chat("router").invoke("Where to?").text and "__end__"

    long_enough = check(lambda output: bool(output["draft"]), "too short")
    gates = [long_enough, is_polite, finished()]
    graph = StateGraph(State).add_node("write", node).add_edge(START, "write")
    graph.add_conditional_edges("write", onward, ["__end__"])
    (attempt,) = attempts_of(graph.compile(), NodeGuard(gates=gates), asynchronous=asynchronous)
    assert attempt.outcome == "accepted"
    assert [(call.model, call.gate) for call in attempt.calls] == [
        ("small", None),
        ("judge", "is_polite"),
        ("router", None),
    ]
    assert [verdict.gate for verdict in attempt.verdicts] == ["too short", "is_polite", "finished"]


def test_an_async_gates_call_is_the_gates(llmock: LLMock, chat: Chat) -> None:
    """An async gate's calls count in an async run."""

    @gate
    async def is_polite(output: Any) -> bool:
        return bool((await chat("judge").ainvoke("Is it polite?")).text)

    (attempt,) = attempts_of(invoked(chat()), NodeGuard(gates=[is_polite]), asynchronous=True)
    assert [call.gate for call in attempt.calls] == [None, "is_polite"]


# Attempts that fail


def test_each_attempt_has_its_own_calls(llmock: LLMock, chat: Chat) -> None:
    """What a rejected attempt spent is told apart from what the accepted one did."""
    llmock.reply("no").reply("It rains, and so the street is wet.")
    long_enough = check(lambda output: len(output["draft"]) > 10, "too short")
    guarded = NodeGuard(gates=[long_enough], policy=Policy(Retry(1)))
    first, second = attempts_of(invoked(chat()), guarded)
    assert (first.outcome, second.outcome) == ("rejected", "accepted")
    assert (first.tokens_out, second.tokens_out) == (1, 8)
    assert len(first.calls) == len(second.calls) == 1


def test_a_node_that_raises_has_spent_what_it_spent(llmock: LLMock, chat: Chat) -> None:
    """A call that was answered counts, although its node raised afterwards."""

    def node(_: State) -> State:
        chat().invoke(ASKED)
        raise RuntimeError("and then it broke")

    (attempt,) = attempts_of(node)
    assert attempt.outcome == "raised"
    assert attempt.tokens_in == TOKENS
    assert attempt.cost is not None


def test_a_cancelled_call_is_recorded_as_unfinished(llmock: LLMock, chat: Chat) -> None:
    """A run that is cancelled while the model is thinking has an open call of unknown cost."""
    llmock.delay(3)
    tracer = RecordingTracer()
    asked = threading.Event()

    async def node(_: State) -> State:
        model = chat(
            http_async_client=httpx.AsyncClient(event_hooks={"request": [note]}, limits=ALONE)
        )
        return {"draft": (await model.ainvoke(ASKED)).text}

    async def note(_: httpx.Request) -> None:
        asked.set()

    app = guard(one_node(node), tracer=tracer, prices=PRICES)

    async def run() -> None:
        task = asyncio.create_task(app.ainvoke({}))
        await asyncio.to_thread(asked.wait)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    asyncio.run(run())
    (attempt,) = tracer.attempts("write")
    assert attempt.outcome == "cancelled"
    (call,) = attempt.calls
    assert (call.model, call.tokens_in, call.cost, attempt.cost) == ("small", None, None, None)


def test_a_stream_that_the_node_leaves_is_recorded(llmock: LLMock, chat: Chat) -> None:
    """A node may stop reading: the call stands there, unfinished, and its cost is unknown."""
    llmock.reply("one two three four five six seven eight nine ten")

    def node(_: State) -> State:
        for chunk in chat().stream("Count."):
            if chunk.text:
                return {"draft": chunk.text}
        return {}

    (attempt,) = attempts_of(node)
    (call,) = attempt.calls
    assert attempt.outcome == "accepted"
    assert (call.finish, call.tokens_out, attempt.cost) == (None, None, None)


def test_a_disconnect_while_streaming_is_recorded(llmock: LLMock, chat: Chat) -> None:
    """A stream that breaks leaves its error on the call, and an unknown cost."""
    llmock.disconnect(after_chunks=2)
    tracer = RecordingTracer()
    app = guard(one_node(streamed(chat())), tracer=tracer, prices=PRICES)
    with pytest.raises(openai.APIConnectionError):
        app.invoke({})
    (attempt,) = tracer.attempts("write")
    (call,) = attempt.calls
    assert attempt.outcome == "raised"
    assert call.error is not None
    assert "ConnectionError" in call.error
    assert (call.finish, attempt.cost) == (None, None)


def test_a_truncated_stream_has_no_finish_reason(llmock: LLMock, chat: Chat) -> None:
    """The client takes a stream cut short for an answer; the record says that it did not end."""
    llmock.truncate(after_chunks=2)
    (attempt,) = attempts_of(streamed(chat()))
    (call,) = attempt.calls
    assert attempt.outcome == "accepted"
    assert (call.finish, call.tokens_in, attempt.cost) == (None, None, None)


def test_a_refused_request_does_not_make_the_cost_unknown(llmock: LLMock, chat: Chat) -> None:
    """A request that the server refused was not answered; what came after it is what was spent."""
    llmock.fail(500)
    model = chat().with_fallbacks([chat("small")])
    (attempt,) = attempts_of(invoked(model))
    refused, answered = attempt.calls
    assert refused.error is not None
    assert (refused.cost, refused.tokens_in) == (None, None)
    assert attempt.cost == answered.cost is not None


# What is not known


def test_an_unknown_model_costs_an_unknown_amount(llmock: LLMock, chat: Chat) -> None:
    """A model that the table does not name has tokens and no cost, and makes the sum unknown."""

    def node(_: State) -> State:
        chat().invoke(ASKED)
        return {"draft": chat("unheard-of").invoke(ASKED).text}

    (attempt,) = attempts_of(node)
    assert [call.cost is None for call in attempt.calls] == [False, True]
    assert attempt.cost is None
    assert attempt.tokens_in == 2 * TOKENS


def test_no_model_no_figures(llmock: LLMock) -> None:
    """A node that calls no model has neither tokens nor cost: None, not 0."""
    (attempt,) = attempts_of(lambda _: {"draft": "by hand"})
    assert (attempt.model, attempt.tokens_in, attempt.cost, attempt.calls) == (None, None, None, ())


def test_counting_ends_with_the_node(llmock: LLMock, chat: Chat) -> None:
    """After a run, model calls of the caller's are nobody's, and LangChain finds no handler."""
    graph = StateGraph(State).add_node("write", invoked(chat())).add_edge(START, "write")
    graph.add_conditional_edges("write", lambda _: "__end__", ["__end__"])
    tracer = RecordingTracer()
    app = guard(graph.compile(), tracer=tracer)
    app.invoke({})
    assert COUNTER.get() is None
    chat().invoke("Anything else?")
    (attempt,) = tracer.attempts("write")
    assert len(attempt.calls) == 1
