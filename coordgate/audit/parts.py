"""The parts: nodes and handoffs, what each kind of transition says of them, and their rates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from coordgate.audit.comparison import effective_size
from coordgate.audit.intervals import Floats, Rate, rate
from coordgate.audit.kinds import END, PATHS, START, Kind
from coordgate.audit.report import Handoff, NodeReport, Waste
from coordgate.audit.tally import Course, Spending, Tally

UNKNOWN: Final = "?"
"""The consumer of a producer that never got to hand over."""


class Says(NamedTuple):
    """What one transition says of a unit. Refusals by a consumer count as minus one success."""

    unit: int
    """The unit's number."""
    tried: int
    """Whether it is a trial."""
    at_once: int
    """Whether it came out well at the first attempt."""
    passed: int
    """Whether it came out well in the end."""
    through: int
    """Whether the run went on."""


@dataclass(frozen=True, slots=True)
class Units:
    """Units, and what each kind of transition says of them."""

    names: tuple[tuple[str, ...], ...]
    """The units: `(node,)`, or `(producer, consumer)`."""
    says: tuple[tuple[Says, ...], ...]
    """By number of the kind."""


def nodes_of(tally: Tally) -> Units:
    """Return the nodes as units."""
    names = list(dict.fromkeys(kind.node for kind in tally.kinds if kind.counts))
    around = containers(names)
    number = {name: place for place, name in enumerate(names)}
    says: list[tuple[Says, ...]] = []
    for kind in tally.kinds:
        if not _speaks(kind, around):
            says.append(())
            continue
        told = Says(number[kind.node], 1, kind.at_once, kind.accepted, not kind.stopped)
        says.append((told,))
    return Units(tuple((name,) for name in names), tuple(says))


def containers(names: Sequence[str]) -> frozenset[str]:
    """Return the nodes that are subgraphs whose nodes were recorded as well."""
    return frozenset(name.rpartition("|")[0] for name in names if "|" in name)


def _speaks(kind: Kind, around: frozenset[str]) -> bool:
    # What a subgraph's node raises was counted where it happened: at a node inside.
    return kind.counts and not (kind.node in around and kind.raised and not kind.accepted)


def handoffs_of(tally: Tally) -> Units:
    """Return the handoffs as units.

    A transition is a trial of the handoff to each node that control went to, or to the graph's
    output. Where control would have gone is not known of one that shipped nothing: if its node has
    one set of consumers only, it was to them; else all its handoffs are one unit.
    """
    around = containers([kind.node for kind in tally.kinds])
    speaks = [
        _speaks(kind, around) and tally.seen[number] > 0 for number, kind in enumerate(tally.kinds)
    ]
    spoken = [kind for kind, counts in zip(tally.kinds, speaks, strict=True) if counts]
    ways = _ways(spoken)
    refusing = any(kind.refused for kind in spoken)
    numbers: dict[tuple[str, str], int] = {}
    says: list[tuple[Says, ...]] = []
    for kind, counts in zip(tally.kinds, speaks, strict=True):
        told: list[Says] = []
        if counts and not kind.refused:
            told += _handed_over(kind, ways, numbers)
        if counts and refusing:
            told += _handed_to(kind, ways, numbers)
        says.append(tuple(told))
    return Units(tuple(numbers), tuple(says))


def _ways(spoken: Sequence[Kind]) -> dict[str, tuple[str, ...]]:
    """Return the consumers of each node that has one set of them, or that once shipped nothing.

    Those of a node that did and has several are one, of all their names.
    """
    ways: dict[str, set[tuple[str, ...]]] = {}
    stopped: set[str] = set()
    for kind in spoken:
        if kind.hands_over:
            ways.setdefault(kind.node, set()).add(_consumers(kind))
        elif not kind.refused:
            stopped.add(kind.node)
    found: dict[str, tuple[str, ...]] = {
        node: next(iter(sets)) for node, sets in ways.items() if len(sets) == 1
    }
    for node in stopped:
        sets = ways.get(node, {(UNKNOWN,)})
        if len(sets) > 1:
            found[node] = (" | ".join(sorted({each for way in sets for each in way})),)
        else:
            found[node] = next(iter(sets))
    return found


def _handed_over(
    kind: Kind, ways: dict[str, tuple[str, ...]], numbers: dict[tuple[str, str], int]
) -> list[Says]:
    to = ways.get(kind.node) or _consumers(kind)
    return [
        Says(
            numbers.setdefault((kind.node, each), len(numbers)),
            1,
            kind.at_once,
            kind.accepted,
            not kind.stopped,
        )
        for each in to
    ]


def _handed_to(
    kind: Kind, ways: dict[str, tuple[str, ...]], numbers: dict[tuple[str, str], int]
) -> list[Says]:
    """Return what a node's taking or refusing its input says of those who handed it over."""
    told: list[Says] = []
    for producer in kind.producers:
        if producer.rpartition("|")[2] == START:
            unit = numbers.setdefault((producer, kind.node), len(numbers))
            fine = not kind.refused
            told.append(Says(unit, 1, fine, fine, fine))
        elif kind.refused:
            to = ways.get(producer) or (kind.node,)
            consumer = kind.node if kind.node in to else to[0]
            unit = numbers.setdefault((producer, consumer), len(numbers))
            told.append(Says(unit, 0, -1, -1, 0))
    return told


def _consumers(kind: Kind) -> tuple[str, ...]:
    inside = kind.node[: len(kind.node) - len(kind.node.rpartition("|")[2])]
    return kind.goto or (inside + END,)


@dataclass(frozen=True, slots=True)
class Table:
    """Kinds of courses against units."""

    tried: Floats
    """(S, K): how often a course tried each unit."""
    at_once: Floats
    """(S, K): how often it came out well at the first attempt."""
    passed: Floats
    """(S, K): how often it came out well."""
    through: Floats
    """(S, K): how often the run went on."""
    weight: Floats
    """(S,): how many runs took the course."""


def table(units: Units, courses: Sequence[tuple[Course, int]]) -> Table:
    """Return what courses, each taken by so many runs, say of units."""
    counts = np.zeros((4, len(courses), len(units.names)))
    for place, (course, _) in enumerate(courses):
        for number in course.kinds:
            for said in units.says[number]:
                counts[:, place, said.unit] += said[1:]
    weight = np.asarray([times for _, times in courses], np.float64)
    return Table(counts[0], counts[1], np.maximum(counts[2], 0), counts[3], weight)


def totals(units: Units, tally: Tally) -> list[list[int]]:
    """Return of each unit how often it was tried, came out well at once, in the end, went on."""
    found = [[0, 0, 0, 0] for _ in units.names]
    for number, told in enumerate(units.says):
        times = tally.seen[number]
        for said in told:
            for place, value in enumerate(said[1:]):
                found[said.unit][place] += times * value
    return found


def handoff_reports(tally: Tally, units: Units, courses: Table) -> tuple[Handoff, ...]:
    """Return the report of each handoff, in the order of their units."""
    return tuple(
        Handoff(
            producer,
            consumer,
            _rate(seen[0], max(0, seen[1]), courses, courses.at_once, place),
            _rate(seen[0], max(0, seen[2]), courses, courses.passed, place),
        )
        for place, ((producer, consumer), seen) in enumerate(
            zip(units.names, totals(units, tally), strict=True)
        )
    )


def _rate(n: int, successes: int, courses: Table, passed: Floats, unit: int) -> Rate:
    """Return a rate whose trials are worth as many as those of the known courses are."""
    tried = courses.tried[:, unit]
    known = float((courses.weight * tried).sum())
    if known == 0:
        return rate(successes, n)
    worth = float(effective_size(tried, passed[:, unit], courses.weight))
    return rate(successes, n, effective=max(1.0, n * worth / known))


def node_reports(tally: Tally, units: Units, courses: Table) -> tuple[NodeReport, ...]:
    """Return the report of each node."""
    paths: dict[str, Counter[str]] = {}
    for number, told in enumerate(units.says):
        if told:
            kind = tally.kinds[number]
            paths.setdefault(kind.node, Counter())[kind.path] += tally.seen[number]
    found: list[NodeReport] = []
    for place, ((name,), seen) in enumerate(zip(units.names, totals(units, tally), strict=True)):
        good = tally.spending.get((name, True), Spending())
        bad = tally.spending.get((name, False), Spending())
        metered, priced = good.metered + bad.metered, good.priced + bad.priced
        share, of = _wasted(good, bad)
        by_rung = paths.get(name, Counter())
        plain = name.rpartition("|")[2]
        found.append(
            NodeReport(
                node=name,
                transitions=seen[0],
                first_pass=_rate(seen[0], seen[1], courses, courses.at_once, place),
                accepted=_rate(seen[0], seen[2], courses, courses.passed, place),
                by_rung={
                    path: rate(by_rung[path], seen[0], effective=_worth(courses, place, seen[0]))
                    for path in PATHS
                    if by_rung[path]
                },
                p50=tally.quantile(name, 0.5),
                p95=tally.quantile(name, 0.95),
                attempts=good.attempts + bad.attempts,
                tokens_in=good.tokens_in + bad.tokens_in if metered else None,
                tokens_out=good.tokens_out + bad.tokens_out if metered else None,
                cost=good.cost + bad.cost if priced else None,
                wasted=share,
                wasted_of=of,
                gates=tuple(sorted(gate for node, gate in tally.verdicts if node == plain)),
            )
        )
    return tuple(found)


def _worth(courses: Table, unit: int, n: int) -> float:
    """Return how many independent trials a unit's are worth, in every outcome alike."""
    tried = courses.tried[:, unit]
    known = float((courses.weight * tried).sum())
    if known == 0 or n == 0:
        return max(1.0, n)
    each = [
        float(effective_size(tried, passed[:, unit], courses.weight))
        for passed in (courses.at_once, courses.passed)
    ]
    return max(1.0, n * min(each) / known)


def _wasted(good: Spending, bad: Spending) -> tuple[float, Waste]:
    for of, lost, kept in (
        ("cost", bad.cost, good.cost),
        ("tokens", bad.tokens_in + bad.tokens_out, good.tokens_in + good.tokens_out),
        ("seconds", bad.seconds, good.seconds),
    ):
        if lost + kept > 0:
            named: Waste = of  # type: ignore[assignment]
            return lost / (lost + kept), named
    return 0.0, "seconds"
