"""Pipelines that succeed by chance, run for real and recorded as if over days."""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypedDict

from langgraph.graph import START, StateGraph

from coordgate import CoordgateError, NodeGuard, Policy, Retry, Tracer, gate, guard
from coordgate.record import Record, Run, RunStatus
from coordgate.stores import MemoryStore, open_store

FIRST = 1_794_960_000.0
"""When the first run began: 2026-11-18, 00:00 UTC."""


class Parts(TypedDict, total=False):
    """What the nodes write."""

    find: str
    draft: str
    check: str


class Held(MemoryStore):
    """A store that gives its runs when it is let."""

    def __init__(self) -> None:
        """Hold them back."""
        super().__init__()
        self.let = threading.Event()
        self.read = 0

    def runs(
        self,
        *,
        limit: int | None = None,
        status: RunStatus | None = None,
        newest_first: bool = True,
    ) -> Iterator[Run]:
        """Return the runs; to the audit, which reads the oldest first, when it is let."""
        if not newest_first:
            self.read += 1
            assert self.let.wait(30)
        return super().runs(limit=limit, status=status, newest_first=newest_first)


@gate
def good(output: Parts) -> bool:
    """Pass what is good."""
    return set(output.values()) == {"good"}


def _node(name: str, rate: float, chance: random.Random) -> Any:
    def node(state: Parts) -> dict[str, str]:
        return {name: "good" if chance.random() < rate else "bad"}

    return node


def runs_of(rates: Mapping[str, float], runs: int, *, apart: float, name: str) -> list[Record]:
    """Run a guarded line of nodes that are good this often; return what was recorded.

    The runs are dated `apart` seconds from each other.
    """
    chance = random.Random(7)  # noqa: S311 - a simulation
    builder = StateGraph(Parts).add_sequence(
        [(key, _node(key, rate, chance)) for key, rate in rates.items()]
    )
    nodes = {key: NodeGuard(gates=[good], policy=Policy(Retry(1))) for key in rates}
    store = MemoryStore()
    with Tracer(store) as tracer:
        app = guard(builder.add_edge(START, next(iter(rates))), nodes, tracer=tracer)
        compiled = app.compile(name=name)
        for _ in range(runs):
            with contextlib.suppress(CoordgateError):
                compiled.invoke({})
    found: list[Record] = []
    for place, run in enumerate(store.runs(newest_first=False)):
        began = FIRST + place * apart
        found += [replace(run, started=began, ended=began + 1), *store.transitions(run.id)]
    return found


def write_line(
    path: Path, rates: Mapping[str, float], runs: int, *, apart: float = 3600, name: str = "line"
) -> Path:
    """Add the runs of such a line to a store; return its path."""
    with open_store(path, mode="write") as store:
        store.write(runs_of(rates, runs, apart=apart, name=name))
    return path
