"""Thousands of simulated audits: how often their intervals cover the truth.

`python evidence/intervals.py [--audits N] [--seed N] [--page FILE]`: the table of docs/audit.md is
what this writes there, and the same seed gives the same.

Each audit sees `n` runs of six steps of one rate. But for `stopped`, all steps run whatever the
others do (mode observe). Five ways in which steps hang together:

- `apart`: not at all;
- `shared`: a normal variable of each run's own makes half the variance of what decides (a Gaussian
  copula of correlation 0.5);
- `hard`: one run in ten is hard, and on hard runs fall four fifths of all failures, as far as that
  is possible (no step fails more than 95 times in 100);
- `loop`: one node runs one to six times in a run, and its trials share half their variance;
- `stopped`: not at all, and a failure ends its run (mode enforce, no policy).

The audits are computed by the code of the report, all at once.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
from numpy.polynomial.hermite import hermgauss
from scipy.special import ndtr, ndtri

from coordgate.audit.comparison import Sample, compare, effective_size
from coordgate.audit.intervals import Floats, limits

STEPS: Final = 6
SIZES: Final = (20, 100, 1000)
RATES: Final = (0.8, 0.85, 0.9, 0.95, 0.97, 0.98, 0.99, 0.995, 0.999)
WAYS: Final = ("apart", "shared", "hard", "loop", "stopped")
KINDS: Final = ("rate", "product", "observed", "gap")
PAGE: Final = Path(__file__).parents[1] / "docs" / "audit.md"

Passes: TypeAlias = np.ndarray[tuple[int, ...], np.dtype[np.bool_]]

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
    if way == "stopped":
        yield from _stopped(n, rate, audits, rng)
        return
    passed = passes(way, rate, (audits, n, STEPS), rng).astype(np.float64)
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


def passes(way: str, rate: float, shape: tuple[int, ...], rng: np.random.Generator) -> Passes:
    """Return by chance which steps pass, in which way they hang together."""
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
    passed = passes("shared", rate, (audits, n, STEPS), rng)
    times = rng.integers(1, STEPS + 1, (audits, n))
    run = np.arange(STEPS) < times[..., None]
    tried = times.astype(np.float64)
    good = (passed & run).sum(-1).astype(np.float64)
    worth = effective_size(tried, good, np.ones_like(tried))
    return _covers(*limits(good.sum(-1) / tried.sum(-1), worth), rate)


def _stopped(
    n: int, rate: float, audits: int, rng: np.random.Generator
) -> Iterator[tuple[str, Floats]]:
    found = compare(stopping(passes("apart", rate, (audits, n, STEPS), rng)))
    yield "product", _covers(found.product.low, found.product.high, rate**STEPS)
    yield "observed", _covers(found.observed.low, found.observed.high, rate**STEPS)


def stopping(passes: Passes) -> Sample:
    """Return runs in which the first step that does not pass is the last."""
    passed = np.logical_and.accumulate(passes, -1).astype(np.float64)
    tried = np.concatenate([np.ones_like(passed[..., :1]), passed[..., :-1]], -1)
    whole = passed[..., -1]
    return Sample(tried, passed, passed, whole, whole, np.ones_like(whole))


def table(found: Sequence[Covered]) -> str:
    """Return the least coverage over the rates and the average, as a Markdown table."""
    lines = [
        f"| steps | interval | {' | '.join(f'{n:,} runs' for n in SIZES)} |",
        f"|---|---|{'---|' * len(SIZES)}",
    ]
    for way in WAYS:
        for what in KINDS:
            cells: list[str] = []
            for n in SIZES:
                shares = [c.share for c in found if (c.way, c.what, c.n) == (way, what, n)]
                cells += [f"{min(shares):.1%}, {np.mean(shares):.1%}"] if shares else []
            if cells:
                lines.append(f"| {way} | {what} | {' | '.join(cells)} |")
    return "\n".join(lines)


def summary(found: Sequence[Covered]) -> str:
    """Return the averages over the grid at 100 runs and more, and the least of all, in words."""
    least = min(found, key=lambda each: each.share)
    averages = {
        what: float(np.mean([each.share for each in found if each.what == what and each.n >= 100]))
        for what in KINDS
    }
    return (
        f"At 100 runs and more the average over the grid is {averages['rate']:.1%} for rates, "
        f"{averages['product']:.1%} for products,\n{averages['observed']:.1%} for observed rates "
        f"and {averages['gap']:.1%} for gaps. The least of all points is {least.share:.1%} "
        f"({least.way}, {least.what}, {least.n:,} runs, {least.rate})."
    )


def main() -> None:
    """Simulate, and write the table into the page."""
    parser = argparse.ArgumentParser(description="Simulate what docs/audit.md says of intervals.")
    parser.add_argument("--audits", type=int, default=4000, help="at each point, at least")
    parser.add_argument("--seed", type=int, default=1, help="of all chance")
    parser.add_argument("--page", type=Path, default=PAGE, help="the page with the table")
    arguments = parser.parse_args()
    rng = np.random.default_rng(arguments.seed)
    found: list[Covered] = []
    for way in WAYS:
        for n in SIZES:
            sys.stderr.write(f"{way}, {n} runs\n")
            found += points(way, n, arguments.audits, rng)
    told = (
        f"{arguments.audits:,} audits or a few more at each point, seed {arguments.seed}:\n\n"
        f"{table(found)}\n\n{summary(found)}"
    )
    text = arguments.page.read_text(encoding="utf-8")
    pattern = re.compile(r"(<!-- intervals -->\n).*?(\n<!-- end -->)", re.DOTALL)
    if not pattern.search(text):
        raise SystemExit(f"{arguments.page} has no <!-- intervals --> ... <!-- end -->")
    written = pattern.sub(lambda match: match[1] + told + match[2], text)
    arguments.page.write_text(written, encoding="utf-8")


if __name__ == "__main__":
    main()
