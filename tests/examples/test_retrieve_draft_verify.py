"""The company brief: the program under examples/, run as a user runs it."""

import os
import re
import subprocess
import sys
from pathlib import Path

PROGRAM = Path(__file__).parents[2] / "examples" / "retrieve_draft_verify.py"


def run(*flags: str) -> subprocess.CompletedProcess[str]:
    """Run the program without a real model."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("OPENAI_")}
    return subprocess.run(  # noqa: S603 - the project's own program
        [sys.executable, str(PROGRAM), *flags],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )


def judged(shown: str) -> list[str]:
    """Return what the gates say of what went out."""
    return re.findall(r"judged afterwards, \w+\(.*?\): (.*)", shown)


def test_it_writes_a_brief_that_rests_on_the_facts() -> None:
    """Without faults each node hands over at once, and each sentence cites its fact."""
    shown = run("--faults", "0")
    assert shown.returncode == 0, shown.stderr
    assert [line.split()[:3] for line in shown.stdout.splitlines()[:3]] == [
        ["retrieve", "1", "first"],
        ["draft", "1", "first"],
        ["verify", "1", "first"],
    ]
    assert "Gothenburg [" in shown.stdout
    assert "verified: True" in shown.stdout
    assert judged(shown.stdout) == ["passed", "passed"]


def test_a_made_up_sentence_is_named_and_the_brief_recovers() -> None:
    """As it stands the writer goes wrong three times, and the quoted facts take its place."""
    shown = run()
    assert shown.returncode == 0, shown.stderr
    drafts = [line for line in shown.stdout.splitlines() if line.startswith("draft ")]
    assert "1 of 4 sentences of draft are not supported" in drafts[0]
    assert [line.split()[2] for line in drafts[:4]] == [
        "first",
        "retry",
        "retry",
        "fallback:quote_facts",
    ]
    assert "Gothenburg [" in shown.stdout
    assert judged(shown.stdout) == ["passed", "passed"]


def test_without_the_guard_an_empty_brief_goes_out_as_verified() -> None:
    """Bare, the same run ends in nothing at all, calls it verified, and the judge after says so."""
    shown = run("--bare")
    assert shown.returncode == 0, shown.stderr
    assert "(an empty brief)" in shown.stdout
    assert "verified: True" in shown.stdout
    assert judged(shown.stdout) == ["draft has no sentence to check"] * 2


def test_an_unknown_company_ends_in_an_error_that_says_why() -> None:
    """Where no fact is found the first gate refuses, and nothing is drafted."""
    shown = run("--company", "Zzyzx")
    assert shown.returncode == 1
    assert "context is empty" in shown.stderr
    assert "draft" not in shown.stdout


def test_it_stays_short() -> None:
    """The program is one that can be read in a sitting."""
    assert len(PROGRAM.read_text().splitlines()) < 150
