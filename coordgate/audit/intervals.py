"""Intervals: of a rate, of a mean of rare events, and of the difference of two rates.

Every function takes numbers or numpy arrays of them, so that the simulation in the tests runs the
same code as the report. Sizes need not be whole: a rate whose trials hang together counts as one of
fewer trials.
"""

# scipy ships no types:
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, TypeAlias

try:
    import numpy as np
    from numpy.typing import NDArray
    from scipy.special import betainc, gammaincinv, ndtri  # type: ignore[import-untyped]
except ImportError as missing:
    raise ImportError(
        "the audit of recorded runs needs scipy; install it with `pip install 'coordgate[audit]'`"
    ) from missing

Floats: TypeAlias = NDArray[np.float64]

CONFIDENCE: Final = 0.95
"""How often an interval is to cover the truth, unless said otherwise."""

_TINY: Final = 1e-300
_FEW: Final = 12
_NEAR: Final = 0.25
"""Up to so many trials, or such a share, on the side of the nearer edge, Poisson is asked."""


@dataclass(frozen=True, slots=True)
class Rate:
    """How often something came out well, and the interval in which the truth lies."""

    n: int
    """How many trials there were; of a product, how many runs it rests on."""
    successes: int | None
    """How many came out well; None for a product, of which nothing was counted."""
    estimate: float | None
    """The rate as seen; None if there were no trials."""
    low: float
    """Where the 95% interval begins."""
    high: float
    """Where it ends."""


@dataclass(frozen=True, slots=True)
class Interval:
    """An amount that is no rate, and the interval in which the truth lies."""

    estimate: float | None
    """As seen; None if there is nothing to go by."""
    low: float
    """Where the 95% interval begins."""
    high: float
    """Where it ends."""


def deviate(confidence: float) -> float:
    """Return how many standard deviations an interval of this confidence reaches either way."""
    return float(ndtri((1 + confidence) / 2))


def limits(estimate: Any, n: Any, confidence: float = CONFIDENCE) -> tuple[Floats, Floats]:
    """Return the limits of a rate seen in `n` trials.

    Wilson's score interval (1927). Its limit on the side of the nearer edge, 0 or 1, is too tight
    when few trials fall on that side (Brown, Cai and DasGupta 2001, section 4.1.1); there Poisson's
    one-sided limit takes its place, where it lies further out.
    """
    p, size = np.asarray(estimate, np.float64), np.asarray(n, np.float64)
    z = deviate(confidence)
    denominator = 1 + z * z / size
    centre = (p + z * z / 2 / size) / denominator
    reach = z * np.sqrt(p * (1 - p) / size + z * z / 4 / size**2) / denominator
    few = np.minimum(p, 1 - p) * size
    edge = np.where(few > 0, gammaincinv(np.maximum(few, _TINY), 1 - confidence), 0) / size
    near = (few <= _FEW) | (few <= _NEAR * size)
    low = np.where(near & (p < 0.5), np.minimum(centre - reach, edge), centre - reach)
    high = np.where(near & (p >= 0.5), np.maximum(centre + reach, 1 - edge), centre + reach)
    return np.clip(low, 0, 1), np.clip(high, 0, 1)


def rate(
    successes: int, n: int, *, effective: float | None = None, confidence: float = CONFIDENCE
) -> Rate:
    """Return a rate with its interval.

    Args:
        successes: How many trials came out well.
        n: How many there were.
        effective: How many independent trials they are worth; as many as there were, if not given.
        confidence: How often the interval is to cover the truth.
    """
    if n == 0:
        return Rate(0, 0, None, 0.0, 1.0)
    low, high = limits(successes / n, n if effective is None else effective, confidence)
    return Rate(n, successes, successes / n, float(low), float(high))


def worth(given: Rate) -> float:
    """Return how many independent trials a rate's trials are worth, as its interval has it.

    It stands in the limit that lies away from the nearer edge, which is Wilson's own and solves
    (estimate - limit)^2 = z^2 limit (1 - limit) / n.
    """
    if given.estimate is None:
        return 0.0
    limit = given.low if given.estimate >= 0.5 else given.high
    return deviate(CONFIDENCE) ** 2 * limit * (1 - limit) / (given.estimate - limit) ** 2


def at(given: Rate, confidence: float) -> Rate:
    """Return a rate with its interval at another confidence."""
    if given.estimate is None:
        return given
    low, high = limits(given.estimate, worth(given), confidence)
    return Rate(given.n, given.successes, given.estimate, float(low), float(high))


def chance_of_fewer(given: Rate, true: float) -> float:
    """Return how likely as few as these come out well, or fewer, where the rate is `true`.

    The binomial tail (Clopper and Pearson 1934), of as many trials as they are worth (Korn and
    Graubard 1998).
    """
    if given.estimate is None or true <= 0:
        return 1.0
    n = worth(given)
    good = given.estimate * n
    return 1.0 if given.estimate >= 1 else float(betainc(n - good, good + 1, 1 - true))


def chance_of_more(given: Rate, true: float) -> float:
    """Return how likely as many as these come out well, or more, where the rate is `true`."""
    if given.estimate is None or true >= 1:
        return 1.0
    if true <= 0:
        return 0.0
    n = worth(given)
    good = given.estimate * n
    return 1.0 if given.estimate <= 0 else float(betainc(good, n - good + 1, true))


def most_events(events: Any, confidence: float = CONFIDENCE) -> Floats:
    """Return the upper limit of a Poisson mean of which `events` were seen (the score interval)."""
    seen, z = np.asarray(events, np.float64), deviate(confidence)
    return np.asarray(seen + z * z / 2 + z * np.sqrt(seen + z * z / 4), np.float64)


def difference(
    first: Rate, second: Rate, correlation: float = 0.0, confidence: float = CONFIDENCE
) -> Interval:
    """Return `first` less `second`, from the intervals of both at that same confidence.

    The method of variance estimates recovery (MOVER): Newcombe 1998, hybrid score, with the
    correlation of the two (Zou and Donner 2008).
    """
    if first.estimate is None or second.estimate is None:
        return Interval(None, -1.0, 1.0)
    seen = first.estimate - second.estimate
    down = first.estimate - first.low, second.high - second.estimate
    up = first.high - first.estimate, second.estimate - second.low
    return Interval(
        seen,
        max(-1.0, seen - _combined(*down, correlation)),
        min(1.0, seen + _combined(*up, correlation)),
    )


def _combined(one: float, other: float, correlation: float) -> float:
    return float(np.sqrt(max(one * one + other * other - 2 * correlation * one * other, 0.0)))
