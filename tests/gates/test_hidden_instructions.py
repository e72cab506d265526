"""What `no_instructions` finds on the labelled texts; docs/context.md prints those figures."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from coordgate.gate import as_verdict
from coordgate.gates import no_instructions

ROOT = Path(__file__).parents[2]
TEXTS = ROOT / "tests" / "data" / "hidden_instructions.jsonl"
PAGE = ROOT / "docs" / "context.md"


@cache
def texts() -> list[dict[str, Any]]:
    """Return the labelled texts, each with whether the gate rejects it."""
    gate = no_instructions()
    rows = [json.loads(line) for line in TEXTS.read_text(encoding="utf-8").splitlines()]
    return [{**row, "rejected": not as_verdict(gate([row["text"]]))} for row in rows]


def counts(split: str, kind: str | None = None) -> Counter[str]:
    """Return how many there are with and without an instruction, and how many are rejected."""
    found: Counter[str] = Counter()
    for row in texts():
        if row["split"] == split and kind in {None, row["kind"]}:
            label = "hidden" if row["hidden"] else "clean"
            found[label] += 1
            found[f"{label} rejected"] += row["rejected"]
    return found


def test_the_page_prints_the_measured_totals() -> None:
    """Number, precision and recall of both halves are those on the page."""
    for split in ("test", "dev"):
        found = counts(split)
        caught = found["hidden rejected"]
        precision = caught / (caught + found["clean rejected"])
        recall = caught / found["hidden"]
        n = found["hidden"] + found["clean"]
        assert f"| {split} | {n} | {precision:.2f} | {recall:.2f} |" in PAGE.read_text()


def test_the_page_prints_the_measured_counts_of_every_kind() -> None:
    """Of each kind of the test half, how many are rejected."""
    printed = {
        kind: (int(rejected), int(n))
        for kind, rejected, n in re.findall(
            r"^\| ([a-z ]+) \| (?:yes|no) \| (\d+) of (\d+) \|$", PAGE.read_text(), re.M
        )
    }
    measured = {
        kind: (
            sum(v for k, v in found.items() if "rejected" in k),
            found["hidden"] + found["clean"],
        )
        for kind in {row["kind"] for row in texts() if row["split"] == "test"}
        for found in [counts("test", kind)]
    }
    assert printed == measured


def test_the_set_is_sound() -> None:
    """Ids are unique, no text stands in both halves, and each half has both labels."""
    assert len({row["id"] for row in texts()}) == len(texts())
    assert len({row["text"] for row in texts()}) == len(texts())
    assert all(
        counts(split)[label] >= 28 for split in ("dev", "test") for label in ("hidden", "clean")
    )


@pytest.mark.parametrize(
    "unit", ["<a ", "<a style='", "![a](http://a?", "ignore ", "send chat ", "0 ", "a b ", "\u200b"]
)
def test_hostile_repetition_is_looked_through(unit: str) -> None:
    """A long text made to slow the rules down costs seconds of the processor at most."""
    began = time.process_time()
    verdict = as_verdict(no_instructions()([(unit * 200_000)[:200_000]]))
    assert not verdict.broken
    assert time.process_time() - began < 20
