"""A ladder of models: the cheap one first, the next when a gate rejects its answer."""

import asyncio
from typing import Any

import pytest
from calling import (
    ASKED,
    Chat,
    attempts_of,
    batched,
    invoked,
    invoked_async,
    one_node,
    streamed,
    streamed_async,
)
from langchain.agents import create_agent
from langchain_core.tools import tool
from langgraph.types import RetryPolicy
from llmock.pytest_plugin import LLMock
from llmock.scenarios import Match, Reply
from pydantic import BaseModel

from coordgate import ConfigurationError, NodeGuard, Policy, Retry, guard
from coordgate.gates import check
from coordgate.models import ModelLadder, with_feedback
from coordgate.testing import RecordingTracer

TOO_SHORT = check(lambda output: len(output["draft"]) > 10, "the draft is too short")
GUARDED = NodeGuard(gates=[TOO_SHORT], policy=Policy(Retry(2)))


@pytest.fixture
def answers(llmock: LLMock) -> LLMock:
    """The small model is always too short, the large one never."""
    llmock.add(Reply("rain", times=None, match=Match(model="small")))
    return llmock.add(Reply("It has been raining.", times=None, match=Match(model="large")))


def asked(llmock: LLMock) -> list[str | None]:
    """Return which models were asked."""
    return [request.model for request in llmock.requests]


SYNC = [invoked, streamed, batched]


@pytest.mark.parametrize("way", [*SYNC, invoked_async, streamed_async])
def test_the_next_model_answers_when_the_gate_rejects(
    answers: LLMock, chat: Chat, way: Any
) -> None:
    """Each rejected attempt climbs one rung; each call is counted once, under its own model."""
    ladder = ModelLadder(chat("small"), chat("large"))
    attempts = attempts_of(way(ladder), GUARDED, asynchronous=way not in SYNC)
    assert asked(answers) == ["small", "large"]
    assert [[call.model for call in attempt.calls] for attempt in attempts] == [
        ["small"],
        ["large"],
    ]


def test_an_accepted_answer_of_the_cheap_model_ships(llmock: LLMock, chat: Chat) -> None:
    """The strong model is not asked where the cheap one will do."""
    llmock.reply("It has been raining.")
    attempts_of(invoked(ModelLadder(chat("small"), chat("large"))), GUARDED)
    assert asked(llmock) == ["small"]


def test_the_last_rung_stays(llmock: LLMock, chat: Chat) -> None:
    """With more retries than rungs the last model is asked again."""
    llmock.reply("no", times=None)
    tracer = RecordingTracer()
    node = invoked(ModelLadder(chat("small"), chat("large")))
    app = guard(one_node(node), {"write": GUARDED}, tracer=tracer)
    with pytest.raises(RuntimeError, match="the draft is too short"):
        app.invoke({})
    assert asked(llmock) == ["small", "large", "large"]


def test_each_run_begins_with_the_cheap_model(answers: LLMock, chat: Chat) -> None:
    """What one run climbed to says nothing of the next, nor of a call outside any node."""
    ladder = ModelLadder(chat("small"), chat("large"))
    app = guard(one_node(invoked(ladder)), {"write": GUARDED})
    app.invoke({})
    asyncio.run(app.ainvoke({}))
    ladder.invoke(ASKED)
    assert asked(answers) == ["small", "large", "small", "large", "small"]


def test_a_repeat_of_langgraphs_stays_on_its_rung(llmock: LLMock, chat: Chat) -> None:
    """A server's error says nothing of the model."""
    llmock.fail(503).reply("It has been raining.")
    policy = RetryPolicy(max_attempts=2, initial_interval=0.0, jitter=False, retry_on=Exception)
    graph = one_node(invoked(ModelLadder(chat("small"), chat("large"))), retry_policy=policy)
    guard(graph, {"write": GUARDED}).invoke({})
    assert asked(llmock) == ["small", "small"]


@tool
def look_up(order: str) -> str:
    """Look up an order."""
    return f"order {order} has been sent today"


class Draft(BaseModel):
    """A draft."""

    draft: str


def test_tools_and_schemas_are_bound_to_each_rung(answers: LLMock, chat: Chat) -> None:
    """What is bound to the ladder climbs with it."""
    ladder = ModelLadder(chat("small"), chat("large"))
    attempts_of(invoked(ladder.bind_tools([look_up])), GUARDED)
    assert [bool(request.body.get("tools")) for request in answers.requests] == [True, True]
    answers.reset()
    for model, text in (("small", "rain"), ("large", "It has been raining.")):
        answers.add(Reply(f'{{"draft": "{text}"}}', match=Match(model=model)))
    structured = ladder.with_structured_output(Draft)
    attempts_of(lambda _: structured.invoke(ASKED).model_dump(), GUARDED)
    assert asked(answers) == ["small", "large"]


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_an_agent_can_have_a_ladder(answers: LLMock, chat: Chat, asynchronous: bool) -> None:
    """`create_agent` takes a ladder for a model; its node climbs when its message is rejected."""
    agent = create_agent(ModelLadder(chat("small"), chat("large")), [look_up])
    long = check(lambda output: len(output["messages"][-1].text) > 10, "too short")
    app = guard(agent, {"model": NodeGuard(gates=[long], policy=Policy(Retry(1)))})
    question: Any = {"messages": [("human", ASKED)]}
    state = asyncio.run(app.ainvoke(question)) if asynchronous else app.invoke(question)
    assert state["messages"][-1].text == "It has been raining."
    assert asked(answers) == ["small", "large"]


def test_the_next_model_can_be_told(answers: LLMock, chat: Chat) -> None:
    """`with_feedback` of a ladder is a ladder of models that are told."""
    ladder = with_feedback(ModelLadder(chat("small"), chat("large")))
    attempts_of(invoked(ladder), GUARDED)
    first, second = [request.body["messages"] for request in answers.requests]
    assert len(first) == 1
    assert second[1]["content"] == "rain"


def test_what_is_no_ladder_is_refused(chat: Chat) -> None:
    """A ladder has at least one rung, and chat models only."""
    with pytest.raises(ConfigurationError, match="the cheapest first"):
        ModelLadder()
    with pytest.raises(ConfigurationError, match="give chat models"):
        ModelLadder(chat().bind_tools([look_up]))  # type: ignore[arg-type]
