"""The audit of a store of a million transitions, against one plain SQL scan of the same columns.

    python bench/audit.py [--runs 166667] [--store PATH] [--rounds 3]

Makes the store if it is not there: a six-node graph, each hand-over accepted at once 97 times in a
hundred, retried once, as the engine records it. Prints JSON: seconds of the scan and of the audit
(medians of rounds that take turns), their ratio, and the most memory that a fresh process needed
for an audit of the whole store and of one with a tenth of the runs.
"""

from __future__ import annotations

import json
import random
import sqlite3
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from coordgate.record import Attempt, GateVerdict, Record, Run, RunId, Transition
from coordgate.stores import open_store

NODES = ("plan", "retrieve", "rank", "draft", "verify", "answer")
START = 1_750_000_000.0
VALUE = json.dumps({"question": "q" * 60, "draft": "d" * 120})
"""What each node reads and writes."""

SCAN = (
    "SELECT run, number, thread, namespace, node, status, seconds, producers, goto"
    " FROM transitions",
    "SELECT transition, number, rung, outcome, seconds, tokens_in, tokens_out, cost FROM attempts",
)
"""A plain scan of the columns that an audit rests on."""


def records(runs: int) -> Iterator[Record]:
    """Yield so many runs, with their transitions."""
    chance = random.Random(7)  # noqa: S311 - test data
    for place in range(runs):
        run = RunId(f"{int(START * 1e9) + place:016x}{chance.getrandbits(64):016x}")
        began = START + place
        status = "completed"
        for number, node in enumerate(NODES, start=1):
            attempts = [_attempt(1, "first", chance.random() < 0.97)]
            if attempts[0].outcome == "rejected":
                attempts.append(_attempt(2, "retry", chance.random() < 0.97))
            passed = attempts[-1].outcome == "accepted"
            yield Transition(
                run,
                number,
                None,
                f"{node}:{chance.getrandbits(128):032x}",
                number,
                node,
                "accepted" if passed else "failed",
                began,
                chance.expovariate(1.0),
                producers=NODES[number - 2 : number - 1] if number > 1 else (),
                goto=NODES[number : number + 1] if passed else (),
                reads=VALUE,
                writes=VALUE if passed else None,
                attempts=tuple(attempts),
            )
            if not passed:
                status = "failed"
                break
        yield Run(run, "bench", None, "enforce", status, began, began + 1)  # type: ignore[arg-type]


def _attempt(number: int, rung: str, passed: bool) -> Attempt:
    return Attempt(
        number,
        rung,
        "accepted" if passed else "rejected",
        0.5,
        () if passed else ("good: not good enough",),
        output=VALUE,
        verdicts=(GateVerdict("good", passed, 1.0 if passed else 0.0),),
        model="some-model",
        tokens_in=800,
        tokens_out=90,
        cost=0.001,
    )


def make(path: Path, runs: int) -> None:
    """Write a store of so many runs."""
    batch: list[Record] = []
    with open_store(path, mode="write") as store:
        for record in records(runs):
            batch.append(record)
            if len(batch) >= 4096:
                store.write(batch)
                batch = []
        store.write(batch)


def scan(path: Path) -> float:
    """Return the seconds that the plain scan takes, every row fetched."""
    began = time.perf_counter()
    with sqlite3.connect(path) as database:
        for sql in SCAN:
            for _ in database.execute(sql):
                pass
    database.close()
    return time.perf_counter() - began


if __name__ == "__main__":
    make(Path(sys.argv[1]), int(sys.argv[2]))
