"""Large stores: memory that does not grow with the runs, and samples that say so."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from intervals import Passes

from coordgate.audit import audit
from coordgate.audit.parts import handoff_reports, handoffs_of, table
from coordgate.audit.report import Weakest
from coordgate.audit.tally import KEPT, Row, Tally
from coordgate.audit.whole import weakest
from coordgate.record import Attempt, Record, Run, RunId, Transition
from coordgate.stores import MemoryStore, open_store

NODES = ("a", "b", "c", "d")


def records(runs: int, visits: int, seed: int = 1) -> Iterator[Record]:
    """Yield runs that visit nodes by chance, so often; each hand-over is accepted 9 times in 10."""
    chance = random.Random(seed)  # noqa: S311 - test data
    for place in range(runs):
        run = RunId(f"{place:08x}")
        for number in range(1, visits + 1):
            passed = chance.random() < 0.9
            yield Transition(
                run,
                number,
                None,
                f"x:{number}",
                number,
                chance.choice(NODES) if visits > 4 else NODES[number - 1],
                "accepted" if passed else "observed",
                1.0,
                chance.random(),
                goto=(chance.choice(NODES),) if visits > 4 else (),
                attempts=(Attempt(1, "first", "accepted" if passed else "rejected", 0.1),),
            )
        yield Run(run, "g", None, "observe", "completed", float(place), place + 1.0)


MEASURED = """
import re, sys
from pathlib import Path
from coordgate.audit import audit
assert audit(sys.argv[1]).observed.n == int(sys.argv[2])
print(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""


def test_memory_does_not_grow_with_the_number_of_runs(tmp_path: Path) -> None:
    """An audit of four times as many runs needs hardly more memory, at its highest, in KiB."""
    peaks: list[int] = []
    for runs in (3_000, 12_000):
        path = tmp_path / f"{runs}.db"
        with open_store(path, mode="write") as store:
            store.write(list(records(runs, 4)))
        done = subprocess.run(  # noqa: S603 - code of this file
            [sys.executable, "-c", MEASURED, str(path), str(runs)],
            capture_output=True,
            text=True,
            check=True,
        )
        peaks.append(int(done.stdout))
    # The records of 9,000 more runs would take some 40,000 KiB.
    assert peaks[1] - peaks[0] < 8_000


def test_runs_that_go_too_many_ways_are_sampled_and_it_says_so() -> None:
    """Past 10,000 different courses what is said of whole runs is of a sample, counts of all."""
    store = MemoryStore()
    runs, visits = KEPT + 2_000, 9
    store.write(list(records(runs, visits, seed=2)))
    report = audit(store)
    assert report.sampled
    assert report.runs.completed == runs
    assert sum(node.transitions for node in report.nodes) == runs * visits
    assert report.observed.n == KEPT
    assert report.observed.low < 0.9**visits < report.observed.high
    assert report.product.low < 0.9**visits < report.product.high
    for node in report.nodes:
        assert node.accepted.low < 0.9 < node.accepted.high


def tallied(passes: Passes) -> Tally:
    """Return the tally of runs of four nodes in a row, by which of them passed in each."""
    tally = Tally()
    for run, passed in enumerate(passes):
        rows = [
            Row(
                (run, place),
                str(run),
                "",
                node,
                "accepted" if passed[place] else "observed",
                "[]",
                '["next"]',
                "first",
                "accepted" if passed[place] else "rejected",
                0,
                0.1,
                0.1,
                None,
                None,
                None,
            )
            for place, node in enumerate(NODES)
        ]
        tally.take(rows, "completed", "observe", None, None, 0.0)
    tally.close()
    return tally


def weakest_of(passes: Passes) -> Weakest:
    """Return what an audit of such runs says of the weakest handoff."""
    tally = tallied(passes)
    units = handoffs_of(tally)
    seen = table(units, list(tally.courses.items()))
    return weakest(handoff_reports(tally, units, seen), seen, tally.runs)


@pytest.mark.parametrize(
    ("runs", "rates"), [(60, (0.8, 0.9, 0.98, 0.98)), (100, (0.85, 0.93, 0.99, 0.99))]
)
def test_so_many_more_runs_tell_the_weakest_four_times_in_five(
    runs: int, rates: tuple[float, ...]
) -> None:
    """Audits of as many more runs as were said to be needed name it about as often as was said."""
    chance = np.random.default_rng(3)
    seen = np.ones((runs, len(NODES)), np.bool_)
    for place, rate in enumerate(rates):
        seen[chance.permutation(runs)[: round(runs * (1 - rate))], place] = False
    undecided = weakest_of(seen)
    assert undecided.handoff is None
    assert undecided.more_runs is not None
    named = 0
    for _ in range(60):
        further = chance.random((runs + undecided.more_runs, len(NODES))) < seen.mean(0)
        found = weakest_of(further).handoff
        named += found is not None and found.producer == NODES[0]
    assert 0.65 <= named / 60 <= 0.97


def test_a_weakest_handoff_is_seldom_named_by_chance() -> None:
    """Of four that are equally good one is named in at most 5 audits of 100, less noise."""
    chance = np.random.default_rng(8)
    named = 0
    for _ in range(200):
        found = weakest_of(chance.random((150, len(NODES))) < 0.9)
        named += found.handoff is not None
        assert found.handoff is not None or len(found.candidates) > 1
    assert named <= 10 + 3 * (200 * 0.05 * 0.95) ** 0.5


@pytest.mark.parametrize("share", [0.5, 0.95])
def test_quantiles_are_right_within_one_percent(share: float) -> None:
    """Durations kept in classes give the quantiles of the durations themselves."""
    store = MemoryStore()
    written = list(records(3_000, 4))
    store.write(written)
    node = audit(store).nodes[0]
    taken = [each.seconds for each in written if isinstance(each, Transition) and each.node == "a"]
    exact = float(np.quantile(taken, share, method="inverted_cdf"))
    found = node.p50 if share == 0.5 else node.p95
    assert found == pytest.approx(exact, rel=0.0101)
