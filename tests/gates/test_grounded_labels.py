"""What `grounded_in` finds on the labelled pairs, and that docs/gates.md prints those figures."""

from __future__ import annotations

import json
import re
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from coordgate.gate import as_verdict
from coordgate.gates import grounded_in

ROOT = Path(__file__).parents[2]
PAIRS = ROOT / "tests" / "data" / "groundedness.jsonl"
PAGE = ROOT / "docs" / "gates.md"
PLAIN = {"verbatim", "light paraphrase", "heavy paraphrase", "plain unsupported"}


@cache
def pairs() -> list[dict[str, Any]]:
    """Return the labelled pairs."""
    return [json.loads(line) for line in PAIRS.read_text(encoding="utf-8").splitlines()]


@cache
def accepted() -> dict[str, bool]:
    """Return, for each pair, whether the gate accepts its sentence."""
    asked = grounded_in("context", key="answer")
    return {
        pair["id"]: as_verdict(
            asked({"answer": pair["sentence"]}, {"context": pair["context"]})
        ).passed
        for pair in pairs()
    }


def counts(split: str, kinds: set[str] | None = None) -> tuple[int, int, int, int]:
    """Return supported, of these accepted, unsupported, and of these rejected."""
    chosen = [p for p in pairs() if p["split"] == split and (kinds is None or p["kind"] in kinds)]
    supported = [p for p in chosen if p["supported"]]
    unsupported = [p for p in chosen if not p["supported"]]
    return (
        len(supported),
        sum(accepted()[p["id"]] for p in supported),
        len(unsupported),
        sum(not accepted()[p["id"]] for p in unsupported),
    )


def rows(split: str) -> dict[str, tuple[int, int, int, int]]:
    """Return the rows that the page's table must have."""
    kinds = sorted({p["kind"] for p in pairs()})
    adversarial = set(kinds) - PLAIN
    made = {kind: counts(split, {kind}) for kind in kinds}
    made["all plain"] = counts(split, PLAIN)
    made["all adversarial"] = counts(split, adversarial)
    made["all"] = counts(split)
    return made


def precision_and_recall(split: str, kinds: set[str] | None = None) -> tuple[float, float]:
    """Return precision and recall of calling a sentence unsupported."""
    supported, passed, unsupported, caught = counts(split, kinds)
    return caught / (caught + supported - passed), caught / unsupported


def printed_rows() -> dict[str, tuple[int, ...]]:
    """Return the table of the page: kind, and its four figures."""
    found = re.findall(
        r"^\| ([a-z -]+?) +\| (\d+) of (\d+) +\| (\d+) of (\d+) +\|$", PAGE.read_text(), re.M
    )
    return {kind: tuple(map(int, figures)) for kind, *figures in found}


def test_the_page_prints_the_measured_counts_of_every_kind() -> None:
    """Accepted of supported, and rejected of unsupported, on the test split, row by row."""
    measured = {
        kind: (passed, supported, caught, unsupported)
        for kind, (supported, passed, unsupported, caught) in rows("test").items()
    }
    assert printed_rows() == measured


@pytest.mark.parametrize("split", ["test", "dev"])
def test_the_page_prints_the_measured_precision_and_recall(split: str) -> None:
    """Two decimals, with the number of pairs, for each split."""
    precision, recall = precision_and_recall(split)
    number = sum(p["split"] == split for p in pairs())
    expected = f"| {split} | {number} | {precision:.2f} | {recall:.2f} |"
    assert expected in re.sub(r" +", " ", PAGE.read_text())


def test_the_page_prints_the_adversarial_half_apart() -> None:
    """Precision and recall on the adversarial pairs of the test split."""
    adversarial = {p["kind"] for p in pairs()} - PLAIN
    precision, recall = precision_and_recall("test", adversarial)
    number = sum(p["split"] == "test" and p["kind"] in adversarial for p in pairs())
    expected = f"| test, adversarial | {number} | {precision:.2f} | {recall:.2f} |"
    assert expected in re.sub(r" +", " ", PAGE.read_text())


def test_the_gate_stays_above_its_floor() -> None:
    """On pairs that it was not tuned on, precision and recall do not fall below these."""
    precision, recall = precision_and_recall("test")
    assert precision >= 0.78
    assert recall >= 0.88


def test_every_verbatim_sentence_is_accepted_in_both_splits() -> None:
    """A quotation is never rejected."""
    for split in ("dev", "test"):
        supported, passed, _, _ = counts(split, {"verbatim"})
        assert supported == passed > 0


def test_the_labels_are_balanced_and_the_splits_share_no_passage() -> None:
    """About half adversarial, about half supported, every id once, no context in both splits."""
    every = pairs()
    assert len(every) >= 160
    assert max(Counter(p["id"] for p in every).values()) == 1
    adversarial = [p for p in every if p["kind"] not in PLAIN]
    assert 0.45 <= len(adversarial) / len(every) <= 0.6
    for group in (every, adversarial):
        assert 0.4 <= sum(p["supported"] for p in group) / len(group) <= 0.6
    contexts = {
        split: {p["context"] for p in every if p["split"] == split} for split in ("dev", "test")
    }
    assert not contexts["dev"] & contexts["test"]
    assert {p["split"] for p in every} == {"dev", "test"}


def test_verbatim_pairs_are_verbatim() -> None:
    """What is labelled verbatim stands in its context."""
    for pair in pairs():
        if pair["kind"] == "verbatim":
            assert pair["sentence"] in pair["context"]
