"""Where a list gets its runs: SQLite by queries that never read much at once, others as stores."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, Protocol

from coordgate.record import FAILED, Run
from coordgate.stores import SqliteStore, Store
from coordgate.stores.base import as_it_stands
from coordgate.stores.rows import run_of
from coordgate.viewer.filters import Filters, Place, contains

_BLOCK: Final = 256
"""How many runs are read at once."""

MOST_TALLIED: Final = 2_000
"""How many attempts of one run a list counts at the most."""

_LOOKED_AT: Final = 500
"""How many transitions are looked at for the names of gates."""


@dataclass(frozen=True, slots=True)
class Look:
    """What came of looking at some transitions of a run."""

    found: bool
    """Whether one of them has what is asked."""
    last: int | None
    """The number of the last one that was looked at; None if there are no more."""


@dataclass(slots=True)
class Tally:
    """What a run's transitions come to."""

    nodes: dict[str, None]
    """The nodes that ran, in their order."""
    transitions: int = 0
    """How many there are."""
    attempts: int = 0
    """How many attempts they had."""
    accepted: int = 0
    """How many attempts were accepted."""
    rejected: int = 0
    """How many were rejected by a gate, violated the contract, or raised."""
    tokens: int | None = None
    """Sent and received, as far as known; None if nothing is."""
    cost: float | None = None
    """In US dollars, as far as known; None if nothing is."""
    unpriced: bool = False
    """Whether a part of the cost is unknown."""
    last: float | None = None
    """When the last of them ended."""
    more: bool = False
    """Whether there is more than was counted."""

    def add(self, row: Sequence[Any]) -> None:
        """Add an attempt: its transition's number, node and end, and what it came to."""
        _, node, ended, outcome, model, tokens_in, tokens_out, cost = row
        self.nodes[node] = None
        self.last = ended if self.last is None else max(self.last, ended)
        if outcome is None:  # a transition without attempts
            return
        self.attempts += 1
        self.accepted += outcome == "accepted"
        self.rejected += outcome in FAILED
        if tokens_in is not None or tokens_out is not None:
            self.tokens = (self.tokens or 0) + (tokens_in or 0) + (tokens_out or 0)
        if cost is not None:
            self.cost = (self.cost or 0.0) + cost
        elif model is not None:
            self.unpriced = True


class Source(Protocol):
    """What a list needs to know of a store."""

    def runs(self, filters: Filters, after: Place | None) -> Iterator[Run | Place]:
        """Yield the runs of these times and this status, the newest first.

        A place says: up to here there is none.
        """
        ...

    def run(self, place: Place) -> Run | None:
        """Return the run at a place, if it is there."""
        ...

    def look(self, run: Run, filters: Filters, after: int, most: int) -> Look:
        """Look at so many transitions of a run, those numbered above `after`."""
        ...

    def rows(self, run: Run) -> Iterator[Sequence[Any]]:
        """Yield what `Tally.add` takes, an attempt at a time."""
        ...

    def gates(self, runs: Sequence[Run]) -> list[str]:
        """Return gates that were asked in some runs, to choose from; not all if there are many."""
        ...


def source_of(store: Store) -> Source:
    """Return what a list gets its runs from."""
    return _Tables(store) if isinstance(store, SqliteStore) else _Records(store)


def tally(source: Source, run: Run) -> Tally:
    """Return what a run's transitions come to, up to a bound."""
    found = Tally({})
    number = None
    for place, row in enumerate(source.rows(run)):
        if place == MOST_TALLIED:
            found.more = True
            break
        found.transitions += row[0] != number
        number = row[0]
        found.add(row)
    return found


class _Tables:
    """A SQLite file, asked in small steps."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store

    def runs(self, filters: Filters, after: Place | None) -> Iterator[Run | Place]:
        wanted = {filters.status, "running"} if filters.status == "lost" else {filters.status}
        while True:
            conditions, values = ["1"], list[Any]()
            if after is not None:
                conditions.append("(started, id) < (?, ?)")
                values += [after.started, after.id]
            if filters.since is not None:
                conditions.append("started >= ?")
                values.append(filters.since)
            if filters.before is not None:
                conditions.append("started < ?")
                values.append(filters.before)
            rows = self._runs(
                f"WHERE {' AND '.join(conditions)} ORDER BY started DESC, id DESC LIMIT {_BLOCK}",
                values,
            )
            now = time.time()
            for row in rows:
                if filters.status and row[4] not in wanted:
                    continue
                run = as_it_stands(run_of(row), row[9] or 0.0, now)
                if filters.status in {"", run.status}:
                    yield run
            if len(rows) < _BLOCK:
                return
            after = Place(rows[-1][5], rows[-1][0])
            yield after

    def run(self, place: Place) -> Run | None:
        for row in self._runs("WHERE id = ?", [place.id]):
            return as_it_stands(run_of(row), row[9] or 0.0, time.time())
        return None

    def _runs(self, rest: str, values: Sequence[Any]) -> list[Any]:
        return self._store.query(
            "SELECT id, graph, thread, mode, status, started, ended, error, runs.process, seen "  # noqa: S608 - made of constants
            f"FROM (SELECT * FROM runs {rest}) AS runs "
            "LEFT JOIN processes ON processes.process = runs.process",
            [_stored(each) for each in values],
        )

    def look(self, run: Run, filters: Filters, after: int, most: int) -> Look:
        tests, values = ["1"], list[Any]()
        if filters.node:
            tests.append("t.node = ?")
            values.append(filters.node)
        if filters.verdict or filters.gate:
            said = ["v.transition = t.id"]
            if filters.verdict:
                said.append(f"v.passed = {int(filters.verdict == 'passed')}")
            if filters.gate:
                said.append("v.gate = ?")
                values.append(filters.gate)
            tests.append(f"EXISTS (SELECT 1 FROM verdicts v WHERE {' AND '.join(said)})")  # noqa: S608 - made of constants
        text = "''" if not filters.text or filters.in_run(run) else _TEXT
        rows = self._store.query(
            f"SELECT t.number, CASE WHEN {' AND '.join(tests)} THEN {text} END FROM transitions t "  # noqa: S608 - made of constants
            "WHERE t.run = ? AND t.number > ? ORDER BY t.number LIMIT ?",
            [_stored(each) for each in (*values, run.id, after, most)],
        )
        needles = filters.needles() if text == _TEXT else ("",)
        found = any(said is not None and contains(said, needles) for _, said in rows)
        return Look(found, rows[-1][0] if len(rows) == most else None)

    def rows(self, run: Run) -> Iterator[Sequence[Any]]:
        yield from self._store.query(
            "SELECT t.number, t.node, t.started + t.seconds, a.outcome, a.model, a.tokens_in, "
            "a.tokens_out, a.cost FROM transitions t LEFT JOIN attempts a ON a.transition = t.id "
            "WHERE t.run = ? ORDER BY t.number LIMIT ?",
            [_stored(run.id), MOST_TALLIED + 1],
        )

    def gates(self, runs: Sequence[Run]) -> list[str]:
        marks = ", ".join("?" * len(runs))
        rows = self._store.query(
            "SELECT DISTINCT gate FROM verdicts WHERE transition IN (SELECT id FROM transitions "  # noqa: S608 - made of constants
            f"WHERE run IN ({marks}) LIMIT {_LOOKED_AT}) ORDER BY gate LIMIT 200",
            [_stored(run.id) for run in runs],
        )
        return [gate for (gate,) in rows]


_TEXT: Final = """
    ifnull(t.reads, '') || char(10) || ifnull(t.writes, '') || char(10) || ifnull((
        SELECT group_concat(
            a.reasons || ifnull(a.error, '') || char(10) || ifnull(a.output, ''), char(10)
        ) FROM attempts a WHERE a.transition = t.id
    ), '')
"""
"""Of a transition, all that text is looked for in."""


class _Records:
    """Any other store, whose records are looked at one by one."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def runs(self, filters: Filters, after: Place | None) -> Iterator[Run | Place]:
        for run in self._store.runs():
            if after is not None and (run.started, run.id) >= (after.started, after.id):
                continue
            if filters.since is not None and run.started < filters.since:
                return
            if filters.before is not None and run.started >= filters.before:
                continue
            if filters.status in {"", run.status}:
                yield run
            else:
                yield Place(run.started, run.id)

    def run(self, place: Place) -> Run | None:
        return next((run for run in self._store.runs() if run.id == place.id), None)

    def look(self, run: Run, filters: Filters, after: int, most: int) -> Look:
        text = bool(filters.text) and not filters.in_run(run)
        looked = list(islice(self._store.transitions(run.id, after=after), most))
        found = any(filters.in_transition(each, text=text) for each in looked)
        return Look(found, looked[-1].number if len(looked) == most else None)

    def rows(self, run: Run) -> Iterator[Sequence[Any]]:
        for each in self._store.transitions(run.id):
            start = (each.number, each.node, each.started + each.seconds)
            for a in each.attempts:
                yield (*start, a.outcome, a.model, a.tokens_in, a.tokens_out, a.cost)
            if not each.attempts:
                yield (*start, None, None, None, None, None)

    def gates(self, runs: Sequence[Run]) -> list[str]:
        each = (t for run in runs for t in self._store.transitions(run.id))
        looked = islice(each, _LOOKED_AT)
        return sorted({v.gate for t in looked for a in t.attempts for v in a.verdicts})[:200]


def _stored(value: Any) -> Any:
    """Return a value as a SQLite file may hold it."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
