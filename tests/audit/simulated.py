"""Thousands of simulated audits: how often their intervals cover the truth.

    python tests/audit/simulated.py [--audits 4000] [--seed 1]

Each audit sees `n` runs of six steps of one rate, all of which run whatever the others do (mode
observe). Four ways in which steps hang together:

- `apart`: not at all;
- `shared`: a normal variable of each run's own makes half the variance of what decides (a Gaussian
  copula of correlation 0.5);
- `hard`: one run in ten is hard, and on hard runs fall four fifths of all failures, as far as that
  is possible (no step fails more than 95 times in 100);
- `loop`: one node runs one to six times in a run, and its trials share half their variance.

The audits are computed by the code of the report, all at once.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.polynomial.hermite import hermgauss
from scipy.special import ndtr, ndtri

from coordgate.audit.comparison import Sample, compare, effective_size
from coordgate.audit.intervals import Floats, limits

STEPS: Final = 6
SIZES: Final = (20, 100, 1000)
RATES: Final = (0.8, 0.85, 0.9, 0.95, 0.97, 0.98, 0.99, 0.995, 0.999)
WAYS: Final = ("apart", "shared", "hard", "loop")

_HALF: Final = 0.5
_AT_ONCE: Final = 120_000
"""How many runs are simulated at once."""


@dataclass(frozen=True, slots=True)
class Covered:
    """How often one kind of interval covered the truth, at one point of the grid."""

    way: str
    """How steps hang together."""
    n: int
    """Runs in an audit."""
    rate: float
    """The rate of each step."""
    what: str
    """`rate`, `product`, `observed` or `gap`."""
    share: float
    """How often it covered."""


def points(
    way: str, n: int, audits: int, rng: np.random.Generator, rates: Sequence[float] = RATES
) -> Iterator[Covered]:
    """Yield the coverage at each rate, of each kind of interval."""
    for rate in rates:
        hits: dict[str, list[float]] = {}
        size = max(1, min(audits, _AT_ONCE // n))
        for _ in range(-(-audits // size)):
            for what, covers in _audits(way, n, rate, size, rng):
                hits.setdefault(what, []).append(float(covers.mean()))
        for what, shares in hits.items():
            yield Covered(way, n, rate, what, float(np.mean(shares)))


def _audits(
    way: str, n: int, rate: float, audits: int, rng: np.random.Generator
) -> Iterator[tuple[str, Floats]]:
    if way == "loop":
        yield "rate", _loops(n, rate, audits, rng)
        return
    passed = _passes(way, rate, (audits, n, STEPS), rng).astype(np.float64)
    ones = np.ones_like(passed)
    whole = passed.min(-1)
    found = compare(Sample(ones, passed, ones, whole, ones[..., 0], ones[..., 0]))
    product, observed = rate**STEPS, _whole(way, rate)
    yield "rate", _covers(*limits(passed[..., 0].mean(-1), n), rate)
    yield "product", _covers(found.product.low, found.product.high, product)
    yield "observed", _covers(found.observed.low, found.observed.high, observed)
    yield "gap", _covers(found.gap.low, found.gap.high, product - observed)


def _covers(low: Floats, high: Floats, truth: float) -> Floats:
    return np.asarray((low <= truth + 1e-12) & (truth - 1e-12 <= high), np.float64)


def _passes(
    way: str, rate: float, shape: tuple[int, ...], rng: np.random.Generator
) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    own = (*shape[:-1], 1)
    if way == "apart":
        return rng.random(shape) < rate
    if way == "shared":
        drawn = rng.standard_normal(own) + rng.standard_normal(shape)
        return drawn * np.sqrt(_HALF) < ndtri(rate)
    hard, easy = _hard(rate)
    return rng.random(shape) >= np.where(rng.random(own) < 0.1, hard, easy)


def _hard(rate: float) -> tuple[float, float]:
    """Return how often a step fails on a hard run, and on another."""
    failures = 1 - rate
    hard = min(0.95, 0.8 * failures / 0.1)
    return hard, (failures - 0.1 * hard) / 0.9


def _whole(way: str, rate: float) -> float:
    """Return how often all steps of a run pass."""
    if way == "apart":
        return rate**STEPS
    if way == "shared":
        at, weight = hermgauss(200)
        given = ndtr((ndtri(rate) - np.sqrt(_HALF) * np.sqrt(2) * at) / np.sqrt(_HALF))
        return float((weight * given**STEPS).sum() / np.sqrt(np.pi))
    hard, easy = _hard(rate)
    return float(0.1 * (1 - hard) ** STEPS + 0.9 * (1 - easy) ** STEPS)


def _loops(n: int, rate: float, audits: int, rng: np.random.Generator) -> Floats:
    passed = _passes("shared", rate, (audits, n, STEPS), rng)
    times = rng.integers(1, STEPS + 1, (audits, n))
    run = np.arange(STEPS) < times[..., None]
    tried = times.astype(np.float64)
    good = (passed & run).sum(-1).astype(np.float64)
    worth = effective_size(tried, good, np.ones_like(tried))
    return _covers(*limits(good.sum(-1) / tried.sum(-1), worth), rate)


def main() -> None:
    """Simulate, and print coverage as a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--audits", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    rng = np.random.default_rng(arguments.seed)
    began = time.perf_counter()
    print("| steps | interval | runs | least, at rate | average |")  # noqa: T201
    print("|---|---|---|---|---|")  # noqa: T201
    everything: dict[str, list[float]] = {}
    for way in WAYS:
        for n in SIZES:
            found = list(points(way, n, arguments.audits, rng))
            for what in dict.fromkeys(each.what for each in found):
                these = [each for each in found if each.what == what]
                least = min(these, key=lambda each: each.share)
                average = float(np.mean([each.share for each in these]))
                print(  # noqa: T201
                    f"| {way} | {what} | {n} | {least.share:.1%}, {least.rate} | {average:.1%} |"
                )
                if n >= 100:
                    everything.setdefault(what, []).append(average)
    for what, averages in everything.items():
        print(f"{what}: {np.mean(averages):.2%} on average at 100 and 1000 runs")  # noqa: T201
    every = [each for averages in everything.values() for each in averages]
    print(f"all: {np.mean(every):.2%}; {time.perf_counter() - began:.0f} s")  # noqa: T201


if __name__ == "__main__":
    main()
