"""What the reliability page draws of an audit: the graph of its handoffs, and the trend."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from markupsafe import Markup

from coordgate.audit.intervals import Rate
from coordgate.audit.kinds import END, START
from coordgate.audit.page import charts
from coordgate.audit.report import AuditReport, Handoff, Period
from coordgate.audit.words import Section, named, of_rate, percent, sections, weakest_words
from coordgate.show import moment, printable

_MOST_NAMED: Final = 40
"""How many characters of a name are drawn."""


def graph_of(report: AuditReport) -> dict[str, Any]:
    """Return the nodes and handoffs as elements: nodes `id` and `label`, edges with their ends.

    An edge's `mark` is `weakest`, or `candidate` where it is not decided which one is.
    """
    nodes: dict[str, dict[str, str]] = {}
    edges: list[dict[str, str]] = []
    rates = {each.node: each for each in report.nodes}
    for place, handoff in enumerate(report.handoffs):
        for end in (handoff.producer, *_ends(handoff)):
            if end not in nodes:
                nodes[end] = {"id": f"n{len(nodes)}", "label": _label(end), "kind": _kind(end)}
                seen = rates.get(end)
                if seen is not None and seen.accepted.estimate is not None:
                    nodes[end]["label"] += f"\naccepted {percent(seen.accepted.estimate)}"
        for consumer in _ends(handoff):
            edges.append(
                {
                    "id": f"e{place}-{len(edges)}",
                    "source": nodes[handoff.producer]["id"],
                    "target": nodes[consumer]["id"],
                    "label": _over_two_lines(handoff.first_pass),
                    "mark": mark(report, handoff),
                }
            )
    return {"nodes": list(nodes.values()), "edges": edges}


def mark(report: AuditReport, handoff: Handoff) -> str:
    """Return `weakest`, `candidate` where it is not decided which one is, or nothing."""
    weakest = report.weakest
    if weakest.handoff is not None:
        return "weakest" if handoff == weakest.handoff else ""
    return "candidate" if len(weakest.candidates) > 1 and handoff in weakest.candidates else ""


def _ends(handoff: Handoff) -> tuple[str, ...]:
    """Return the consumers of a handoff; where it was not chosen yet, all that may be."""
    return tuple(handoff.consumer.split(" | "))


def _label(name: str) -> str:
    inside, _, own = name.rpartition("|")
    said = {START: "input", END: "output", "?": "not known"}.get(own, own)
    said = printable(" ".join((f"{inside}|{said}" if inside else said).split()))
    return said if len(said) <= _MOST_NAMED else f"{said[: _MOST_NAMED - 1]}…"


def _kind(name: str) -> str:
    return "end" if name.rpartition("|")[2] in {START, END, "?"} else "node"


def _over_two_lines(rate: Rate) -> str:
    if rate.estimate is None:
        return "-"
    return f"{percent(rate.estimate)}\n[{percent(rate.low)}, {percent(rate.high)}]"


def handoff_rows(report: AuditReport) -> list[Mapping[str, str]]:
    """Return the handoffs as the rows of a table, which tells what the graph shows."""
    return [
        {
            "name": named(each),
            "n": f"{each.first_pass.n:,}",
            "first_pass": of_rate(each.first_pass),
            "accepted": of_rate(each.accepted),
            "mark": mark(report, each),
        }
        for each in report.handoffs
    ]


def trend_of(periods: Iterable[Period]) -> list[list[float | None]]:
    """Return the trend as columns: times, and of both rates what was seen, low and high."""
    rows = [
        (
            each.start + each.seconds / 2,
            *(value for rate in (each.accepted, each.first_pass) for value in _of(rate)),
        )
        for each in periods
    ]
    return [list(column) for column in zip(*rows, strict=True)]


def _of(rate: Rate) -> tuple[float | None, float, float]:
    return rate.estimate, rate.low, rate.high


def trend_rows(periods: Iterable[Period]) -> list[tuple[str, str, str, str]]:
    """Return the trend as the rows of a table, the latest period first."""
    return [
        (
            moment(each.start)[:16],
            f"{each.accepted.n:,}",
            of_rate(each.accepted),
            of_rate(each.first_pass),
        )
        for each in periods
    ][::-1]


def period_words(periods: tuple[Period, ...]) -> str:
    """Return how long the periods of a trend are."""
    if not periods:
        return ""
    seconds = periods[0].seconds
    units = ((7 * 86400, "week"), (86400, "day"), (3600, "hour"), (60, "minute"))
    unit, name = next(each for each in units if seconds >= each[0])
    times = round(seconds / unit)
    return f"{times} {name}{'s' * (times > 1)}"


def embedded(value: object) -> str:
    """Return a value as JSON of printable ASCII, to stand in an attribute of the page."""
    return json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False)


@dataclass(frozen=True, slots=True)
class Shown:
    """An audit as the page shows it."""

    runs: int
    """How many runs there are."""
    weakest: str
    """Which handoff is the weakest, or why that is not decided, in a sentence."""
    is_decided: bool
    """Whether one is."""
    graph: str
    """The graph's elements, as JSON."""
    handoffs: Sequence[Mapping[str, str]]
    """The rows of the table of handoffs."""
    trend: str
    """The trend's columns, as JSON; empty if there are no two periods to compare."""
    periods: Sequence[tuple[str, str, str, str]]
    """The rows of the table of periods."""
    period: str
    """How long each is."""
    whole: Section
    """The whole: product against observed."""
    chart: Markup
    """The whole as a chart."""
    next_gate: Section
    """The next gate."""
    more: Sequence[Section]
    """The other sections of the report."""


def shown(report: AuditReport) -> Shown:
    """Return what the page shows of an audit."""
    parts = {section.title: section for section in sections(report)}
    whole, next_gate, _ = (
        parts.pop(title, Section(title)) for title in ("End to end", "Next gate", "Handoffs")
    )
    return Shown(
        runs=report.runs.total,
        weakest=weakest_words(report),
        is_decided=report.weakest.handoff is not None,
        graph=embedded(graph_of(report)),
        handoffs=handoff_rows(report),
        trend=embedded(trend_of(report.trend)) if len(report.trend) > 1 else "",
        periods=trend_rows(report.trend),
        period=period_words(report.trend),
        whole=whole,
        chart=Markup(charts(report)["End to end"]),  # noqa: S704 - made of figures and fixed words
        next_gate=next_gate,
        more=list(parts.values()),
    )
