"""A program that kills an eval at several points, and starts the same command again each time.

Run as `killed_eval.py APP CASES`. What came of each point is printed, a line of JSON for each.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from pathlib import Path
from typing import Any

from killing import apart

import coordgate.commands.eval
import coordgate.testing.faults  # noqa: F401 - what the forks need is loaded once
from coordgate import open_store
from coordgate.cli import main
from coordgate.labels import labels_beside, read_labels


def evaluate(app: str, cases: str, parallel: int, dies: int | None) -> Any:
    """Run the command; the app kills its process at its `dies`-th run."""
    if dies is not None:
        os.environ["DIE_AT"] = str(dies)
    out = io.StringIO()
    arguments = [f"{app}:bare", "--cases", cases, "--scorer", f"{app}:right", "--runs", "3"]
    with contextlib.redirect_stdout(out):
        code = main(["eval", *arguments, "--parallel", str(parallel), "--json"])
    assert code == 0
    return json.loads(out.getvalue())


def labels(here: Path) -> list[Any]:
    """Return what has been put down in a folder."""
    found = read_labels(labels_beside(here / "eval.db"))
    return [[label.run, label.case, label.repetition] for label in found]


def killed(app: str, cases: str, parallel: int, dies: int) -> dict[str, Any]:
    """Kill the command at one point, start it again, and tell what there is then."""
    here = Path(f"{parallel}-{dies}").resolve()
    here.mkdir()
    os.chdir(here)
    first = apart(lambda: evaluate(app, cases, parallel, dies))
    before = labels(here)
    second = apart(lambda: evaluate(app, cases, parallel, None))
    with open_store("eval.db") as store:
        completed = [run.id for run in store.runs(status="completed")]
    os.chdir(here.parent)
    return {
        "parallel": parallel,
        "dies": dies,
        "killed": first.killed,
        "before": before,
        "labels": labels(here),
        "completed": completed,
        "ran": len((here / "ran").read_text()),
        "report": second.value,
    }


if __name__ == "__main__":
    for at_once, point in ((1, 1), (1, 17), (3, 17), (3, 30)):
        sys.stdout.write(json.dumps(killed(sys.argv[1], sys.argv[2], at_once, point)) + "\n")
