"""Measuring: cases run by turns, in shuffled order, in one process, and what comes of it.

A round gives each case one window of calls. A case's ratio is taken within each round, against the
base case's window of the same round, so that what slows the machine for a while slows both.
"""

from __future__ import annotations

import asyncio
import gc
import random
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, TypeAlias

Figures: TypeAlias = dict[str, Any]
"""What goes into the JSON file."""


def _nothing() -> None:
    """Do nothing between windows."""


@dataclass(frozen=True, slots=True)
class Case:
    """One variant to be measured."""

    name: str
    """What the tables call it."""
    call: Callable[[], Any]
    """One call: a function, or one that returns an awaitable where the cases are async."""
    units: int = 1
    """How many useful units, such as nodes, one call does."""
    calls: int | None = None
    """How many calls make a window, where it is not the same for all."""
    settle: Callable[[], Any] = field(default=_nothing)
    """What finishes the window's background work; its CPU time counts, its wall time apart."""
    clear: Callable[[], Any] = field(default=_nothing)
    """What drops the window's leftovers, untimed; may return an awaitable."""


@dataclass(frozen=True, slots=True)
class Spread:
    """A median with its quartiles."""

    median: float
    """The middle value."""
    low: float
    """The lower quartile."""
    high: float
    """The upper quartile."""

    def figures(self) -> Figures:
        """Return the three as JSON."""
        return {"median": self.median, "q1": self.low, "q3": self.high}


@dataclass(slots=True)
class Series:
    """What the windows of one case took, in microseconds per unit, round by round."""

    name: str
    """The case."""
    wall: list[float] = field(default_factory=list)
    """What the caller waited."""
    typical: list[float] = field(default_factory=list)
    """The median call of each window: what a run takes that nothing else on the machine hits."""
    settled: list[float] = field(default_factory=list)
    """The same, and until the background work was done too."""
    cpu: list[float] = field(default_factory=list)
    """CPU time of the process, all threads, the background work included."""

    def ratio(self, base: Series, what: str = "wall") -> Spread:
        """Return how many times the base case's this took, from the windows of each round."""
        return spread(
            [a / b for a, b in zip(getattr(self, what), getattr(base, what), strict=True)]
        )

    def excess(self, base: Series, what: str = "wall") -> Spread:
        """Return how much more than the base case this took, from the windows of each round."""
        return spread(
            [a - b for a, b in zip(getattr(self, what), getattr(base, what), strict=True)]
        )

    def figures(self, base: Series | None) -> Figures:
        """Return the medians, quartiles and ratios as JSON."""
        found: Figures = {"rounds": len(self.wall)}
        for what in ("wall", "typical", "settled", "cpu"):
            found[f"{what}_us"] = spread(getattr(self, what)).figures()
            if base is not None:
                found[f"{what}_ratio"] = self.ratio(base, what).figures()
        return found


def spread(values: Sequence[float]) -> Spread:
    """Return the median and the quartiles."""
    if len(values) < 2:
        return Spread(values[0], values[0], values[0])
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return Spread(median, low, high)


def measure(
    cases: Sequence[Case], *, rounds: int, calls: int, seed: int = 1, collect: bool = True
) -> dict[str, Series]:
    """Measure sync cases: `rounds` windows of `calls` calls for each, by turns.

    `collect` runs the garbage collector before each window: not wanted where windows are short.
    """
    taken = {case.name: Series(case.name) for case in cases}
    with SettledHeap():
        for order in shuffled(cases, rounds, seed):
            for case in order:
                count = case.calls or calls
                call = case.call
                if collect:
                    gc.collect()
                cpu, wall = time.process_time(), time.perf_counter()
                ticks = [wall]
                for _ in range(count):
                    call()
                    ticks.append(time.perf_counter())
                case.settle()
                _note(taken[case.name], case.units, ticks, cpu)
                case.clear()
    return taken


async def ameasure(
    cases: Sequence[Case], *, rounds: int, calls: int, seed: int = 1, collect: bool = True
) -> dict[str, Series]:
    """Measure async cases, one call after another, in the running loop."""
    taken = {case.name: Series(case.name) for case in cases}
    with SettledHeap():
        for order in shuffled(cases, rounds, seed):
            for case in order:
                count = case.calls or calls
                call = case.call
                if collect:
                    gc.collect()
                cpu, wall = time.process_time(), time.perf_counter()
                ticks = [wall]
                for _ in range(count):
                    await call()
                    ticks.append(time.perf_counter())
                case.settle()
                _note(taken[case.name], case.units, ticks, cpu)
                cleared = case.clear()
                if isinstance(cleared, Awaitable):
                    await cleared
                await asyncio.sleep(0)
    return taken


def _note(series: Series, units: int, ticks: Sequence[float], cpu: float) -> None:
    """Take down a window by the clock at its beginning and after each call, once it is settled."""
    settled, cpu = time.perf_counter() - ticks[0], time.process_time() - cpu
    all_units = units * (len(ticks) - 1)
    typical = statistics.median(after - before for before, after in pairwise(ticks))
    series.wall.append((ticks[-1] - ticks[0]) / all_units * 1e6)
    series.typical.append(typical / units * 1e6)
    series.settled.append(settled / all_units * 1e6)
    series.cpu.append(cpu / all_units * 1e6)


def shuffled(cases: Sequence[Case], rounds: int, seed: int) -> list[list[Case]]:
    """Return each round's order."""
    order = random.Random(seed)  # noqa: S311 - an order, not a secret
    return [order.sample(list(cases), len(cases)) for _ in range(rounds)]


class SettledHeap:
    """Keep what exists already out of the collector's way: alike for all cases.

    The collector itself stays on in the windows, and runs once before each.
    """

    def __enter__(self) -> None:
        """Freeze what exists."""
        gc.collect()
        gc.freeze()

    def __exit__(self, *exc: object) -> None:
        """Give it back."""
        gc.unfreeze()


def calls_for(seconds: float, call: Callable[[], Any], tries: int = 20) -> int:
    """Return how many calls fill so many seconds, about."""
    for _ in range(tries):
        call()
    began = time.perf_counter()
    for _ in range(tries):
        call()
    return max(1, round(seconds / ((time.perf_counter() - began) / tries)))


def say(line: str = "") -> None:
    """Print one line, at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table: the first column to the left, the others to the right."""
    widths = [max(len(row[at]) for row in (head, *rows)) for at in range(len(head))]
    for row in (head, *rows):
        first, *rest = (
            cell.ljust(width) if at == 0 else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        say("  ".join((first, *rest)).rstrip())


def shown(value: Spread, digits: int = 1) -> str:
    """Return a median with its quartiles."""
    return f"{value.median:.{digits}f} [{value.low:.{digits}f}, {value.high:.{digits}f}]"


def bar(name: str, limit: float, value: float, digits: int = 3) -> Figures:
    """Print whether a bar is met, and return it for the JSON file."""
    met = value <= limit
    say(f"bar {limit:g} {name}: {'met' if met else 'missed'} ({value:.{digits}f})")
    return {"bar": name, "limit": limit, "value": value, "met": met}
