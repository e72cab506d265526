"""The evidence: that its command measures what the page says, on few runs of every point."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from coordgate.audit.intervals import rate
from coordgate.audit.reliability import GateModel, reliability

ROOT = Path(__file__).parents[2]
RUNS = 40


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder that the command has written to."""
    folder = tmp_path_factory.mktemp("evidence")
    command = [sys.executable, "evidence/run.py", "--runs", str(RUNS), "--to", str(folder)]
    subprocess.run(  # noqa: S603 - the project's own program
        [*command, "--json", str(folder / "counts.json")], cwd=ROOT, check=True, capture_output=True
    )
    return folder


@pytest.fixture(scope="module")
def counts(made: Path) -> dict[str, dict[str, int]]:
    """Give every count."""
    found: dict[str, Any] = json.loads((made / "counts.json").read_text())
    return found


def shape(page: str) -> str:
    """Return a page without its figures."""
    return re.sub(r"\d[\d.,]*", "#", page)


def test_the_page_is_what_the_command_writes(made: Path) -> None:
    """The page in docs/ is of this template, figures aside, and the charts are there."""
    written = (made / "evidence.md").read_text()
    assert shape((ROOT / "docs" / "evidence.md").read_text()) == shape(written)
    for name in ("evidence-detection.svg", "evidence-persistent.svg"):
        ElementTree.parse(made / name)  # noqa: S314 - written by the command
        assert (ROOT / "docs" / name).exists()


def test_every_run_ends_in_one_way(counts: dict[str, dict[str, int]]) -> None:
    """Right, wrong or stopped: together they are the runs, and a step runs at least once."""
    assert len(counts) >= 30
    for each in counts.values():
        assert each["correct"] + each["wrong"] + each["stopped"] == each["runs"] == RUNS
    assert counts["bare"]["stopped"] == 0
    assert counts["bare"]["calls"] == 6 * RUNS


def test_the_figures_of_the_page_are_those_measured(
    made: Path, counts: dict[str, dict[str, int]]
) -> None:
    """A row of a table says the counts, with their interval."""
    bare = counts["bare"]
    seen = rate(bare["correct"], RUNS)
    told = f"{bare['correct'] / RUNS:.1%} [{seen.low:.1%}, {seen.high:.1%}]"
    assert f"| 1 (bare) | - | {told} |" in (made / "evidence.md").read_text()


@pytest.mark.parametrize("detection", [0.3, 0.8, 1.0])
def test_what_is_measured_is_what_the_chain_says(
    counts: dict[str, dict[str, int]], detection: float
) -> None:
    """Real graphs under gates of stated rates do what an absorbing chain computes."""
    seen = counts[f"detect {detection} in 3"]
    paper = reliability([0.97] * 6, gates=GateModel(detection, 0.02, 3))
    for count, share in (("correct", paper.end_to_end), ("stopped", paper.stopped)):
        wide = rate(seen[count], RUNS, confidence=0.999)
        assert wide.low <= share <= wide.high
    assert seen["calls"] / RUNS == pytest.approx(paper.calls, abs=0.4)


def test_gates_that_err_on_the_same_outputs_are_one_gate(
    counts: dict[str, dict[str, int]],
) -> None:
    """A second one with the same blind spots changes nothing."""
    assert counts["two alike"] == counts["detect 0.8 in 3"]
    assert counts["two apart"] != counts["two alike"]
