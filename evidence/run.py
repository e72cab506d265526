"""The evidence: `python evidence/run.py [--runs N] [--seed N] [--to DIR]` measures and writes it.

Thousands of runs of real graphs for each point; the figures of docs/evidence.md are those measured
here, and the same seed gives the same.
"""

from __future__ import annotations

import argparse
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import charts
import page
from pipeline import Measured, Point, measure
from points import all_points

DOCS = Path(__file__).parents[1] / "docs"


def measured(points: list[Point], runs: int, seed: int, workers: int) -> dict[str, Measured]:
    """Measure points, several at once, each in a process of its own."""
    found: dict[str, Measured] = {}
    work = partial(measure, runs=runs, seed=seed)
    with ProcessPoolExecutor(workers) as pool:
        for point, each in zip(points, pool.map(work, points), strict=True):
            found[point.name] = each
            sys.stderr.write(f"{point.name}: {each.correct} of {each.runs} right\n")
    return found


def main() -> None:
    """Measure, draw, and write the page."""
    parser = argparse.ArgumentParser(description="Measure what docs/evidence.md says.")
    parser.add_argument("--runs", type=int, default=4000, help="how many runs for each point")
    parser.add_argument("--seed", type=int, default=1, help="of all chance")
    parser.add_argument("--to", type=Path, default=DOCS, help="the folder of the page")
    arguments = parser.parse_args()
    found = measured(all_points(), arguments.runs, arguments.seed, os.cpu_count() or 1)
    arguments.to.mkdir(parents=True, exist_ok=True)
    charts.detection(found, arguments.to / "evidence-detection.svg")
    charts.persistent(found, arguments.to / "evidence-persistent.svg")
    text = page.written(found, runs=arguments.runs, seed=arguments.seed)
    (arguments.to / "evidence.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
