"""Two runs compared: their transitions side by side, and where they part first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from coordgate.record import Run
from coordgate.show import duration
from coordgate.stores import Store
from coordgate.viewer.alignment import Pair, align, first_divergence
from coordgate.viewer.difference import Difference, difference
from coordgate.viewer.outcome import MARKS
from coordgate.viewer.outline import Totals, one_transition, totals
from coordgate.viewer.overview import number_asked
from coordgate.viewer.pages import (
    Link,
    dollars,
    is_part,
    number,
    page,
    run_asked,
    site_of,
)

MOST_COMPARED: Final = 200
"""So many transitions of each run are laid side by side."""


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two runs."""

    run: Run
    """The run."""
    totals: Totals
    """What its transitions sum up to."""

    @property
    def seconds(self) -> float | None:
        """Return how long it took, as far as it got."""
        end = self.run.ended if self.run.ended is not None else self.totals.ended
        return None if end is None else max(0.0, end - self.run.started)


@dataclass(frozen=True, slots=True)
class Measure:
    """A figure of both runs."""

    name: str
    """What is measured."""
    a: str
    """The first run's."""
    b: str
    """The second run's."""
    change: str
    """How the second differs from the first."""


def _compare(request: Request) -> Response:
    query = request.query_params
    chosen = [id for name in ("a", "b", "run") for id in query.getlist(name) if id.strip()]
    if len(chosen) != 2:
        return page(request, "compare_choose.html", chosen=chosen)
    store = site_of(request).store
    runs = [run_asked(request, id.strip()) for id in chosen]
    if "run" in query:  # boxes of a list, which has the newest first
        runs.sort(key=lambda run: run.started)
    a, b = (_side(store, run) for run in runs)
    ones, others = (list(islice(store.transitions(side.run.id), MOST_COMPARED)) for side in (a, b))
    pairs = align(ones, others)
    parting = first_divergence(pairs)
    return page(
        request,
        "compare.html",
        a=a,
        b=b,
        pairs=pairs,
        parting=parting,
        first=None if parting is None else _differences(pairs[parting]),
        measures=_measures(a, b),
        marks=MARKS,
        most=MOST_COMPARED,
    )


def _side(store: Store, run: Run) -> Side:
    return Side(run, totals(store, run.id))


def _difference(request: Request) -> Response:
    """Answer with what two transitions read and wrote, side by side."""
    store = site_of(request).store
    sides = [run_asked(request, request.query_params.get(name, "")) for name in ("a", "b")]
    found = [
        None if at is None else one_transition(store, run.id, at)
        for run, at in zip(
            sides, (number_asked(request, "m"), number_asked(request, "n")), strict=True
        )
    ]
    if found[0] is None and found[1] is None:
        raise HTTPException(404, "there are no such transitions")
    [pair] = align(*([] if each is None else [each] for each in found))[:1]
    template = "compare_pair.html" if is_part(request) else "compare_one.html"
    return page(request, template, pair=pair, found=_differences(pair), runs=sides, marks=MARKS)


def _differences(pair: Pair) -> list[tuple[str, Difference]]:
    """Return what the two of a pair read and wrote, beside one another."""
    if pair.a is None or pair.b is None:
        return []
    values = (
        ("wrote", pair.a.writes, pair.b.writes),
        ("read", pair.a.reads, pair.b.reads),
    )
    return [
        (what, difference(one or "", other or "")) for what, one, other in values if one != other
    ]


def _measures(a: Side, b: Side) -> list[Measure]:
    def measure(
        name: str, one: float | None, other: float | None, told: Callable[[Any], str]
    ) -> Measure:
        change = "-"
        if one is not None and other is not None:
            by = other - one
            change = "the same" if not by else f"{'+' if by > 0 else '-'}{told(abs(by))}"
            if by and one:
                change += f" ({by / one:+.0%})"
        return Measure(name, told(one), told(other), change)

    measured = [
        measure("Took", a.seconds, b.seconds, duration),
        measure("Transitions", a.totals.transitions, b.totals.transitions, number),
        measure("Attempts", a.totals.attempts, b.totals.attempts, number),
        measure("Tokens", a.totals.tokens, b.totals.tokens, number),
        measure("Cost", a.totals.cost, b.totals.cost, dollars),
        measure("Wasted tokens", a.totals.wasted_tokens, b.totals.wasted_tokens, number),
        measure("Wasted cost", a.totals.wasted_cost, b.totals.wasted_cost, dollars),
    ]
    has_spent = a.totals.tokens is not None or b.totals.tokens is not None
    return measured if has_spent else measured[:3]


routes = [Route("/compare", _compare), Route("/compare/pair", _difference)]
links: list[Link] = []
