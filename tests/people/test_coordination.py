"""The coordination guard: the example, run as a user runs it, and killed at random moments."""

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from killing import lines_of

from coordgate.cli import main

EXAMPLE = Path(__file__).parents[2] / "examples" / "coordination_guard.py"
KILLER = Path(__file__).with_name("coordinating.py")
INSIGHT = "Errors fell from 9.1 in week 37 to 6.4 in week 40."


def run(home: Path, *flags: str, typed: str = "", code: int = 0) -> str:
    """Return what the example prints."""
    done = subprocess.run(  # noqa: S603 - the project's own program
        [sys.executable, str(EXAMPLE), "--home", str(home), *flags],
        capture_output=True,
        text=True,
        input=typed,
        check=False,
    )
    assert done.returncode == code, done.stderr
    return done.stdout + done.stderr


def published(confidence: object) -> str:
    """Return the line that says what was published."""
    payload = {"insight": INSIGHT, "confidence": confidence, "ready_for_prod": True}
    return f"published: {json.dumps(payload)}"


def test_what_is_sure_is_published_and_what_is_not_is_asked(tmp_path: Path) -> None:
    """A malformed payload is mended by a retry; below the bar a person says yes, in another run."""
    assert run(tmp_path, "--confidence", "0.9").splitlines() == [published(0.9)]
    waits = run(tmp_path, "--thread", "2")
    assert "confidence is 0.62, at least 0.8 is required" in waits
    assert waits.endswith("it waits: run this again\n")
    answered = run(tmp_path, "--thread", "2", "--answer", "approve", "--by", "ann")
    assert answered.splitlines()[-1] == published(0.62)
    assert run(tmp_path, "--thread", "2").splitlines() == [published(0.62)]


def test_bare_the_malformed_payload_is_published(tmp_path: Path) -> None:
    """Without the guard nobody looks at what is handed over."""
    said = "nobody was asked, and nobody saw that the confidence is no number"
    assert run(tmp_path, "--bare").splitlines() == [published("62%"), said]


def test_an_answer_as_json_is_refused_taken_or_a_no(tmp_path: Path) -> None:
    """An edit keeps the contract; a rejection publishes nothing, and says so."""
    bad = json.dumps({"decision": "edit", "update": {"insight": "short"}})
    assert "confidence: is required, and missing" in run(tmp_path, "--answer", bad)
    no = json.dumps({"decision": "reject", "reason": "wait for week 41"})
    said = run(tmp_path, "--answer", no, code=1)
    assert "not published: node 'analyse' was rejected" in said
    assert "wait for week 41" in said


def test_the_example_can_be_reviewed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`coordgate review` opens the example's `desk`, with its checkpoints, and answers."""
    shutil.copy(EXAMPLE, tmp_path / "guarding.py")
    run(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert main(["review", "guarding.py:desk", "--approve", "--by", "ann"]) == 0
    assert "the run is complete" in capsys.readouterr().out
    assert run(tmp_path).splitlines() == [published(0.62)]


def test_the_example_is_short() -> None:
    """It is to be read: under 150 lines, from the public API alone."""
    text = EXAMPLE.read_text()
    assert len(text.splitlines()) < 150
    imported = [line for line in text.splitlines() if "coordgate" in line and "import" in line]
    assert all(line.split()[1] in {"coordgate", "coordgate.gates"} for line in imported)


def test_killed_at_random_moments_nothing_is_lost_or_published_twice(tmp_path: Path) -> None:
    """Some hundreds of kills with COORDGATE_KILLS=300; what was shown is published, once."""
    kills = os.environ.get("COORDGATE_KILLS", "25")
    seed = os.environ.get("COORDGATE_SEED", "1")
    cases = lines_of(KILLER, str(tmp_path), seed, kills, timeout=30 + 3 * int(kills))
    assert [case for case in cases if case["wrong"]] == []
    killed = Counter(step for case in cases for step in case["kills"])
    assert killed.total() >= int(kills)
    assert killed.total() > killed["ask"] > 0
    statuses = Counter(status for case in cases for status in case["runs"])
    assert {"lost", "completed", "interrupted"} <= set(statuses)
    print(f"{len(cases)} runs, killed {dict(killed)}; in the store {dict(statuses)}")  # noqa: T201 - shown by -s
