"""What the cost of a guarded node is made of: its parts added one after the other.

Here the windows are as short as a few runs, so that neighbours in a round meet the same machine.
What the tracer's thread does in the background is left out of them, and told apart in the end.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from graphs import Subject
from measure import Case, Figures, Series, ameasure, measure, say, shown, spread, table
from pipeline import STAGES, Stage, bare, declaration, guarded, rule_gate

from coordgate import Contract, NodeGuard, Tracer
from coordgate.tracer import Record

CALLS = 5
"""How many runs make a window."""


class Nowhere:
    """A sink that drops everything."""

    def write(self, records: Sequence[Record]) -> None:
        """Drop the records."""


def _accepts(stage: Stage) -> NodeGuard:
    return NodeGuard(contract=Contract(accepts=stage.accepts))


def _contract(stage: Stage) -> NodeGuard:
    return NodeGuard(contract=Contract(accepts=stage.accepts, returns=stage.returns))


def _gated(stage: Stage) -> NodeGuard:
    contract = Contract(accepts=stage.accepts, returns=stage.returns)
    return NodeGuard(contract=contract, gates=[rule_gate(stage)])


def subjects(*, in_async: bool) -> list[Subject]:
    """Return the graphs, each with one part more than the one before it."""

    def made(name: str, declared: Any, tracer: Tracer | None = None) -> Subject:
        return Subject(
            name, guarded(in_async=in_async, declared=declared, tracer=tracer), None, tracer
        )

    return [
        Subject("bare", bare(in_async=in_async)),
        made("guarded: the state's own annotations", None),
        made("declared input", _accepts),
        made("declared output, instead of the annotations", _contract),
        made("rule gate", _gated),
        made("policy", declaration),
        made("tracer, what it does at once", declaration, Tracer(Nowhere())),
    ]


def run(home: Path, *, rounds: int) -> Figures:
    """Measure the graphs, and print what each part adds to the one before."""
    found: Figures = {}
    for in_async in (False, True):
        way = "async" if in_async else "sync"
        all_of_them = subjects(in_async=in_async)
        cases = [each.case(in_async=in_async) for each in all_of_them]
        if in_async:
            taken = asyncio.run(_warm_async(cases, rounds))
        else:
            measure(cases, rounds=1, calls=CALLS * 5)
            taken = measure(cases, rounds=rounds, calls=CALLS, collect=False)
        found[way] = _print(way, list(taken.values()), rounds)
        for each in all_of_them:
            if each.tracer is not None:
                each.tracer.close()
    found["tracer_thread_us"] = _behind(home, rounds)
    say(f"the tracer's own thread: {found['tracer_thread_us']:.1f} µs of CPU per node, SQLite")
    return found


async def _warm_async(cases: Sequence[Case], rounds: int) -> dict[str, Series]:
    await ameasure(cases, rounds=1, calls=CALLS * 5)
    return await ameasure(cases, rounds=rounds, calls=CALLS, collect=False)


def _behind(home: Path, rounds: int) -> float:
    """Return the CPU time that the tracer's thread takes for a node, in microseconds."""
    with Tracer(home / "behind.db") as tracer:
        app = guarded(declared=declaration, tracer=tracer)
        subject = Subject("", app, None, tracer)
        taken: list[float] = []
        for _ in range(7):
            whole, own = time.process_time(), time.thread_time()
            for _ in range(rounds):
                subject.call()
            own = time.thread_time() - own
            subject.settle()
            taken.append((time.process_time() - whole - own) / rounds / len(STAGES) * 1e6)
    return median(taken)


def _print(way: str, taken: Sequence[Series], rounds: int) -> Figures:
    say(f"\nparts of the cost, {way} ({rounds} rounds of {CALLS} runs; µs/node)")
    base = taken[0]
    rows = [(base.name, f"{spread(base.typical).median:.1f}", "", "")]
    found: Figures = {base.name: base.figures(None)}
    for before, series in pairwise(taken):
        added = series.excess(before, "typical")
        found[series.name] = {**series.figures(base), "added_us": added.figures()}
        rows.append(
            (
                f"+ {series.name}",
                f"{spread(series.typical).median:.1f}",
                shown(added),
                shown(series.ratio(base, "typical"), 3),
            )
        )
    table(("", "median run", "added", "ratio to bare"), rows)
    return found
