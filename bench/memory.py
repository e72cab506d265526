"""Subject 4: whether a process that runs guarded graphs again and again grows.

Run as a program, it is that process: `python bench/memory.py RUNS FILE` writes a line of JSON for
each sample.
"""

from __future__ import annotations

import json
import resource
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from statistics import linear_regression
from typing import Any

from measure import Figures, say, table
from pipeline import QUESTION, STAGES, Stage, Update, declaration, draft, guarded

from coordgate import Feedback, Tracer

SAMPLES = 100
"""How often the memory is looked at."""

QUARTERS = 4
"""The slope is taken of each quarter of the runs apart: the first is the warm-up, a leak shows in
all others, and where the allocator takes one more piece from the system, it shows in one."""

REJECTED = "once"
"""A question with this word has its first draft rejected: failures may leave things behind too."""


def careless(state: Any, feedback: Feedback | None = None) -> Update:
    """Write the draft, on some questions without its citations until told."""
    update = draft(state)
    if feedback is None and REJECTED in state["terms"]:
        update["draft"] = update["draft"].replace("[", "(")
    return update


def run(home: Path, *, runs: int) -> Figures:
    """Run the graph that often in one new process; print its memory along the way."""
    trace = home / "memory.db"
    done = subprocess.run(  # noqa: S603 - this file
        [sys.executable, __file__, str(runs), str(trace)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    *samples, end = [json.loads(line) for line in done.stdout.splitlines()]
    slopes = [_slope(quarter) for quarter in _quarters(samples)]
    say(f"\nmemory: {runs} guarded runs of 6 nodes in one process, one in ten with a retry")
    shown = [*samples[:: max(1, len(samples) // 10)], samples[-1]]
    table(
        ("runs", "RSS, MiB", "CPU, s", "elapsed, s"),
        [
            (
                str(s["runs"]),
                f"{s['rss_kib'] / 1024:.1f}",
                f"{s['cpu_seconds']:.0f}",
                f"{s['seconds']:.0f}",
            )
            for s in shown
        ],
    )
    say(
        f"slope of each quarter, KiB per 1,000 runs: {', '.join(f'{s:+.1f}' for s in slopes)}; "
        f"{end['transitions']} transitions in {end['file_mib']:.0f} MiB"
    )
    return {"runs": runs, "samples": samples, "slopes_kib_per_1000_runs": slopes, **end}


def _quarters(samples: Sequence[Figures]) -> list[Sequence[Figures]]:
    size = len(samples) // QUARTERS
    return [samples[at * size : (at + 1) * size] for at in range(QUARTERS)]


def _slope(samples: Sequence[Figures]) -> float:
    """Return how many KiB 1,000 runs add, by least squares."""
    runs, memory = [each["runs"] for each in samples], [each["rss_kib"] for each in samples]
    return linear_regression(runs, memory).slope * 1000


def main(arguments: Sequence[str]) -> None:
    """Be the process that is watched."""
    runs, path = int(arguments[0]), Path(arguments[1])
    stages = [
        Stage(careless, s.accepts, s.returns, s.rule) if s.body is draft else s for s in STAGES
    ]
    began = time.monotonic()
    with Tracer(path) as tracer:
        app = guarded(stages=stages, declared=declaration, tracer=tracer)
        every = max(1, runs // SAMPLES)
        for at in range(1, runs + 1):
            question = f"{QUESTION} {REJECTED if at % 10 == 0 else ''}"
            app.invoke({"question": question})
            if at % every == 0:
                _say(
                    runs=at,
                    rss_kib=_rss(),
                    seconds=time.monotonic() - began,
                    cpu_seconds=time.process_time(),
                )
    size = path.stat().st_size / 2**20
    with closing(sqlite3.connect(path)) as file:
        ((transitions, attempts),) = file.execute(
            "SELECT (SELECT count(*) FROM transitions), (SELECT count(*) FROM attempts)"
        )
    _say(lost=tracer.lost, transitions=transitions, attempts=attempts, file_mib=size)


def _rss() -> int:
    """Return the resident memory in KiB, now where the system tells it, else the most so far."""
    status = Path("/proc/self/statm")
    if status.exists():
        return int(status.read_text().split()[1]) * resource.getpagesize() // 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _say(**sample: Any) -> None:
    sys.stdout.write(f"{json.dumps(sample)}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
