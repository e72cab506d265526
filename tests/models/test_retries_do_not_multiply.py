"""Requests counted at the server: client, LangGraph and policy never multiply their repeats."""

import asyncio
from typing import Any

import openai
import pytest
from calling import Chat, State, one_node
from langgraph.types import RetryPolicy
from llmock.pytest_plugin import LLMock

from coordgate import Degrade, NodeGuard, Policy, Retry, guard
from coordgate.testing import RecordingTracer

AT_ONCE: dict[str, Any] = {"initial_interval": 0.0, "jitter": False}

OUTAGES = [429, 500, 503]


def run(app: Any, asynchronous: bool) -> None:
    """Run the graph to the error that it ends with."""
    with pytest.raises(openai.APIStatusError):
        asyncio.run(app.ainvoke({})) if asynchronous else app.invoke({})


def asking(model: Any) -> Any:
    """Return a node that asks the model."""
    return lambda _: {"draft": model.invoke("Why is the street wet?").text}


@pytest.mark.parametrize("status", OUTAGES)
def test_bare_they_multiply(llmock: LLMock, chat: Chat, status: int) -> None:
    """What is prevented: two attempts of LangGraph's, each of two requests of the client's."""
    llmock.fail(status, times=None, retry_after=0.001)
    policy = RetryPolicy(max_attempts=2, retry_on=openai.APIStatusError, **AT_ONCE)
    run(one_node(asking(chat(max_retries=1)), retry_policy=policy), False)
    assert len(llmock.requests) == 4


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("status", OUTAGES)
def test_what_the_client_has_repeated_is_not_repeated_again(
    llmock: LLMock, chat: Chat, status: int, asynchronous: bool
) -> None:
    """Neither LangGraph's policy nor Retry runs a node again whose client has repeated itself."""
    llmock.fail(status, times=None, retry_after=0.001)
    policy = RetryPolicy(max_attempts=3, retry_on=openai.APIStatusError, **AT_ONCE)
    graph = one_node(asking(chat(max_retries=1)), retry_policy=policy)
    tracer = RecordingTracer()
    guarded = NodeGuard(policy=Policy(Retry(2, wait=0.0, jitter=False)))
    run(guard(graph, {"write": guarded}, tracer=tracer), asynchronous)
    assert len(llmock.requests) == 2
    assert len(tracer.attempts("write")) == 1


def test_the_error_says_who_has_repeated(llmock: LLMock, chat: Chat) -> None:
    """The note on the error names the client's own repeats, and how to turn them off."""
    llmock.fail(500, times=None)
    guarded = NodeGuard(policy=Policy(Retry(2, wait=0.0, jitter=False)))
    app = guard(one_node(asking(chat(max_retries=1))), {"write": guarded})
    with pytest.raises(openai.InternalServerError) as caught:
        app.invoke({})
    assert any("max_retries=0" in note for note in caught.value.__notes__)


def test_a_client_that_does_not_repeat_leaves_it_to_the_others(llmock: LLMock, chat: Chat) -> None:
    """With max_retries=0 LangGraph's attempts count: as many requests as attempts."""
    llmock.fail(500, times=None)
    policy = RetryPolicy(max_attempts=3, retry_on=openai.APIStatusError, **AT_ONCE)
    graph = one_node(asking(chat()), retry_policy=policy)
    guarded = NodeGuard(policy=Policy(Retry(2, wait=0.0, jitter=False)))
    run(guard(graph, {"write": guarded}), False)
    assert len(llmock.requests) == 3


def test_the_ladder_goes_on_above_retry(llmock: LLMock, chat: Chat) -> None:
    """After the client's own repeats a stated answer still helps; asking once more would not."""
    llmock.fail(503, times=None, retry_after=0.001)
    stated: State = {"draft": "The model is down."}
    guarded = NodeGuard(policy=Policy(Retry(2, wait=0.0, jitter=False), Degrade(stated)))
    app = guard(one_node(asking(chat(max_retries=1))), {"write": guarded})
    assert app.invoke({}) == stated
    assert len(llmock.requests) == 2


def test_a_repeat_that_helped_is_no_failure(llmock: LLMock, chat: Chat) -> None:
    """The client waits as long as Retry-After says, asks again, and the attempt is accepted."""
    llmock.rate_limit(times=1, retry_after=0.05)
    tracer = RecordingTracer()
    guarded = NodeGuard(policy=Policy(Retry(2)))
    guard(one_node(asking(chat(max_retries=1))), {"write": guarded}, tracer=tracer).invoke({})
    assert [attempt.outcome for attempt in tracer.attempts("write")] == ["accepted"]
    assert len(llmock.requests) == 2
    llmock.assert_resilient()
