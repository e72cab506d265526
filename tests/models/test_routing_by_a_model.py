"""A model that says where work goes, by the real client: what it does wrong goes to the default."""

import asyncio
import json
from typing import Any

import pytest
from calling import PRICES, Chat
from langgraph.graph import START, StateGraph
from llmock.pytest_plugin import LLMock
from llmock.scenarios import Delay, Fail, Reply
from typing_extensions import TypedDict

from coordgate import guard, router
from coordgate.gates import by_model
from coordgate.testing import RecordingTracer

LABELS = {"refund": "wants money back", "question": "asks something"}


class State(TypedDict, total=False):
    """What the nodes share."""

    text: str
    went: str


def route(model: Any, asynchronous: bool) -> tuple[str, RecordingTracer]:
    """Route a text by a model; return where it went, and the record."""
    tracer = RecordingTracer()
    sent = router(
        {"refund": "pay_back", "question": "answer"},
        classify=by_model(model, LABELS, key="text"),
        at_least=0.7,
        default="human",
    )
    builder = StateGraph(State).add_node("route", sent.node).add_edge(START, "route")
    for name in ("pay_back", "answer", "human"):
        builder.add_node(name, lambda _, name=name: {"went": name})
    app = guard(builder, tracer=tracer, prices=PRICES).compile()
    given: Any = {"text": "I want my money back."}
    state = asyncio.run(app.ainvoke(given)) if asynchronous else app.invoke(given)
    return state["went"], tracer


def said(label: str, confidence: float) -> str:
    """Return a model's structured answer."""
    return json.dumps({"label": label, "confidence": confidence})


BOTH = pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])


@BOTH
def test_a_sure_answer_is_followed_and_paid_by_the_router(
    llmock: LLMock, chat: Chat, asynchronous: bool
) -> None:
    """The label's node gets the work; score and cost stand with the attempt that decided."""
    llmock.reply(said("refund", 0.93))
    went, tracer = route(chat(), asynchronous)
    assert went == "pay_back"
    (attempt,) = tracer.attempts("route")
    (verdict,) = attempt.verdicts
    assert (verdict.passed, verdict.score) == (True, 0.93)
    assert (attempt.model, attempt.calls[0].gate) == ("small", None)
    assert attempt.cost
    assert [tracer.attempts(name) for name in ("answer", "human")] == [[], []]


@BOTH
@pytest.mark.parametrize(
    ("behaviour", "why"),
    [
        (Reply(said("refund", 0.6)), "'refund' has 0.6, at least 0.7 is required"),
        (Reply(said("none_of_these", 0.9)), "no label fits"),
        (Reply(said("refnud", 0.9)), "ValidationError"),
        (Reply(said("refund", 9.0)), "ValidationError"),
        (Reply("It is a refund."), "ValidationError"),
        (Reply(said("refund", 0.9)[:12], finish_reason="length"), "LengthFinishReasonError"),
        (Fail(500), "Error code: 500"),
        (Fail(429, retry_after=0.01), "Error code: 429"),
        (Fail(400, code="context_length_exceeded"), "Error code: 400"),
        (Delay(0.5), "imed out"),
    ],
    ids=lambda each: str(getattr(each, "text", None) or getattr(each, "status", ""))[:30],
)
def test_what_is_unsure_unknown_or_broken_goes_to_the_default(
    llmock: LLMock, chat: Chat, behaviour: Any, why: str, asynchronous: bool
) -> None:
    """One request, the person's node, and the reason in the record."""
    llmock.add(behaviour)
    went, tracer = route(chat(timeout=0.2 if why == "imed out" else 10), asynchronous)
    assert went == "human"
    (attempt,) = tracer.attempts("route")
    assert attempt.outcome == "accepted"
    (verdict,) = attempt.verdicts
    assert not verdict.passed
    assert why in verdict.reason
    assert len(llmock.requests) == 1
