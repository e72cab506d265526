"""Classifiers and decisions: which label is chosen, when it is the default, and what is said."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.embeddings import Embeddings
from langchain_core.messages import AIMessage

from coordgate import ConfigurationError, router
from coordgate.gates import by_example, by_model, by_rules
from coordgate.gates.route import Decision, decide
from coordgate.testing import ScriptedModel

ROUTES = {"refund": "pay_back", "question": "answer"}


def decided(answer: object, at_least: float | None = 0.7) -> Decision:
    """Return the decision on an answer."""
    return decide(answer, ROUTES, at_least=at_least, default="human")


# -- decisions


@pytest.mark.parametrize(
    ("answer", "target"),
    [
        (("refund", 0.7), "pay_back"),
        (("refund", 0.69), "human"),
        ({"refund": 0.2, "question": 0.9}, "answer"),
        ({"refund": 0.9, "question": 0.9}, "human"),
        ({}, "human"),
        ("refund", "human"),
        (("refnd", 0.9), "human"),
        ({"other": 0.9, "refund": 0.1}, "human"),
        (None, "human"),
        (("refund", "0.9"), "human"),
        (("refund", True), "human"),
        (("refund", float("nan")), "human"),
        ({"refund": float("nan")}, "human"),
        (("refund", 0.9, 1), "human"),
        (["refund"], "human"),
    ],
)
def test_what_is_unknown_or_unsure_goes_to_the_default(answer: object, target: str) -> None:
    """Only a known label whose score meets the floor goes along its route."""
    assert decided(answer).target == target


def test_without_a_floor_a_label_alone_is_enough() -> None:
    """A classifier without scores works where no floor is given, and any score passes."""
    assert decided("refund", None).target == "pay_back"
    assert decided(("refund", 0.01), None).target == "pay_back"
    assert decided("refnd", None).target == "human"


def test_the_reason_says_why_it_was_the_default() -> None:
    """Floor, typo, tie, silence and nonsense each have their words."""
    assert decided(("refund", 0.5)).reason == "'refund' has 0.5, at least 0.7 is required"
    assert decided("refnd").reason == "there is no label 'refnd'; did you mean 'refund'?"
    assert decided("refund").reason == "'refund' came without a score, and at least 0.7 is required"
    assert decided({"refund": 1, "question": 1}).reason == "two labels have the same best score"
    assert decided({}).reason == "no label fits"
    assert decided(3).reason == "the classifier returned 3, not a label or scores"


def test_the_verdict_has_every_score() -> None:
    """What the record keeps: passed if a label was chosen, the best score, all scores in words."""
    verdict = decided({"refund": 0.2, "question": 0.9}).verdict
    assert (verdict.passed, verdict.score) == (True, 0.9)
    assert verdict.reason == "question 0.9, refund 0.2"
    unsure = decided({"refund": 0.2, "question": 0.3}).verdict
    assert not unsure
    assert unsure.reason == (
        "'question' has 0.3, at least 0.7 is required; question 0.3, refund 0.2"
    )


@given(
    st.none()
    | st.text()
    | st.tuples(st.sampled_from(["refund", "question", "x"]), st.floats())
    | st.dictionaries(st.sampled_from(["refund", "question", "x"]), st.floats() | st.none())
)
def test_every_answer_has_a_target_and_the_floor_is_kept(answer: Any) -> None:
    """Whatever a classifier says, the work goes to a route that met the floor, or the default."""
    decision = decided(answer)
    assert decision.target in {"pay_back", "answer", "human"}
    if decision.label is None:
        assert decision.target == "human"
        assert decision.reason
    else:
        assert decision.score is not None
        assert decision.score >= 0.7


# -- classifiers


def test_the_first_rule_that_is_true_gives_the_label() -> None:
    """Rules are asked in their order; none that holds is no label."""
    route = router(
        ROUTES,
        classify=by_rules(
            {
                "refund": lambda state: "money" in state["text"],
                "question": lambda state: "?" in state["text"],
            }
        ),
        at_least=0.7,
        default="human",
    )
    assert route.decide({"text": "money back?"}).target == "pay_back"
    assert route.decide({"text": "when?"}).target == "answer"
    assert route.decide({"text": "hello"}).reason == "no label fits"
    assert route.decide({}).reason == "the classifier raised KeyError: 'text'"


@pytest.mark.parametrize(
    ("said", "label"),
    [(re.search("a", "a"), "refund"), (["a"], "refund"), (None, None), ([], None), ("", None)],
)
def test_a_rule_holds_as_in_an_if(said: object, label: str | None) -> None:
    """A match, or a list with something in it, holds; None and what is empty do not."""
    route = router(ROUTES, classify=by_rules({"refund": lambda state: said}), default="human")
    assert route.decide({}).label == label


def test_an_async_rule_holds_for_nothing() -> None:
    """A coroutine that nobody awaits would always hold: the work goes to the default."""

    async def rule(state: object) -> bool:
        return False

    route = router(ROUTES, classify=by_rules({"refund": rule}), default="human")
    assert route.decide({}).target == "human"
    assert "the rule for 'refund' is async" in route.decide({}).reason


class LetterEmbeddings(Embeddings):
    """Embeddings without a model: how often each letter stands in a text."""

    def __init__(self) -> None:
        self.batches = 0

    def embed_query(self, text: str) -> list[float]:
        """Return 26 counts."""
        return [float(text.lower().count(chr(97 + n))) for n in range(26)]

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return the counts of each text."""
        self.batches += 1
        return [self.embed_query(text) for text in texts]


def test_the_nearest_example_gives_the_label() -> None:
    """A label's score is its best example's similarity; examples are embedded once."""
    embeddings = LetterEmbeddings()
    route = router(
        ROUTES,
        classify=by_example(
            embeddings,
            {"refund": ["zzz", "give me my money back"], "question": ["when does it open"]},
            key="text",
        ),
        at_least=0.9,
        default="human",
    )
    found = route.decide({"text": "give my money back"})
    assert found.label == "refund"
    assert found.scores["refund"] > 0.9 > found.scores["question"]
    assert route.decide({"text": "when does it open"}).score == pytest.approx(1.0)
    assert route.decide({"text": "qqq"}).target == "human"
    assert route.decide({"text": ""}).scores == {"refund": 0.0, "question": 0.0}
    assert embeddings.batches == 1


def test_embeddings_that_fail_are_asked_again_the_next_time() -> None:
    """An error goes to the default, and the examples are not half known afterwards."""

    class Flaky(LetterEmbeddings):
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            vectors = super().embed_documents(texts)
            if self.batches == 1:
                raise ConnectionError("reset by peer")
            return vectors

    classify = by_example(Flaky(), {"refund": ["money"]}, key="text")
    route = router(ROUTES, classify=classify, at_least=0.5, default="human")
    assert route.decide({"text": "money"}).reason.endswith("ConnectionError: reset by peer")
    assert route.decide({"text": "money"}).target == "pay_back"


def chosen(label: str, confidence: Any) -> AIMessage:
    """Return what a model answers that fills the schema by a tool call."""
    call = {"name": "Route", "args": {"label": label, "confidence": confidence}, "id": "1"}
    return AIMessage("", tool_calls=[call])


LABELS = {"refund": "wants money back", "question": "asks something"}


@pytest.mark.parametrize(
    ("answer", "target"),
    [
        (chosen("refund", 0.9), "pay_back"),
        (chosen("refund", 0.4), "human"),
        (chosen("none_of_these", 0.9), "human"),
        (chosen("escalate", 0.9), "human"),
        (chosen("refund", 1.5), "human"),
        (chosen("refund", "very"), "human"),
        (AIMessage("refund"), "human"),
        (ConnectionError("reset by peer"), "human"),
    ],
)
def test_a_model_chooses_through_its_structured_output(answer: Any, target: str) -> None:
    """A filled schema is a label and a confidence; anything else goes to the default."""
    classify = by_model(ScriptedModel(answer), LABELS, key="text")
    route = router(ROUTES, classify=classify, at_least=0.7, default="human")
    decision = route.decide({"text": "my money back, please"})
    assert decision.target == target, decision.reason


def test_an_async_classifier_is_awaited() -> None:
    """An async function decides as a plain one does, and cannot be asked without waiting."""

    async def classify(state: Any) -> tuple[str, float]:
        await asyncio.sleep(0)
        if state is None:
            raise ValueError("no state")
        return "refund", 0.8

    route = router(ROUTES, classify=classify, at_least=0.7, default="human")
    assert asyncio.run(route.adecide({})).target == "pay_back"
    assert asyncio.run(route.adecide(None)).reason == "the classifier raised ValueError: no state"
    with pytest.raises(ConfigurationError, match="adecide"):
        route.decide({})
    plain = router(ROUTES, classify=lambda state: "refund", default="human")
    assert asyncio.run(plain.adecide({})).target == "pay_back"


# -- what is refused


@pytest.mark.parametrize(
    "make",
    [
        lambda: router({}, classify=lambda state: "x", default="human"),
        lambda: router({"a": 3}, classify=lambda state: "x", default="human"),  # type: ignore[dict-item]
        lambda: router(ROUTES, classify="refund", default="human"),  # type: ignore[arg-type]
        lambda: router(ROUTES, classify=lambda s: "x", at_least=float("nan"), default="human"),
        lambda: router(ROUTES, classify=lambda s: "x", at_least="0.7", default="human"),  # type: ignore[arg-type]
        lambda: router(ROUTES, classify=lambda s: "x", default=len),  # type: ignore[arg-type]
        lambda: router(["refund"], classify=lambda s: "x", default="human"),  # type: ignore[arg-type]
        lambda: by_rules({}),
        lambda: by_rules({"refund": "money"}),  # type: ignore[dict-item]
        lambda: by_example("small", {"refund": ["money"]}, key="text"),
        lambda: by_example(LetterEmbeddings(), ["refund"], key="text"),  # type: ignore[arg-type]
        lambda: by_model("small", LABELS, key="text"),
        lambda: by_model(ScriptedModel(), list(LABELS), key="text"),  # type: ignore[arg-type]
        lambda: by_example(LetterEmbeddings(), {}, key="text"),
        lambda: by_example(LetterEmbeddings(), {"refund": []}, key="text"),
        lambda: by_example(LetterEmbeddings(), {"refund": "money"}, key="text"),
        lambda: by_model(ScriptedModel(), {}, key="text"),
        lambda: by_model(ScriptedModel(), LABELS, key=""),
    ],
)
def test_what_cannot_route_is_refused_when_it_is_made(make: Any) -> None:
    """No route, no label, no example, no floor that can be met: refused at once."""
    with pytest.raises(ConfigurationError):
        make()
