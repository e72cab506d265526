"""Reading a store for an audit, run by run: SQLite by plain SQL, others by their protocol."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

from coordgate.audit.tally import Row, Tally
from coordgate.record import Run, Transition
from coordgate.stores import SqliteStore, Store
from coordgate.stores.base import as_it_stands
from coordgate.stores.connection import connect, said

_BUSY: Final = 5.0

_ROWS: Final = """
    SELECT t.id, t.run, CASE WHEN instr(t.namespace, '|') THEN t.namespace ELSE '' END,
        t.node, t.status, t.producers, t.goto, a.rung, a.outcome,
        a.outcome = 'violated' AND ifnull(a.output, 'null') = 'null',
        t.seconds, a.seconds, a.tokens_in, a.tokens_out, a.cost
    FROM transitions t LEFT JOIN attempts a ON a.transition = t.id {}
    ORDER BY t.run, t.number
"""
"""In the order of an index, so that nothing is sorted, and a run's rows stand together."""

_VERDICTS: Final = """
    SELECT t.node, v.gate, count(*), sum(v.passed), sum(v.seconds)
    FROM verdicts v JOIN transitions t ON t.id = v.transition {} GROUP BY t.node, v.gate
"""

_RUNS: Final = """
    SELECT id, graph, thread, mode, status, started, ended, error, runs.process, seen
    FROM runs LEFT JOIN processes ON processes.process = runs.process {} ORDER BY id
"""

_THESE: Final = "(? IS NULL OR graph = ?) AND started >= ? AND started < ?"


@dataclass(frozen=True, slots=True)
class Which:
    """Which runs are read."""

    graph: str | None = None
    """Those of this graph; of all without one."""
    since: float = -math.inf
    """Those that began no earlier, in seconds since the epoch."""
    until: float = math.inf
    """Those that began before it, in seconds since the epoch."""

    @property
    def all(self) -> bool:
        """Whether no run is left out."""
        return self == Which()

    def takes(self, run: Run) -> bool:
        """Return whether a run is read."""
        return self.graph in {None, run.graph} and self.since <= run.started < self.until

    def restrict(self, sql: str, column: str) -> tuple[str, tuple[Any, ...]]:
        """Return a query that has a gap for the condition, and its parameters."""
        if self.all:
            return sql.format(""), ()
        chosen = f"WHERE {column} IN (SELECT id FROM runs WHERE {_THESE})"  # noqa: S608 - made of constants
        return sql.format(chosen), (self.graph, self.graph, self.since, self.until)


def read(store: Store, correct: Mapping[str, bool], which: Which) -> Tally:
    """Return the tally of a store.

    Args:
        store: The store. It is read once, and what is kept does not grow with the number of runs.
        correct: For runs that have a label, whether they were correct.
        which: Which of its runs.

    Raises:
        StoreError: the store cannot be read.
    """
    tally = Tally()
    if isinstance(store, SqliteStore):
        _read_sqlite(store, tally, correct, which)
    else:
        for run in store.runs(newest_first=False):
            if not which.takes(run):
                continue
            rows = [row for each in store.transitions(run.id) for row in _rows(each)]
            known = correct.get(run.id)
            tally.take(rows, run.status, run.mode, run.thread, known, run.started)
            for each in store.transitions(run.id):
                for verdict in (v for attempt in each.attempts for v in attempt.verdicts):
                    tally.judge(each.node, verdict.gate, 1, verdict.passed, verdict.seconds)
    tally.close()
    return tally


def _read_sqlite(
    store: SqliteStore, tally: Tally, correct: Mapping[str, bool], which: Which
) -> None:
    with (
        said(store.path, "read"),
        closing(connect(store.path, "read", _BUSY)) as database,
    ):
        database.execute("BEGIN")  # both queries see the file as it is now
        now = time.time()
        by_run = groupby(database.execute(*which.restrict(_ROWS, "t.run")), key=itemgetter(1))
        id, rows = next(by_run, (None, iter(())))
        for record in database.execute(*which.restrict(_RUNS, "id")):
            while id is not None and id < record[0]:
                id, rows = next(by_run, (None, iter(())))  # of a run that was never recorded
            status = record[4]
            if status == "running":
                status = as_it_stands(Run(*record[:9]), record[9] or 0.0, now).status
            found: list[Any] = []
            if id == record[0]:
                found = list(rows)
                id, rows = next(by_run, (None, iter(())))
            known = correct.get(record[0])
            tally.take(found, status, record[3], record[2], known, record[5])
        for node, gate, asked, passed, seconds in database.execute(
            *which.restrict(_VERDICTS, "t.run")
        ):
            tally.judge(node, gate, asked, passed, seconds)


def _rows(each: Transition) -> Iterator[Row]:
    """Yield what the query yields, from a record."""
    head = (
        (each.run, each.number, each.namespace, each.started),
        each.run,
        each.namespace if "|" in each.namespace else "",
        each.node,
        each.status,
        json.dumps(each.producers),
        json.dumps(each.goto),
    )
    if not each.attempts:
        yield Row(*head, None, None, None, each.seconds, None, None, None, None)
    for attempt in each.attempts:
        refused = attempt.outcome == "violated" and attempt.output in {None, "null"}
        yield Row(
            *head,
            attempt.rung,
            attempt.outcome,
            int(refused),
            each.seconds,
            attempt.seconds,
            attempt.tokens_in,
            attempt.tokens_out,
            attempt.cost,
        )
