"""The reliability of a design on paper: rates of the parts in, the rate of the whole out.

Everything is computed in exact fractions and rounded once, at the end.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

from coordgate.errors import ConfigurationError

Rates: TypeAlias = Mapping[str, float] | Sequence[float]
"""A rate for each node: by name, in their order, or as numbers alone."""


@dataclass(frozen=True, slots=True)
class GateModel:
    """A gate as three numbers, and how often the node behind it may run."""

    detection: float
    """How likely it rejects an output that is wrong."""
    false_alarm: float
    """How likely it rejects an output that is right."""
    attempts: int
    """How often the node runs at most; past that the run stops."""


@dataclass(frozen=True, slots=True)
class Step:
    """One node of a design, and how the run stands once it has handed over."""

    node: str
    """Its name."""
    rate: float
    """How likely it is right, given a right input."""
    handoff: float
    """How likely what its predecessor handed over arrives right; 1 for the first."""
    gate: GateModel | None
    """The gate on its output."""
    correct: float
    """How likely the run is right up to here."""
    wrong: float
    """How likely it goes on from here, and is wrong."""
    stopped: float
    """How likely a gate has stopped it by now."""
    calls: float
    """How often the node runs, on the average of all runs."""


@dataclass(frozen=True, slots=True)
class Reliability:
    """What a design comes to."""

    steps: tuple[Step, ...]
    """Its nodes, in order."""
    naive: float
    """The product of the nodes alone: what one gets by forgetting the handoffs."""
    end_to_end: float
    """How likely a run completes and is right."""
    gap: float
    """`naive` less `end_to_end`."""
    wrong: float
    """How likely a run completes and is wrong."""
    stopped: float
    """How likely a gate stops the run."""
    calls: float
    """How many node bodies run, on average."""


def reliability(
    nodes: Rates,
    *,
    handoffs: float | Sequence[float] = 1.0,
    gates: GateModel | Mapping[str, GateModel] | None = None,
) -> Reliability:
    """Return what a series of nodes comes to, if they fail independently of each other.

    Without gates this is Lusser's law (the reliability of a series is the product of its parts).
    With gates it is an absorbing Markov chain (Kemeny and Snell 1960) whose states are node,
    attempt, and whether the input was right: a gated node runs again until its gate passes, or its
    attempts are used up. A node handed a wrong input gives a wrong output, however often it runs.

    Args:
        nodes: How likely each node is right, in order.
        handoffs: How likely a hand-over from one node to the next arrives right: one rate for all,
            or one for each of the `len(nodes) - 1` handoffs.
        gates: The gate on every node's output, or on those named.

    Raises:
        ConfigurationError: a rate is no rate, or there are too many or too few.
    """
    named = _named(nodes)
    rates = [_rate(f"node {name!r}", value) for name, value in named.items()]
    arrivals = [Fraction(1), *_handoffs(handoffs, len(named) - 1)]
    models = _gates(gates, named)
    naive = Fraction(1)
    right, wrong, stopped, total = Fraction(1), Fraction(0), Fraction(0), Fraction(0)
    steps: list[Step] = []
    for name, rate, arrival in zip(named, rates, arrivals, strict=True):
        naive *= rate
        arrived, spoilt = right * arrival, right * (1 - arrival) + wrong
        model = models.get(name)
        good, bad = _attempts(rate, model), _attempts(Fraction(0), model)
        right = arrived * good.correct
        wrong = arrived * good.wrong + spoilt * bad.wrong
        stopped += arrived * good.stopped + spoilt * bad.stopped
        calls = arrived * good.calls + spoilt * bad.calls
        total += calls
        figures = (float(each) for each in (right, wrong, stopped, calls))
        steps.append(Step(name, float(rate), float(arrival), model, *figures))
    return Reliability(
        steps=tuple(steps),
        naive=float(naive),
        end_to_end=float(right),
        gap=float(naive - right),
        wrong=float(wrong),
        stopped=float(stopped),
        calls=float(total),
    )


def series(rates: Iterable[float]) -> float:
    """Return the reliability of parts in series, all of which must work (Lusser's law)."""
    product = Fraction(1)
    for rate in rates:
        product *= _rate("a part", rate)
    return float(product)


@dataclass(frozen=True, slots=True)
class _Absorbed:
    """Where a node's attempts end, and how many there are on average."""

    correct: Fraction
    wrong: Fraction
    stopped: Fraction
    calls: Fraction


def _attempts(rate: Fraction, model: GateModel | None) -> _Absorbed:
    """Return where one node's chain is absorbed, if its output is right with `rate`.

    The chain's transient states are the attempts: from each it is absorbed in a right or a wrong
    hand-over, or goes on to the next with the same chance, so that the row of the fundamental
    matrix that belongs to the start is a geometric series.
    """
    if model is None:
        return _Absorbed(rate, 1 - rate, Fraction(0), Fraction(1))
    passes_right = rate * (1 - _rate("false_alarm", model.false_alarm))
    passes_wrong = (1 - rate) * (1 - _rate("detection", model.detection))
    again = 1 - passes_right - passes_wrong
    calls = sum((again**k for k in range(model.attempts)), Fraction(0))
    return _Absorbed(passes_right * calls, passes_wrong * calls, again**model.attempts, calls)


def _named(nodes: Rates) -> dict[str, float]:
    if isinstance(nodes, Mapping):
        named = dict(nodes)
    else:
        named = {f"node {place}": rate for place, rate in enumerate(nodes, start=1)}
    if not named:
        raise ConfigurationError("reliability: there are no nodes; give at least one rate")
    return named


def _handoffs(handoffs: float | Sequence[float], count: int) -> list[Fraction]:
    each = [handoffs] * count if isinstance(handoffs, int | float) else list(handoffs)
    if len(each) != count:
        have = {0: "1 node has no handoff", 1: "2 nodes in a row have 1 handoff"}.get(
            count, f"{count + 1} nodes in a row have {count} handoffs"
        )
        raise ConfigurationError(
            f"reliability: {have}, but {len(each)} rates are given; give one, or one for each"
        )
    return [_rate(f"handoff {place}", rate) for place, rate in enumerate(each, start=1)]


def _gates(
    gates: GateModel | Mapping[str, GateModel] | None, nodes: Iterable[str]
) -> dict[str, GateModel]:
    names = list(nodes)
    if gates is None:
        return {}
    models = dict.fromkeys(names, gates) if isinstance(gates, GateModel) else dict(gates)
    for name, model in models.items():
        if name not in names:
            raise ConfigurationError(
                f"reliability: gates names {name!r}, which is no node; there are {', '.join(names)}"
            )
        if model.attempts < 1:
            raise ConfigurationError(
                f"reliability: the gate on {name!r} allows {model.attempts} attempts; "
                "the first one counts, so give at least 1"
            )
    return models


def _rate(what: str, rate: float) -> Fraction:
    """Return a rate as the decimal fraction that its digits say: 0.97 is 97/100."""
    if not 0 <= rate <= 1:
        raise ConfigurationError(f"reliability: {what} has the rate {rate}; give one from 0 to 1")
    return Fraction(repr(float(rate)))
