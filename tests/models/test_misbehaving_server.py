"""A whole node against a server that goes wrong: what the policy makes of each fault."""

import asyncio
import json
from typing import Any

import pytest
from calling import Chat, State, attempts_of, one_node
from llmock.pytest_plugin import LLMock
from pydantic import BaseModel

from coordgate import Degrade, Fallback, Feedback, NodeGuard, Policy, Retry, guard
from coordgate.gates import finished, not_empty
from coordgate.testing import RecordingTracer

ASKED = "Why is the street wet?"
AT_ONCE: dict[str, Any] = {"wait": 0.0, "jitter": False}
STATED: State = {"draft": "Ask again later."}


class Draft(BaseModel):
    """A draft."""

    draft: str
    sure: float


def by_template(_: State) -> State:
    """Answer without a model."""
    return {"draft": "It may have rained."}


def test_a_context_overflow_is_told_to_the_node(llmock: LLMock, chat: Chat) -> None:
    """The server says that the prompt is too long; the retried node can be shorter."""
    llmock.limits(context_window=50)

    def node(_: State, feedback: Feedback | None = None) -> State:
        short = feedback is not None and "maximum context length" in feedback.reasons[0]
        return {"draft": chat().invoke(ASKED if short else ASKED * 20).text}

    guarded = NodeGuard(policy=Policy(Retry(1, **AT_ONCE)))
    first, second = attempts_of(node, guarded)
    assert (first.outcome, second.outcome) == ("raised", "accepted")
    assert (first.calls[0].finish, first.cost, second.calls[0].finish) == (None, None, "stop")


@pytest.mark.parametrize(
    "answer",
    ["It is wet.", '{"draft": "It rained."}', '{"draft": "It rained.", "sure": "very"}', "[]"],
    ids=["prose", "a key missing", "a wrong type", "another kind"],
)
@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_an_answer_of_another_schema_is_asked_for_again(
    llmock: LLMock, chat: Chat, answer: str, asynchronous: bool
) -> None:
    """What the client cannot parse raises, and is paid for; the next attempt is told."""
    llmock.reply(answer).reply(json.dumps({"draft": "It rained.", "sure": 0.9}))

    def node(_: State) -> State:
        filled: Any = chat().with_structured_output(Draft).invoke(ASKED)
        return {"draft": filled.draft}

    guarded = NodeGuard(policy=Policy(Retry(1, **AT_ONCE)))
    first, second = attempts_of(node, guarded, asynchronous=asynchronous)
    assert (first.outcome, second.outcome) == ("raised", "accepted")
    assert "ValidationError" in str(first.calls[0].error)
    assert first.tokens_in == second.tokens_in == 5
    assert (first.calls[0].model, first.calls[0].finish) == ("small", "stop")
    assert first.cost
    assert len(llmock.requests) == 2


@pytest.mark.parametrize("fault", ["disconnect", "corrupt", "truncate", "stall"])
@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_a_stream_that_breaks_is_asked_for_again(
    llmock: LLMock, chat: Chat, fault: str, asynchronous: bool
) -> None:
    """Whether the client raises or takes a part for the whole: the second stream ships."""
    given: dict[str, Any] = {"seconds": 1.5} if fault == "stall" else {}
    getattr(llmock.reply("It rained for a week, and so it is wet."), fault)(after_chunks=4, **given)
    llmock.reply("It rained for a week, and so it is wet.")

    def node(_: State) -> State:
        return {"draft": "".join(chunk.text for chunk in chat(timeout=0.3).stream(ASKED))}

    async def anode(_: State) -> State:
        stream = chat(timeout=0.3).astream(ASKED)
        return {"draft": "".join([chunk.text async for chunk in stream])}

    guarded = NodeGuard(gates=[finished()], policy=Policy(Retry(1, **AT_ONCE)))
    tracer = RecordingTracer()
    app = guard(one_node(anode if asynchronous else node), {"write": guarded}, tracer=tracer)
    state = asyncio.run(app.ainvoke({})) if asynchronous else app.invoke({})
    assert state["draft"] == "It rained for a week, and so it is wet."
    first, second = tracer.attempts("write")
    assert first.outcome == ("rejected" if fault == "truncate" else "raised")
    assert first.calls[0].finish is None
    assert second.outcome == "accepted"
    assert len(llmock.requests) == 2


@pytest.mark.parametrize("status", [429, 500, 503])
@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_an_outage_ends_with_a_stated_answer(
    llmock: LLMock, chat: Chat, status: int, asynchronous: bool
) -> None:
    """The ladder is climbed to its end: three requests, an empty template, a stated answer."""
    llmock.fail(status, times=None)

    def node(_: State) -> State:
        return {"draft": chat().invoke(ASKED).text}

    policy = Policy(Retry(2, **AT_ONCE), Fallback(lambda _: {"draft": ""}), Degrade(STATED))
    guarded = NodeGuard(gates=[not_empty("draft"), finished()], policy=policy)
    attempts = attempts_of(node, guarded, asynchronous=asynchronous)
    outcomes = ["raised", "raised", "raised", "rejected", "accepted"]
    assert [attempt.outcome for attempt in attempts] == outcomes
    assert len(llmock.requests) == 3
    assert all(attempt.cost is None for attempt in attempts)


def test_a_fallback_without_a_model_passes_the_models_gates(llmock: LLMock, chat: Chat) -> None:
    """A template answers for a model that refuses to; nothing of it can be cut off."""
    llmock.fail(500)
    guarded = NodeGuard(gates=[finished()], policy=Policy(Fallback(by_template)))
    attempts = attempts_of(lambda _: {"draft": chat().invoke(ASKED).text}, guarded)
    assert [attempt.outcome for attempt in attempts] == ["raised", "accepted"]
    assert [len(attempt.calls) for attempt in attempts] == [1, 0]
