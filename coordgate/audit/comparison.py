"""The product of the parts against what was observed of the whole, from how each run went.

A run goes through units (nodes), some more than once, some not at all. Nothing here supposes that
units fail independently of each other, or that what happens twice in one run happened to two: all
variances are those between runs. Arrays may have further dimensions in front, for many audits at
once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from coordgate.audit.intervals import CONFIDENCE, Floats, deviate, limits, most_events

_SMALL: Final = 20
"""Of so few runs how units hang together is not learnt; the worst is assumed. The share of it falls
with the square of the number of runs."""

_RARE: Final = 3
"""Fewer events than this are counted as Poisson counts are, and not taken for normal."""

_TINY: Final = 1e-300


@dataclass(frozen=True, slots=True)
class Sample:
    """How runs went. `S` kinds of runs, `K` units."""

    trials: Floats
    """(..., S, K): how often a run of this kind came through each unit."""
    passed: Floats
    """(..., S, K): how often the unit's hand-over was accepted."""
    through: Floats
    """(..., S, K): how often it did not end the run."""
    whole: Floats
    """(..., S): 1 if the run came out well."""
    complete: Floats
    """(..., S): 1 if the run reached its end, so that all of its path is known."""
    weight: Floats
    """(..., S): how many runs there were of this kind."""


@dataclass(frozen=True, slots=True)
class Limits:
    """An estimate with its interval."""

    estimate: Floats
    """The estimate."""
    low: Floats
    """Where its interval begins."""
    high: Floats
    """Where it ends."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Product, observed rate, and product less observed."""

    product: Limits
    """What the parts would come to if they failed independently of each other."""
    observed: Limits
    """How often runs came out well."""
    gap: Limits
    """`product` less `observed`."""
    tied: Floats
    """1 where the difference cannot be told, since nothing was ever tried after a failure."""


def effective_size(trials: Floats, passed: Floats, weight: Floats) -> Floats:
    """Return how many independent trials a unit's trials are worth, by how runs differ.

    The variance of a ratio estimate over clusters (Cochran 1977, section 11.8) against that of as
    many independent trials, as Kott and Carr (1997) and Korn and Graubard (1998) do. Never more
    than there were; if nothing failed, or nothing else, no more than there were runs.

    Args:
        trials: (..., S): how often a run of this kind tried.
        passed: (..., S): how often it passed.
        weight: (..., S): how many runs there were of this kind.
    """
    total = (weight * trials).sum(-1)
    p = (weight * passed).sum(-1) / np.maximum(total, 1)
    runs = (weight * (trials > 0)).sum(-1)
    spread = (weight * (passed - p[..., None] * trials) ** 2).sum(-1)
    spread = spread * runs / np.maximum(runs - 1, 1)
    alone = p * (1 - p) * total / np.maximum(total - 1, 1)
    worth = alone * total**2 / np.maximum(spread, _TINY)
    return np.asarray(np.where(spread > 1e-12, np.minimum(worth, total), runs), np.float64)


def compare(sample: Sample, *, unseen: bool = False, confidence: float = CONFIDENCE) -> Comparison:
    """Return the product along the runs' own paths beside the observed rate, and the difference.

    The path of a run that was stopped is not known past the stop. Completed runs stand for it, each
    with the inverse of its chance not to be stopped as its weight (Horvitz and Thompson 1952), so
    that where failures are independent the product is what is observed. Variances are linearised
    (influence functions); the product's becomes a number of trials for `limits`. The difference has
    Hall's correction for skewness (1992), with a floor for what is rarer than the number of runs
    can show.

    Args:
        sample: The runs.
        unseen: Whether runs can come out badly in which every hand-over was accepted.
        confidence: How often an interval is to cover the truth.
    """
    weight, trials = sample.weight, sample.trials
    n = np.asarray(weight.sum(-1), np.float64)
    product, pull, worst = _product(sample, n)
    observed = _mean(sample.whole, weight, n)
    z = deviate(confidence)
    few_runs = np.minimum(1.0, (_SMALL / n) ** 2)

    variance = _square(pull, weight, n)
    variance = (1 - few_runs) * variance + few_runs * np.maximum(worst, variance)
    worth = product * (1 - product) / np.maximum(variance, _TINY)
    worth = np.where((variance > 1e-18) & (product < 1), worth, n) / (1 + few_runs)
    ours = limits(product, worth, confidence)
    theirs = limits(observed, n, confidence)

    gap = product - observed
    bend = pull - (sample.whole - observed[..., None])
    failed = (trials - sample.passed).sum(-1)
    excess = failed - (1 - sample.whole)
    size = 1 + few_runs * np.maximum(_mean(trials.sum(-1), weight, n) - 2, 0)
    low, high = _skewed(gap, bend, weight, n, size, z)
    reach, rare = _rare(1, bend, excess, weight, n, size, z, confidence)
    low = np.where(rare, np.minimum(low, gap - reach), low)
    if unseen:
        reach, rare = _rare(-1, bend, excess, weight, n, size, z, confidence)
        high = np.where(rare, np.maximum(high, gap + reach), high)
    tied = _tied(sample, failed)
    same = (np.abs(gap) < 1e-9) & ((np.abs(bend) * (weight > 0)).max(-1) < 1e-9)
    tied = tied | (same & _all_failed(sample))
    return Comparison(
        Limits(product, *ours),
        Limits(observed, *theirs),
        Limits(
            gap,
            np.where(tied, -1, np.maximum(low, -1)),
            np.where(tied, 1, np.minimum(high, 1)),
        ),
        np.asarray(tied, np.float64),
    )


def _tied(sample: Sample, failed: Floats) -> NDArray[np.bool_]:
    """Return where each failure ended its run, and nothing but failures made a run come out badly.

    What would have come after a failure was then never seen, so whether failures come together is
    not in the data. Along a straight line the difference is 0 by arithmetic. Where runs come to a
    unit several times, or by several ways, it is not quite, yet says no more: the unit's rate
    differs from time to time, a fraction of what failures that come together would do.
    """
    seen = sample.weight > 0
    stops = np.abs(sample.through - sample.passed).sum((-1, -2)) == 0
    clean = np.where(failed > 0, 0.0, 1.0)
    plain = ~((sample.whole != clean) & seen).any(-1)
    return np.asarray(stops & plain & ((failed > 0) & seen).any(-1))


def _all_failed(sample: Sample) -> NDArray[np.bool_]:
    """Return where every unit that was tried has failed at least once.

    If product and observed rate are one number all the same, nothing ever came after a failure:
    there is one unit, or those that a run survives stand at its end.
    """
    tried = (sample.weight[..., None] * sample.trials).sum(-2)
    passed = (sample.weight[..., None] * sample.passed).sum(-2)
    return np.asarray(((tried == 0) | (passed < tried)).all(-1) & (tried > 0).any(-1))


def _mean(values: Floats, weight: Floats, n: Floats) -> Floats:
    return np.asarray((weight * values).sum(-1) / n, np.float64)


def _square(pull: Floats, weight: Floats, n: Floats) -> Floats:
    """Return the variance of an estimate, from how far each run pulls it."""
    return np.asarray((weight * pull**2).sum(-1) / n / np.maximum(n - 1, 1), np.float64)


def _product(sample: Sample, n: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the product, how far each run pulls it, and its variance in the worst case.

    The worst case is that all units fail together, so that deviations add up, not variances.
    """
    weight, trials = sample.weight, sample.trials
    by_unit = weight[..., None] * trials
    total = by_unit.sum(-2)
    safe = np.maximum(total, 1)
    p = np.where(total > 0, (weight[..., None] * sample.passed).sum(-2) / safe, 1)
    t = np.where(total > 0, (weight[..., None] * sample.through).sum(-2) / safe, 1)
    along = np.exp((trials * np.log(np.maximum(p, _TINY))[..., None, :]).sum(-1))
    inverse = -(trials * np.log(np.maximum(t, _TINY))[..., None, :]).sum(-1)
    standing = sample.complete * np.exp(np.where(sample.complete > 0, inverse, 0))
    stand = np.maximum(_mean(standing, weight, n), _TINY)
    product = _mean(standing * along, weight, n) / stand

    share = (weight * standing / n[..., None] / stand[..., None])[..., None]
    both = (share * trials * along[..., None]).sum(-2)
    by_rate = both / np.maximum(p, _TINY)
    by_stop = -(both - product[..., None] * (share * trials).sum(-2)) / np.maximum(t, _TINY)
    per_run = np.maximum(total / n[..., None], _TINY)
    of_rate = (sample.passed - p[..., None, :] * trials) / per_run[..., None, :]
    of_stop = (sample.through - t[..., None, :] * trials) / per_run[..., None, :]
    pull = (of_rate * by_rate[..., None, :] + of_stop * by_stop[..., None, :]).sum(-1)
    pull = pull + standing * (along - product[..., None]) / stand[..., None]
    deviations = np.sqrt((weight[..., None] * of_rate**2).sum(-2) / n[..., None] ** 2)
    worst = (np.abs(by_rate) * deviations).sum(-1) ** 2
    never = (p == 0) & (total > 0)
    passable = ~(never[..., None, :] & (trials > 0)).any(-1)
    return np.where((passable & (weight > 0)).any(-1), product, 0.0), pull, worst


def _skewed(
    gap: Floats, bend: Floats, weight: Floats, n: Floats, size: Floats, z: float
) -> tuple[Floats, Floats]:
    """Return an interval by Hall's transformation; half an event is always possible."""
    variance = _square(bend, weight, n) + (size / 2 / n) ** 2
    second = np.maximum(_mean(bend**2, weight, n), _TINY)
    third = _mean(bend**3, weight, n)
    skewness = np.where(second > 1e-24, third / np.maximum(second, 1e-24) ** 1.5, 0)
    a = skewness / np.sqrt(n)
    a = np.where(np.abs(a) < 1e-9, 1e-9, a)
    error = np.sqrt(variance)

    def inverse(q: float) -> Floats:
        return np.asarray(3 * (np.cbrt(1 + a * (q - a / 6)) - 1) / a, np.float64)

    return gap - error * inverse(z), gap - error * inverse(-z)


def _rare(
    sign: int,
    bend: Floats,
    excess: Floats,
    weight: Floats,
    n: Floats,
    size: Floats,
    z: float,
    confidence: float,
) -> tuple[Floats, NDArray[np.bool_]]:
    """Return how far the gap may reach by events too rare to be seen, and where they are rare.

    With `sign` 1 the events are failures past the first of a run, which no longer lower the
    observed rate; with -1 runs that came out badly where nothing had failed. Their mean has the
    limit of a Poisson count of as many events as their variance tells; the rest of the gap is
    normal, and both are combined with their correlation (MOVER).
    """
    events = np.maximum(sign * excess, 0)
    mean = _mean(events, weight, n)
    around = events - mean[..., None]
    spread = _square(around, weight, n)
    per_unit = np.where(spread > 0, mean / np.maximum(spread, _TINY), n / size)
    per_unit = np.minimum(per_unit, n / size)
    count = mean * per_unit
    further = most_events(count, confidence) / per_unit - mean
    rest = bend + sign * around
    others = z * np.sqrt(_square(rest, weight, n))
    together = (weight * rest * around).sum(-1) / n / np.maximum(n - 1, 1)
    scale = np.sqrt(_square(rest, weight, n) * spread)
    correlation = np.where(scale > 0, sign * together / np.maximum(scale, _TINY), 0)
    squared = others**2 + further**2 - 2 * correlation * others * further
    return np.asarray(np.sqrt(np.maximum(squared, 0)), np.float64), np.asarray(count < _RARE)
