"""Subject 7: the audit of a store of a million transitions, against plain SQL scans of it.

The store is that of a six-node graph in which 97 first attempts in 100 are accepted, and each other
one is retried once. Run as a program, it is the process whose memory is looked at:
`python bench/audit.py FILE`.
"""

from __future__ import annotations

import json
import random
import re
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

from measure import Figures, bar, say, table

from coordgate.audit import audit
from coordgate.record import Attempt, GateVerdict, Record, Run, RunId, Transition
from coordgate.stores import open_store

NODES = ("plan", "retrieve", "rank", "draft", "verify", "answer")
START = 1_750_000_000.0
VALUE = json.dumps({"question": "q" * 60, "draft": "d" * 120})
"""What each node reads and writes."""

COLUMNS = {
    "runs": "id, status, mode, thread",
    "transitions": "id, run, number, namespace, node, status, producers, goto, seconds",
    "attempts": "transition, rung, outcome, seconds, output, tokens_in, tokens_out, cost",
    "verdicts": "transition, gate, passed, seconds",
}
"""The columns that an audit rests on."""

SCAN = [f"SELECT {columns} FROM {name}" for name, columns in COLUMNS.items()]  # noqa: S608 - ours
"""A plain scan of them, each row fetched."""

SUMS = [
    f"SELECT {', '.join(f'sum(length({each}))' for each in columns.split(', '))} FROM {name}"  # noqa: S608 - ours
    for name, columns in COLUMNS.items()
]
"""The same scan inside SQLite: one row a table is fetched."""

FETCHED = "scan, rows fetched"
SUMMED = "scan, summed inside SQLite"

BAR = 3.0
"""How many times as long as either plain scan an audit may take."""


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


def run(home: Path, *, transitions: int, rounds: int) -> Figures:
    """Audit two stores, one a tenth of the other, and scan the larger one; by turns."""
    paths = [home / "audit.db", home / "tenth.db"]
    runs = [transitions // len(NODES) + 1, transitions // len(NODES) // 10 + 1]
    for path, count in zip(paths, runs, strict=True):
        make_store(path, count)
    taken: dict[str, list[Seconds]] = {FETCHED: [], SUMMED: [], "audit": []}
    for _ in range(rounds):
        taken[FETCHED].append(_clocked(lambda: _scan(paths[0], SCAN)))
        taken[SUMMED].append(_clocked(lambda: _scan(paths[0], SUMS)))
        taken["audit"].append(_clocked(lambda: audit(paths[0])))
    medians = {
        name: Seconds(
            statistics.median(each.wall for each in clocked),
            statistics.median(each.cpu for each in clocked),
        )
        for name, clocked in taken.items()
    }
    memory = [_memory(path) for path in paths]
    taking = medians["audit"].wall
    say(f"\naudit: {count_transitions(paths[0])} transitions, {rounds} rounds by turns")
    table(
        ("what", "wall, s", "CPU, s"),
        [(name, f"{each.wall:.2f}", f"{each.cpu:.2f}") for name, each in medians.items()],
    )
    say(
        f"most memory of the audit's process: {memory[0]:.0f} MiB, of a tenth of the runs "
        f"{memory[1]:.0f} MiB"
    )
    return {
        "transitions": count_transitions(paths[0]),
        "rounds": rounds,
        "seconds": {name: asdict(each) for name, each in medians.items()},
        "most_memory_mib": {"all": memory[0], "a tenth": memory[1]},
        "bars": [
            bar("audit, to a scan whose rows are fetched", BAR, taking / medians[FETCHED].wall),
            bar("audit, to the same scan inside SQLite", BAR, taking / medians[SUMMED].wall),
        ],
    }


@dataclass(frozen=True, slots=True)
class Seconds:
    """What something took."""

    wall: float
    """By the clock."""
    cpu: float
    """Of the processor, in this process."""


def make_store(path: Path, runs: int) -> None:
    """Write a store of so many runs."""
    batch: list[Record] = []
    with open_store(path, mode="write") as store:
        for record in records(runs):
            batch.append(record)
            if len(batch) >= 4096:
                store.write(batch)
                batch = []
        store.write(batch)


def count_transitions(path: Path) -> int:
    """Return how many transitions a store holds."""
    with closing(sqlite3.connect(path)) as database:
        ((count,),) = database.execute("SELECT count(*) FROM transitions")
    return int(count)


def _clocked(call: Callable[[], object]) -> Seconds:
    wall, cpu = time.perf_counter(), time.process_time()
    call()
    return Seconds(time.perf_counter() - wall, time.process_time() - cpu)


def _scan(path: Path, statements: Sequence[str]) -> None:
    with closing(sqlite3.connect(path)) as database:
        for sql in statements:
            for _ in database.execute(sql):
                pass


def _memory(path: Path) -> float:
    """Return how many MiB a fresh process needs at most for an audit."""
    done = subprocess.run(  # noqa: S603 - this file
        [sys.executable, __file__, str(path)], stdout=subprocess.PIPE, text=True, check=True
    )
    return int(done.stdout) / 1024


if __name__ == "__main__":
    audit(sys.argv[1])
    # What getrusage says would begin with the memory of the process that started this one.
    most = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    sys.stdout.write(most[1] if most else "0")
