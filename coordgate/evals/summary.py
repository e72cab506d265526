"""What an eval came to: rates with intervals, their paired difference, and what an answer costs.

A case that is asked several times gives answers that hang together. Rates over all trials therefore
count as of fewer trials, by how the cases differ (`effective_size`); the difference of two variants
that were asked the same takes their correlation over the cases into account.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import comb
from typing import TypeVar

import numpy as np

from coordgate.audit.comparison import effective_size
from coordgate.audit.intervals import Floats, Interval, Rate, difference, rate
from coordgate.evals.running import FAILED, WAITS
from coordgate.evals.trials import Variant
from coordgate.labels import Label
from coordgate.record import Call
from coordgate.stores import Store

_Amount = TypeVar("_Amount", int, float)

_BODIES = frozenset({"first", "retry", "transport"})
"""The rungs that run a node's own body."""


@dataclass(frozen=True, slots=True)
class Spent:
    """What runs have taken."""

    attempts: int = 0
    """How often a body was run: a node, or a fallback in its place."""
    calls: int = 0
    """Calls of models; of a bare graph without those of its gates."""
    tokens: int | None = None
    """Tokens in and out; None if unknown, also of any one call that was answered."""
    usd: float | None = None
    """US dollars; None if unknown, also of any one call that was answered."""
    seconds: float = 0.0
    """How long the runs took, all together."""


@dataclass(frozen=True, slots=True)
class VariantReport:
    """How one variant did."""

    variant: Variant
    """`guarded` or `bare`."""
    correct: Rate
    """How often it answered correctly."""
    failed: int
    """How many runs raised an error: an honest failure, and no answer."""
    waiting: int
    """How many runs asked a person."""
    pass_at: tuple[float, ...]
    """pass@k for k from 1: that at least one of k answers is correct (Chen et al. 2021)."""
    pass_all: tuple[float, ...]
    """pass^k for k from 1: that all of k answers are correct (Yao et al. 2024)."""
    ever: Rate
    """Of the cases, those with at least one correct answer: pass@k for the most k there is."""
    always: Rate
    """Of the cases, those with correct answers only: pass^k for the most k there is."""
    spent: Spent
    """What all its runs have taken."""
    usd_per_correct: float | None
    """US dollars for each correct answer; None if unknown, or there is none."""
    tokens_per_correct: float | None
    """Tokens for each correct answer; None if unknown, or there is none."""
    attempts_per_correct: float | None
    """Bodies run for each correct answer; None if there is none."""


@dataclass(frozen=True, slots=True)
class EvalReport:
    """What an eval came to."""

    experiment: str
    """What it is called."""
    store: str
    """Where its runs are."""
    cases: int
    """How many cases were asked."""
    runs: int
    """How often each."""
    variants: tuple[VariantReport, ...]
    """Each variant of the graph."""
    gain: Interval | None
    """The share of correct answers guarded, less that bare; None if they were not compared."""


def summarise(
    experiment: str, store: Store, name: str, labels: Iterable[Label], variants: Sequence[Variant]
) -> EvalReport:
    """Return what an experiment came to, from its labels and its runs in the store."""
    by_variant: dict[Variant, dict[str, list[Label]]] = {
        each: defaultdict(list) for each in variants
    }
    for label in labels:
        if label.experiment == experiment and label.node is None and label.case is not None:
            for variant in variants:
                if label.variant == variant:
                    by_variant[variant][label.case].append(label)
    reports = tuple(_report(each, by_variant[each], store) for each in variants)
    gain = None
    if len(reports) == 2:
        one, other = (by_variant[each] for each in variants)
        together = _correlation(one, other)
        gain = difference(reports[0].correct, reports[1].correct, together)
    cases = max(len(each) for each in by_variant.values())
    runs = max((len(given) for each in by_variant.values() for given in each.values()), default=0)
    return EvalReport(experiment, name, cases, runs, reports, gain)


def _report(variant: Variant, cases: dict[str, list[Label]], store: Store) -> VariantReport:
    labels = [label for given in cases.values() for label in given]
    right = sum(label.correct for label in labels)
    counts = [(len(given), sum(label.correct for label in given)) for given in cases.values()]
    least = min((n for n, _ in counts), default=0)
    spent = _spent(store, labels, gates=variant == "guarded")
    return VariantReport(
        variant,
        rate(right, len(labels), effective=_worth(counts)),
        sum(label.reason.startswith(FAILED) for label in labels),
        sum(label.reason == WAITS for label in labels),
        tuple(_mean([1 - _none(n, c, k) for n, c in counts]) for k in range(1, least + 1)),
        tuple(_mean([comb(c, k) / comb(n, k) for n, c in counts]) for k in range(1, least + 1)),
        rate(sum(c > 0 for _, c in counts), len(counts)),
        rate(sum(c == n for n, c in counts), len(counts)),
        spent,
        spent.usd / right if spent.usd is not None and right else None,
        spent.tokens / right if spent.tokens is not None and right else None,
        spent.attempts / right if right else None,
    )


def _none(n: int, correct: int, k: int) -> float:
    """Return how likely none of k answers drawn from n is correct."""
    return comb(n - correct, k) / comb(n, k)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _worth(counts: Sequence[tuple[int, int]]) -> float | None:
    """Return how many independent trials the trials of all cases are worth."""
    if not counts:
        return None
    given = np.array(counts, np.float64)
    return float(effective_size(given[:, 0], given[:, 1], np.ones(len(given))))


def _correlation(one: dict[str, list[Label]], other: dict[str, list[Label]]) -> float:
    """Return how two variants' answers go together, case by case."""
    both = sorted(one.keys() & other.keys())
    pulls = [_pulls([given[case] for case in both]) for given in (one, other)]
    scale = float(np.sqrt((pulls[0] ** 2).sum() * (pulls[1] ** 2).sum()))
    return float((pulls[0] * pulls[1]).sum()) / scale if scale > 0 else 0.0


def _pulls(given: Sequence[Sequence[Label]]) -> Floats:
    """Return how far each case pulls the rate of all from its mean."""
    asked = np.array([len(each) for each in given], np.float64)
    right = np.array([sum(label.correct for label in each) for each in given], np.float64)
    pulls: Floats = right - right.sum() / max(asked.sum(), 1) * asked
    return pulls


def _spent(store: Store, labels: Sequence[Label], *, gates: bool) -> Spent:
    attempts = 0
    seconds = 0.0
    calls: list[Call] = []
    for label in labels:
        run = store.run(label.run)
        seconds += max(0.0, (run.ended or run.started) - run.started)
        for transition in store.transitions(label.run):
            for attempt in transition.attempts:
                attempts += attempt.rung in _BODIES or attempt.rung.startswith("fallback:")
                calls += (call for call in attempt.calls if gates or call.gate is None)
    answered = [call for call in calls if call.error is None]
    tokens = [_tokens(call) for call in answered]
    costs = [call.cost for call in answered]
    return Spent(attempts, len(calls), _sum(tokens), _sum(costs), seconds)


def _tokens(call: Call) -> int | None:
    if call.tokens_in is None and call.tokens_out is None:
        return None
    return (call.tokens_in or 0) + (call.tokens_out or 0)


def _sum(amounts: Sequence[_Amount | None]) -> _Amount | None:
    """Return the sum of what is known of each; None if of any it is not, or there is nothing."""
    known = [each for each in amounts if each is not None]
    return sum(known[1:], known[0]) if known and len(known) == len(amounts) else None
