"""Subject 0: the bars. Single runs of the 6-node graph by turns, and their medians compared.

One round runs each variant once, in shuffled order, without checkpointer. Nothing is waited for in
between: the tracer's thread writes while whatever run is under way, and so slows all alike. What it
costs a caller that does nothing but traced runs is what subject `graphs` tells.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from graphs import LIMITS, Subject, agree, variants
from measure import Case, Figures, Series, ameasure, bar, measure, say, shown, spread, table

from coordgate import Tracer

FIRST = 50
"""Rounds before the clock counts."""


def run(home: Path, *, rounds: int) -> Figures:
    """Measure sync and async, print a table for each, then the bars."""
    found: Figures = {}
    bars: list[Figures] = []
    for way in ("sync", "async"):
        with ExitStack() as stack:
            subjects: list[Subject] = []
            for at, (name, (build, traced)) in enumerate(variants(in_async=way == "async").items()):
                path = home / f"turns-{way}-{at}.db"
                tracer = stack.enter_context(Tracer(path)) if traced else None
                subjects.append(Subject(name, build(None, tracer), None, tracer))
            cases = [_case(each, in_async=way == "async") for each in subjects]
            if way == "sync":
                agree({each.name: each.call() for each in subjects})
                measure(cases, rounds=FIRST, calls=1)
                taken = measure(cases, rounds=rounds, calls=1, collect=False)
            else:
                taken = asyncio.run(_in_async(subjects, cases, rounds))
        found[way] = _print(way, list(taken.values()), rounds)
        bars.append(bar(way, LIMITS[way], found[way]["guarded"]["ratio"]))
    found["bars"] = bars
    return found


async def _in_async(
    subjects: Sequence[Subject], cases: Sequence[Case], rounds: int
) -> dict[str, Series]:
    agree({each.name: await each.acall() for each in subjects})
    await ameasure(cases, rounds=FIRST, calls=1)
    return await ameasure(cases, rounds=rounds, calls=1, collect=False)


def _case(subject: Subject, *, in_async: bool) -> Case:
    """Return a subject that is not waited for after a run."""
    return replace(subject.case(in_async=in_async), settle=lambda: None)


def _print(way: str, taken: Sequence[Series], rounds: int) -> Figures:
    base = spread(taken[0].wall)
    say(f"\nsingle runs by turns, {way}, no checkpointer ({rounds} rounds; µs/node)")
    found: Figures = {}
    rows: list[Sequence[str]] = []
    for series in taken:
        own = spread(series.wall)
        ratio = own.median / base.median
        found[series.name] = {"rounds": rounds, "wall_us": own.figures(), "ratio": ratio}
        rows.append((series.name, shown(own), f"{ratio:.3f}"))
    table(("", "a run", "ratio of medians"), rows)
    return found
