"""Records as rows of the SQLite tables, and rows as records."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from coordgate.capture import RawTransition
from coordgate.tracer import Attempt, Call, Capture, GateVerdict, Run, Transition


@dataclass(frozen=True)
class Insert:
    """A statement that inserts many rows at once."""

    into: str
    """The table, with its columns where not all are given."""
    width: int
    """How many values one row has."""
    then: str = ""
    """What follows the rows."""

    @lru_cache(maxsize=16)  # noqa: B019 - the inserts live as long as the module
    def sql(self, rows: int) -> str:
        """Return the statement for so many rows."""
        row = f"({', '.join('?' * self.width)})"
        return f"INSERT INTO {self.into} VALUES {', '.join([row] * rows)}{self.then}"  # noqa: S608 - made of constants


INSERTS = (
    Insert(
        "runs",
        9,
        " ON CONFLICT (id) DO UPDATE SET graph = excluded.graph, thread = excluded.thread, "
        "mode = excluded.mode, status = excluded.status, started = excluded.started, "
        "ended = excluded.ended, error = excluded.error, process = excluded.process",
    ),
    Insert("transitions", 14),
    Insert("attempts", 14),
    Insert("verdicts", 7),
    Insert("calls", 11),
)
"""One for each of what `Rows.parameters` gives, in the same order."""


class Rows:
    """The rows of one batch, as flat lists of parameters."""

    __slots__ = ("_attempts", "_calls", "_last", "_runs", "_transitions", "_verdicts")

    def __init__(self, last: int) -> None:
        """Take the id of the last transition that is stored."""
        self._last = last
        self._runs: dict[str, tuple[Any, ...]] = {}
        self._transitions: list[Any] = []
        self._attempts: list[Any] = []
        self._verdicts: list[Any] = []
        self._calls: list[Any] = []

    def add_run(self, run: Run) -> None:
        """Add a run, or replace it."""
        self._runs[run.id] = (
            run.id,
            run.graph,
            run.thread,
            run.mode,
            run.status,
            run.started,
            run.ended,
            run.error,
            run.process,
        )

    def add(self, given: Transition | Capture) -> None:
        """Add a transition, given as a record or as a settled capture."""
        # A capture's fields are named as the record's are, so that no record need be made of it.
        raw = type(given) is RawTransition
        each: Any = given if raw or isinstance(given, Transition) else given.freeze()
        self._last = last = self._last + 1
        self._transitions += (
            last,
            each.run,
            each.number,
            each.thread,
            each.namespace,
            each.step,
            each.node,
            each.status,
            each.started,
            each.seconds,
            _names(tuple(each.producers)),
            _names(tuple(each.goto)),
            each.reads,
            each.writes,
        )
        for attempt in each.attempts:
            number = attempt.number
            reasons = attempt.reasons
            self._attempts += (
                last,
                number,
                attempt.rung,
                attempt.outcome,
                attempt.seconds,
                json.dumps(reasons, ensure_ascii=False) if reasons else "[]",
                attempt.error,
                attempt.output,
                attempt.model,
                attempt.tokens_in,
                attempt.tokens_out,
                attempt.cost,
                attempt.decision,
                attempt.by,
            )
            for call in attempt.calls:
                self._calls += (
                    last,
                    number,
                    call.model,
                    call.finish,
                    call.tokens_in,
                    call.tokens_out,
                    call.told() if raw else call.details,
                    call.cost,
                    call.seconds,
                    call.gate,
                    call.error,
                )
            if raw:
                for judged in attempt.judgements:
                    verdict = judged.verdict
                    self._verdicts += (
                        last,
                        number,
                        judged.gate,
                        verdict.passed,
                        verdict.score,
                        verdict.reason,
                        judged.seconds,
                    )
            else:
                for verdict in attempt.verdicts:
                    self._verdicts += (
                        last,
                        number,
                        verdict.gate,
                        verdict.passed,
                        verdict.score,
                        verdict.reason,
                        verdict.seconds,
                    )

    def parameters(self) -> tuple[list[Any], ...]:
        """Return the parameters of each of `INSERTS`."""
        runs = [value for row in self._runs.values() for value in row]
        return (runs, self._transitions, self._attempts, self._verdicts, self._calls)


def run_of(row: Sequence[Any]) -> Run:
    """Return the run in a row of `runs`."""
    return Run(*row[:9])


def transition_of(
    row: Sequence[Any],
    attempts: Sequence[Sequence[Any]],
    verdicts: Sequence[Sequence[Any]],
    calls: Sequence[Sequence[Any]],
) -> Transition:
    """Return the transition in a row of `transitions` and the rows that refer to it."""
    given: dict[int, list[GateVerdict]] = {}
    for verdict in verdicts:
        _, attempt, gate, passed, score, reason, seconds = verdict
        given.setdefault(attempt, []).append(
            GateVerdict(gate, bool(passed), score, reason, seconds)
        )
    made: dict[int, list[Call]] = {}
    for call in calls:
        made.setdefault(call[1], []).append(Call(*call[2:]))
    return Transition(
        run=row[1],
        number=row[2],
        thread=row[3],
        namespace=row[4],
        step=row[5],
        node=row[6],
        status=row[7],
        started=row[8],
        seconds=row[9],
        producers=tuple(json.loads(row[10])),
        goto=tuple(json.loads(row[11])),
        reads=row[12],
        writes=row[13],
        attempts=tuple(
            _attempt_of(each, given.get(each[1], ()), made.get(each[1], ())) for each in attempts
        ),
    )


def _attempt_of(
    row: Sequence[Any], verdicts: Sequence[GateVerdict], calls: Sequence[Call]
) -> Attempt:
    return Attempt(
        number=row[1],
        rung=row[2],
        outcome=row[3],
        seconds=row[4],
        reasons=tuple(json.loads(row[5])),
        error=row[6],
        output=row[7],
        verdicts=tuple(verdicts),
        model=row[8],
        tokens_in=row[9],
        tokens_out=row[10],
        cost=row[11],
        decision=row[12],
        by=row[13],
        calls=tuple(calls),
    )


@lru_cache(maxsize=4096)
def _names(names: tuple[str, ...]) -> str:
    return json.dumps(names, ensure_ascii=False)
