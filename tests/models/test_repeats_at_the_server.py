"""Each fault of a server, as often as it is asked: requests counted there, with the real client."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest
from calling import Chat, State, one_node
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langgraph.types import RetryPolicy
from llmock.pytest_plugin import LLMock
from llmock.scenarios import Delay, Fail, Reply, StreamFault, ToolCall, ToolFault
from pydantic import BaseModel

from coordgate import Degrade, NodeGuard, Policy, Retry, guard
from coordgate.gates import finished
from coordgate.testing import RecordingTracer
from coordgate.tracer import Attempt

ASKED = "Why is the street wet?"
STATED: State = {"draft": "Ask again later."}


class Draft(BaseModel):
    """A draft."""

    draft: str


@tool
def look_up(order: str) -> str:
    """Look up an order."""
    return order


PROMPT: RunnableLambda[State, str] = RunnableLambda(lambda _: ASKED)


def asking(model: Any) -> Any:
    """Return a node that asks, by the client of the kind that the graph is run by."""
    return PROMPT | model | (lambda answer: {"draft": answer.text})


def streaming(model: Any) -> Any:
    """Return a node that reads a stream."""

    def node(_: State) -> State:
        return {"draft": "".join(chunk.text for chunk in model.stream(ASKED))}

    async def anode(_: State) -> State:
        return {"draft": "".join([chunk.text async for chunk in model.astream(ASKED)])}

    return RunnableLambda(node, anode)


def filling(model: Any) -> Any:
    """Return a node that has a schema filled."""
    return PROMPT | model.with_structured_output(Draft) | (lambda filled: {"draft": filled.draft})


def calling(model: Any) -> Any:
    """Return a node that has a tool called."""
    return PROMPT | model.bind_tools([look_up]) | (lambda said: {"draft": str(said.tool_calls)})


def broken(kind: Any, **given: Any) -> list[Any]:
    """Return a stream that goes wrong each time."""
    return [StreamFault(kind, after_chunks=2, times=None, **given)]


Way = Callable[[Any], Any]
FAULTS: dict[str, tuple[Way, list[Any], bool]] = {
    "429 with Retry-After": (asking, [Fail(429, retry_after=0.001, times=None)], True),
    "500": (asking, [Fail(500, retry_after=0.001, times=None)], True),
    "503 before a stream": (streaming, [Fail(503, retry_after=0.001, times=None)], True),
    "no answer in time": (asking, [Delay(0.5, times=None)], True),
    "disconnect mid-stream": (streaming, broken("disconnect"), False),
    "stall mid-stream": (streaming, broken("stall", stall_seconds=0.5), False),
    "malformed chunk": (streaming, broken("malformed"), False),
    "truncation mid-stream": (streaming, broken("truncate"), False),
    "truncation": (asking, [Reply("Because", finish_reason="length", times=None)], False),
    "malformed tool arguments": (
        calling,
        [
            Reply(tool_calls=(ToolCall("look_up", {"order": "4471"}),), times=None),
            ToolFault("malformed_arguments", times=None),
        ],
        False,
    ),
    "context overflow": (asking, [Fail(400, code="context_length_exceeded", times=None)], False),
    "wrong schema": (filling, [Reply('{"text": "It rained."}', times=None)], False),
}
"""How the node asks, what the server does, and whether the client repeats that by itself."""


def attempts(node: Any, chat_policy: RetryPolicy | None, asynchronous: bool) -> list[Attempt]:
    """Run a node whose every layer would repeat, to the stated answer at the end of its ladder."""
    tracer = RecordingTracer()
    graph = one_node(node, retry_policy=chat_policy) if chat_policy else one_node(node)
    policy = Policy(Retry(2, wait=0.0, jitter=False), Degrade(STATED))
    guarded = NodeGuard(gates=[finished()], policy=policy)
    app = guard(graph, {"write": guarded}, tracer=tracer)
    assert (asyncio.run(app.ainvoke({})) if asynchronous else app.invoke({})) == STATED
    return tracer.attempts("write")[:-1]


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("fault", FAULTS)
def test_who_repeats_repeats_alone(
    llmock: LLMock, chat: Chat, fault: str, asynchronous: bool
) -> None:
    """What the client repeats nobody else does; what it does not, LangGraph or Retry does alone."""
    # Two requests of the client's, three attempts of LangGraph's and of Retry's: up to 18.
    way, behaviour, clients = FAULTS[fault]
    llmock.add(*behaviour)
    everything = RetryPolicy(
        max_attempts=3, initial_interval=0.0, jitter=False, retry_on=lambda _: True
    )
    timeout = 0.2 if "time" in fault or "stall" in fault else 10
    made = attempts(way(chat(max_retries=1, timeout=timeout)), everything, asynchronous)
    expected = 2 if clients else 3
    assert len(llmock.requests) == expected
    assert len(made) == (1 if clients else 3)
    assert all(len(attempt.calls) == 1 for attempt in made)
    said = made[0].calls[0].error
    assert ("the client had sent it 2 times" in str(said)) == clients


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("fault", FAULTS)
def test_with_no_repeats_of_the_clients_each_request_is_an_attempt(
    llmock: LLMock, chat: Chat, fault: str, asynchronous: bool
) -> None:
    """With max_retries=0 and Retry alone there are as many requests as attempts in the record."""
    way, behaviour, _ = FAULTS[fault]
    llmock.add(*behaviour)
    timeout = 0.2 if "time" in fault or "stall" in fault else 10
    made = attempts(way(chat(timeout=timeout)), None, asynchronous)
    assert len(llmock.requests) == len(made) == 3
    assert "the client had sent" not in str([attempt.calls for attempt in made])


def test_the_client_waits_as_long_as_the_server_says(llmock: LLMock, chat: Chat) -> None:
    """A 429 with Retry-After is repeated by the client, and not before that time is over."""
    llmock.rate_limit(times=1, retry_after=0.3)
    tracer = RecordingTracer()
    began = time.perf_counter()
    guard(one_node(asking(chat(max_retries=1))), tracer=tracer).invoke({})
    assert time.perf_counter() - began >= 0.3
    assert len(llmock.requests) == 2
    (attempt,) = tracer.attempts("write")
    assert (attempt.outcome, len(attempt.calls)) == ("accepted", 1)


# An error that the node does not raise as it is


class ModelIsDown(Exception):
    """What a node of one's own makes of a client's error."""


def wrapping(model: Any) -> Any:
    """Raise another error from the client's."""

    def node(_: State) -> State:
        try:
            return {"draft": model.invoke(ASKED).text}
        except Exception as error:
            raise ModelIsDown("no model") from error

    return node


def hiding(model: Any) -> Any:
    """Raise another error, which does not say what it was raised from."""

    def node(_: State) -> State:
        try:
            return {"draft": model.invoke(ASKED).text}
        except Exception:  # noqa: BLE001 - whatever it was
            raise ModelIsDown("no model") from None

    return node


def swallowing(model: Any) -> Any:
    """Hand over nothing, as if nothing had happened."""

    def node(_: State) -> State:
        try:
            return {"draft": model.invoke(ASKED).text}
        except Exception:  # noqa: BLE001 - the careless node that this is about
            return {"draft": 3}  # type: ignore[typeddict-item]

    return node


def grouping(model: Any) -> Any:
    """Raise the client's error in a group, as asyncio's task groups do."""

    def node(_: State) -> State:
        try:
            return {"draft": model.invoke(ASKED).text}
        except Exception as error:  # noqa: BLE001 - whatever it was
            raise ExceptionGroup("two tasks", [ValueError("the other"), error]) from None

    return node


def in_an_inner_graph(model: Any) -> Any:
    """Wrap what a guarded graph inside raises, whose node has the call."""
    inner = guard(one_node(asking(model)))

    def node(_: State) -> State:
        try:
            found: State = inner.invoke({})
        except Exception as error:
            raise ModelIsDown("no graph") from error
        return found

    return node


@pytest.mark.parametrize("way", [wrapping, hiding, swallowing, grouping, in_an_inner_graph])
@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_an_error_that_the_node_hides_is_still_the_clients(
    llmock: LLMock, chat: Chat, way: Way, asynchronous: bool
) -> None:
    """Wrapped, swallowed or in a group: the call stands in the record, and nobody repeats it."""
    llmock.fail(500, times=None, retry_after=0.001)
    tracer = RecordingTracer()
    everything = RetryPolicy(
        max_attempts=3, initial_interval=0.0, jitter=False, retry_on=lambda _: True
    )
    policy = Policy(Retry(2, wait=0.0, jitter=False), Degrade(STATED))
    graph = one_node(way(chat(max_retries=1)), retry_policy=everything)
    app = guard(graph, {"write": NodeGuard(policy=policy)}, tracer=tracer)
    assert (asyncio.run(app.ainvoke({})) if asynchronous else app.invoke({})) == STATED
    assert len(llmock.requests) == 2
    calls = [call for attempt in tracer.attempts("write") for call in attempt.calls]
    assert [call.error is not None and "500" in call.error for call in calls] == [True]
    assert str(calls[0].error).endswith("(the client had sent it 2 times)")


def test_a_call_that_made_good_a_failed_one_lets_retry_ask_again(
    llmock: LLMock, chat: Chat
) -> None:
    """Where another model has answered, a rejected answer is asked for again."""
    llmock.fail(500, times=2, retry_after=0.001)
    model = chat(max_retries=1).with_fallbacks([chat("large")])
    answers = iter([3])

    def node(_: State) -> State:
        text = model.invoke(ASKED).text
        return {"draft": next(answers, text)}  # type: ignore[typeddict-item]

    tracer = RecordingTracer()
    policy = Policy(Retry(2, wait=0.0, jitter=False))
    guard(one_node(node), {"write": NodeGuard(policy=policy)}, tracer=tracer).invoke({})
    assert [each.outcome for each in tracer.attempts("write")] == ["violated", "accepted"]
    assert len(llmock.requests) == 2 + 1 + 1
