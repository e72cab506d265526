"""The evidence: measures what gates bring to a pipeline of faulty steps, and writes the page of it.

`python evidence/run.py [--runs N] [--seed N] [--to DIR] [--json FILE]`: thousands of runs of real
graphs for each point; the figures of docs/evidence.md are those measured
here, and the same seed gives the same.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from itertools import repeat
from pathlib import Path

import charts
import page
from pipeline import Measured, Point, measure
from points import OTHER_SEEDS, again, all_points

DOCS = Path(__file__).parents[1] / "docs"


def measured(points: list[Point], runs: int, seed: int, workers: int) -> dict[str, Measured]:
    """Measure points, several at once, each in a process of its own; some with other seeds too."""
    work = [(each.name, each, seed) for each in points]
    work += [(f"{each.name} by {one}", each, one) for one in OTHER_SEEDS for each in again()]
    found: dict[str, Measured] = {}
    names, given, seeds = zip(*work, strict=True)
    with ProcessPoolExecutor(workers) as pool:
        for name, each in zip(names, pool.map(measure, given, repeat(runs), seeds), strict=True):
            found[name] = each
            sys.stderr.write(f"{name}: {each.correct} of {each.runs} right\n")
    return found


def main() -> None:
    """Measure, draw, and write the page."""
    parser = argparse.ArgumentParser(description="Measure what docs/evidence.md says.")
    parser.add_argument("--runs", type=int, default=6000, help="how many runs for each point")
    parser.add_argument("--seed", type=int, default=20261121, help="of all chance")
    parser.add_argument("--json", type=Path, help="a file for every count")
    parser.add_argument("--to", type=Path, default=DOCS, help="the folder of the page")
    arguments = parser.parse_args()
    found = measured(all_points(), arguments.runs, arguments.seed, os.cpu_count() or 1)
    if arguments.json is not None:
        counts = {name: asdict(each) for name, each in found.items()}
        arguments.json.write_text(json.dumps(counts, indent=2), encoding="utf-8")
    arguments.to.mkdir(parents=True, exist_ok=True)
    charts.detection(found, arguments.to / "evidence-detection.svg")
    charts.persistent(found, arguments.to / "evidence-persistent.svg")
    text = page.written(found, runs=arguments.runs, seed=arguments.seed)
    (arguments.to / "evidence.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
