"""What an eval comes to: rates, pass@k, the paired difference, what a correct answer costs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from langchain_core.messages import AIMessage
from langgraph.graph import START, StateGraph
from typing_extensions import TypedDict

from coordgate import NodeGuard, Policy, Prices, Retry, Tracer, guard
from coordgate.audit.intervals import difference, rate
from coordgate.evals.summary import summarise
from coordgate.evals.telling import lines
from coordgate.gates import check
from coordgate.labels import Label
from coordgate.record import Run, RunId
from coordgate.stores import MemoryStore
from coordgate.testing import ScriptedModel


def labels_of(results: dict[str, list[bool]], variant: str) -> list[Label]:
    """Return the labels of cases that were answered so."""
    return [
        Label(
            f"{variant}-{case}-{n}", right, case=case, repetition=n, variant=variant, experiment="e"
        )
        for case, given in results.items()
        for n, right in enumerate(given)
    ]


class Empty(MemoryStore):
    """A store that knows every run, and that each took one second and no attempts."""

    def run(self, id_or_prefix: str) -> Any:
        """Return a run of one second."""
        return Run(RunId(id_or_prefix), "g", None, "enforce", "completed", 10.0, 11.0)


def test_pass_at_k_and_pass_all_k_are_those_of_their_sources() -> None:
    """pass@k = 1 - C(n-c, k)/C(n, k), pass^k = C(c, k)/C(n, k), averaged over the cases."""
    given = {"a": [True, True, False, False], "b": [True] * 4, "c": [False] * 4}
    report = summarise("e", Empty(), "eval.db", labels_of(given, "guarded"), ("guarded",))
    (found,) = report.variants
    assert found.pass_at == pytest.approx([0.5, (5 / 6 + 1) / 3, 2 / 3, 2 / 3])
    assert found.pass_all == pytest.approx([0.5, (1 / 6 + 1) / 3, 1 / 3, 1 / 3])
    assert (found.correct.successes, found.correct.n) == (6, 12)
    assert (found.ever.successes, found.always.successes, found.ever.n) == (2, 1, 3)
    assert found.spent.seconds == 12


def test_answers_to_one_case_count_as_fewer_trials() -> None:
    """Where a case is always or never right, its repetitions tell nothing more."""
    apart = {str(n): [n < 20] * 10 for n in range(40)}
    chance = np.random.default_rng(1)
    together = {str(n): list(chance.random(10) < 0.5) for n in range(40)}
    wide, narrow = (
        summarise("e", Empty(), "", labels_of(each, "guarded"), ("guarded",)).variants[0].correct
        for each in (apart, together)
    )
    lone = rate(20, 40)
    assert (wide.low, wide.high) == pytest.approx((lone.low, lone.high), abs=0.01)
    assert narrow.high - narrow.low < (wide.high - wide.low) / 2


def test_the_difference_is_paired() -> None:
    """What both variants find hard is not held against either: the interval is narrower."""
    bare = {str(n): [n % 2 == 0] for n in range(100)}
    guarded = {case: [given[0] or int(case) % 10 == 1] for case, given in bare.items()}
    labels = [*labels_of(guarded, "guarded"), *labels_of(bare, "bare")]
    report = summarise("e", Empty(), "", labels, ("guarded", "bare"))
    assert report.gain is not None
    assert report.gain.estimate == pytest.approx(0.1)
    assert report.gain.low > 0
    unpaired = difference(rate(60, 100), rate(50, 100))
    assert unpaired.low < 0


def test_the_interval_of_the_difference_covers_the_truth() -> None:
    """In simulated evals of paired cases it covers the true gain about as often as it says."""
    chance = np.random.default_rng(1)
    covered = 0
    rounds = 400
    for _ in range(rounds):
        hard = chance.beta(3, 1, 60)
        given = [
            {str(n): list(chance.random(3) < p) for n, p in enumerate(rates)}
            for rates in (1 - (1 - hard) * 0.4, hard)
        ]
        labels = [*labels_of(given[0], "guarded"), *labels_of(given[1], "bare")]
        gain = summarise("e", Empty(), "", labels, ("guarded", "bare")).gain
        assert gain is not None
        covered += gain.low <= 0.6 * 0.25 <= gain.high
    assert 0.92 <= covered / rounds <= 0.99


class Answer(TypedDict, total=False):
    """The state of a graph that calls a model."""

    model: str
    text: str


@pytest.mark.parametrize("known", [True, False])
def test_a_correct_answer_costs_what_all_runs_have_spent(known: bool) -> None:
    """All attempts and gates are paid for; with one price unknown, so is the sum."""
    texts = iter(["bad", "good", "good", "good"])
    usage: Any = {"input_tokens": 100, "output_tokens": 10, "total_tokens": 110}

    def ask(state: Answer) -> Answer:
        answer = AIMessage(
            next(texts), usage_metadata=usage, response_metadata={"model_name": state["model"]}
        )
        return {"text": ScriptedModel(answer).invoke("go").text}

    store = MemoryStore()
    good = check(lambda output: output["text"] == "good", "bad", name="good")
    nodes = {"ask": NodeGuard(gates=[good], policy=Policy(Retry(1, wait=0)))}
    prices = Prices({"dear": {"input": 2.0, "output": 10.0}})
    with Tracer(store) as tracer:
        builder = StateGraph(Answer).add_node(ask).add_edge(START, "ask")
        app = guard(builder, nodes, tracer=tracer, prices=prices).compile()
        for model in ("dear", "dear", "dear" if known else "unknown"):
            app.invoke({"model": model})
    labels = [
        Label(run.id, right, case=str(n), repetition=0, variant="guarded", experiment="e")
        for n, (run, right) in enumerate(
            zip(store.runs(newest_first=False), (True, True, False), strict=True)
        )
    ]
    (found,) = summarise("e", store, "", labels, ("guarded",)).variants
    assert (found.spent.attempts, found.spent.calls, found.spent.tokens) == (4, 4, 440)
    assert (found.attempts_per_correct, found.tokens_per_correct) == (2.0, 220)
    if known:
        assert found.usd_per_correct == pytest.approx(4 * (100 * 2 + 10 * 10) / 1e6 / 2)
    else:
        assert (found.spent.usd, found.usd_per_correct) == (None, None)


def test_one_case_is_told_of_in_the_singular() -> None:
    """`1 case, once`, and of several runs and cases how many."""
    for cases, runs, told in ((1, 1, "1 case, once;"), (1, 2, "1 case, 2 times;")):
        given = {str(n): [True] * runs for n in range(cases)}
        report = summarise("e", Empty(), "s", labels_of(given, "guarded"), ("guarded",))
        assert next(iter(lines(report))).startswith(told)
    several = labels_of({"1": [True], "2": [True]}, "guarded")
    report = summarise("e", Empty(), "s", several, ("guarded",))
    assert next(iter(lines(report))).startswith("2 cases, each once;")
