"""Groundedness by a model: each sentence judged, the unsupported named, quotations checked."""

import json
from typing import Any

import pytest
from calling import Chat
from langchain_core.documents import Document
from llmock.pytest_plugin import LLMock

from coordgate import ConfigurationError
from coordgate.gate import Verdict, as_verdict
from coordgate.gates import grounded

CONTEXT = [
    Document("Herons wait in shallow water. They eat fish, frogs and small mammals."),
    Document("A heron's neck is bent in flight."),
]
GOOD = "Herons eat fish and frogs."
BENT = "In flight the neck is bent."
WRONG = "Herons live for sixty years."


def found(*entries: tuple[int, bool, str]) -> str:
    """Return what the judge writes: number, supported, quotation."""
    return json.dumps(
        {"sentences": [{"number": n, "supported": s, "quote": q} for n, s, q in entries]}
    )


def ask(gate: Any, draft: str, context: Any = CONTEXT) -> Verdict:
    """Ask the gate by itself."""
    return as_verdict(gate({"draft": draft}, {"context": context}))


def test_each_sentence_is_judged_and_the_unsupported_are_named(llmock: LLMock, chat: Chat) -> None:
    """The reason quotes the sentences that no source says; the score is the share of the others."""
    llmock.reply(
        found(
            (1, True, "They eat fish, frogs"), (2, True, "neck is bent in flight"), (3, False, "")
        )
    )
    verdict = ask(grounded(chat("judge"), sources="context"), f"{GOOD} {BENT} {WRONG}")
    assert not verdict.passed
    assert verdict.score == pytest.approx(2 / 3)
    assert f'"{WRONG}" (no source says it)' in verdict.reason
    assert GOOD not in verdict.reason
    told = llmock.requests[0].body["messages"][1]["content"]
    assert "3. Herons live" in told
    assert CONTEXT[1].page_content in told


def test_a_supported_text_passes_and_is_asked_about_once(llmock: LLMock, chat: Chat) -> None:
    """Quotations are found whatever their case, spaces and punctuation."""
    llmock.reply(found((2, True, "NECK is  bent, in flight!"), (1, True, "they eat fish")))
    gate = grounded(chat("judge"), sources="context", key="draft")
    assert ask(gate, f"{GOOD} {BENT}") == ask(gate, f"{GOOD} {BENT}") == Verdict.accept(1.0)
    assert len(llmock.requests) == 1


@pytest.mark.parametrize(
    "quote",
    ["Herons live for sixty years", "", "fish", "the herons", "fish frogs A heron's neck"],
    ids=["made up", "none", "one word", "two words", "across sources"],
)
def test_a_quotation_that_no_source_has_supports_nothing(
    llmock: LLMock, chat: Chat, quote: str
) -> None:
    """A judge that says `supported` must show where."""
    llmock.reply(found((1, True, quote)))
    verdict = ask(grounded(chat("judge"), sources="context"), WRONG)
    assert "quotes no words of a source" in verdict.reason
    assert (verdict.passed, verdict.broken, verdict.score) == (False, False, 0.0)


@pytest.mark.parametrize(
    "answer",
    [
        found((1, True, "They eat fish")),
        found((1, True, "They eat fish"), (1, True, "They eat fish")),
        found((1, True, "They eat fish"), (2, True, "They eat fish"), (3, True, "They eat fish")),
        found(),
        "supported",
        '{"sentences": [{"number": "1"}]}',
    ],
    ids=["one left out", "one twice", "one too many", "none", "prose", "wrong schema"],
)
def test_a_judge_that_leaves_a_sentence_out_has_not_judged(
    llmock: LLMock, chat: Chat, answer: str
) -> None:
    """What does not judge each sentence once is no verdict, and is not kept."""
    llmock.reply(answer).reply(found((1, True, "They eat fish"), (2, False, "")))
    gate = grounded(chat("judge"), sources="context")
    verdict = ask(gate, f"{GOOD} {WRONG}")
    assert (verdict.passed, verdict.broken) == (False, True)
    assert not ask(gate, f"{GOOD} {WRONG}").broken


def test_a_judge_that_fails_has_not_passed(llmock: LLMock, chat: Chat) -> None:
    """A server's error is a gate that could not judge."""
    llmock.fail(503)
    verdict = ask(grounded(chat("judge"), sources="context"), GOOD)
    assert (verdict.passed, verdict.broken) == (False, True)


def test_without_sources_or_sentences_there_is_nothing_to_pass(llmock: LLMock, chat: Chat) -> None:
    """An empty context supports nothing, an empty draft says nothing; no model is asked."""
    gate = grounded(chat("judge"), sources="context")
    assert ask(gate, GOOD, []).broken
    assert ask(gate, "...").broken
    assert llmock.requests == []


def test_what_cannot_judge_is_refused() -> None:
    """A model without structured output is an error when the gate is made."""
    with pytest.raises(ConfigurationError, match="give a chat model"):
        grounded(object(), sources="context")
