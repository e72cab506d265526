"""The whole: how runs ended, product against observed, and the weakest handoff."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

from coordgate.audit.comparison import Comparison, Sample, compare
from coordgate.audit.intervals import (
    CONFIDENCE,
    Floats,
    Interval,
    Rate,
    at,
    deviate,
    difference,
    rate,
)
from coordgate.audit.parts import Table, Units, table
from coordgate.audit.report import Compared, Handoff, RunCounts, Weakest
from coordgate.audit.tally import Course, Tally

_POWER = 0.8416212335729143
"""The deviate of a chance of 4 in 5."""


def run_counts(tally: Tally) -> RunCounts:
    """Return how the runs ended."""
    seen = tally.statuses
    return RunCounts(
        total=seen.total(),
        completed=seen["completed"],
        failed=seen["failed"],
        lost=seen["lost"],
        cancelled=seen["cancelled"],
        interrupted=seen["interrupted"],
        running=seen["running"],
        observed=tally.modes["observe"],
    )


def ended(courses: Sequence[tuple[Course, int]]) -> list[tuple[Course, int]]:
    """Return the courses that reached an end of their own: completed or failed."""
    return [each for each in courses if each[0].status in {"completed", "failed"}]


def labelled(courses: Sequence[tuple[Course, int]]) -> list[tuple[Course, int]]:
    """Return the courses of which it is known whether they were correct."""
    return [each for each in ended(courses) if each[0].correct is not None]


def compare_runs(
    units: Units,
    courses: Sequence[tuple[Course, int]],
    by: Literal["first_pass", "accepted", "correct"],
) -> Compared:
    """Return the product of the nodes beside how often runs came out well."""
    if not courses:
        nothing = Rate(0, 0, None, 0.0, 1.0)
        product = Rate(0, None, None, 0.0, 1.0)
        return Compared(product, nothing, Interval(None, -1.0, 1.0), "undecided")
    seen = table(units, courses)
    passed = seen.at_once if by == "first_pass" else seen.passed
    complete = np.asarray([course.status == "completed" for course, _ in courses], np.float64)
    clean = (seen.tried - passed).sum(-1) == 0
    if by == "correct":
        whole = np.asarray([bool(course.correct) for course, _ in courses], np.float64)
    else:
        whole = np.where(clean, complete, 0.0)
    losses = bool((clean & (whole == 0)).any())
    sample = Sample(seen.tried, passed, seen.through, whole, complete, seen.weight)
    return _compared(compare(sample, unseen=losses or by == "correct"), whole, seen.weight)


def _compared(found: Comparison, whole: Floats, weight: Floats) -> Compared:
    n, successes = round(float(weight.sum())), round(float((weight * whole).sum()))
    product, observed, gap = found.product, found.observed, found.gap
    low, high = float(gap.low), float(gap.high)
    decided: Literal["below", "above", "undecided", "tied"] = "tied"
    if not found.tied:
        decided = "below" if low > 0 else "above" if high < 0 else "undecided"
    return Compared(
        Rate(n, None, float(product.estimate), float(product.low), float(product.high)),
        Rate(n, successes, successes / n, float(observed.low), float(observed.high)),
        Interval(None if found.tied else float(gap.estimate), low, high),
        decided,
    )


def end_rates(tally: Tally, accepted: Compared) -> tuple[Rate, Rate]:
    """Return how often runs completed, and how often with every hand-over accepted."""
    seen = tally.statuses
    n = seen["completed"] + seen["failed"] + seen["lost"]
    return rate(seen["completed"], n), accepted.observed


def weakest(handoffs: Sequence[Handoff], seen: Table, runs: int) -> Weakest:
    """Return the handoff whose first pass is the lowest, if that is shown.

    The one with the lowest estimate is compared with each other one. It is the weakest if every
    interval of a difference lies above 0, each at the level 1 - 0.05 / (K - 1): the truly weakest
    of K is passed over only if its own comparison errs, and there are K - 1 that may
    (Bonferroni). Both rates come from the same runs, so their correlation is taken into account.
    """
    ranked = sorted(
        (each for each in enumerate(handoffs) if each[1].first_pass.estimate is not None),
        key=lambda each: (each[1].first_pass.estimate or 0.0, each[1].first_pass.low),
    )
    if not ranked:
        return Weakest(None, (), None)
    (place, lowest), *others = ranked
    if not others:
        return Weakest(None, (lowest,), None)
    confidence = 1 - (1 - CONFIDENCE) / len(others)
    rivals: list[Handoff] = []
    for other, handoff in others:
        apart = difference(
            at(handoff.first_pass, confidence),
            at(lowest.first_pass, confidence),
            _correlation(seen, other, place),
        )
        if apart.low <= 0:
            rivals.append(handoff)
    if not rivals:
        return Weakest(lowest, (lowest,), 0)
    second = next(other for other, handoff in others if handoff in rivals)
    needed = _runs_needed(seen, place, second, deviate(confidence), runs)
    return Weakest(None, (lowest, *rivals), needed)


def _pulls(seen: Table, unit: int) -> Floats:
    """Return how far each course pulls the rate of a unit, in runs."""
    tried, passed = seen.tried[:, unit], seen.at_once[:, unit]
    total = max(float((seen.weight * tried).sum()), 1.0)
    p = float((seen.weight * passed).sum()) / total
    return np.asarray((passed - p * tried) * float(seen.weight.sum()) / total, np.float64)


def _correlation(seen: Table, one: int, other: int) -> float:
    first, second = _pulls(seen, one), _pulls(seen, other)
    scale = math.sqrt(
        float((seen.weight * first**2).sum()) * float((seen.weight * second**2).sum())
    )
    return float((seen.weight * first * second).sum()) / scale if scale > 0 else 0.0


def _runs_needed(seen: Table, low: int, second: int, z: float, runs: int) -> int | None:
    apart = _pulls(seen, second) - _pulls(seen, low)
    n = float(seen.weight.sum())
    variance = float((seen.weight * apart**2).sum()) / n
    rates = [
        float((seen.weight * seen.at_once[:, unit]).sum())
        / max(float((seen.weight * seen.tried[:, unit]).sum()), 1.0)
        for unit in (low, second)
    ]
    between = rates[1] - rates[0]
    if between <= 1e-12 or variance <= 0:
        return None
    return max(1, math.ceil((z + _POWER) ** 2 * variance / between**2) - runs)
