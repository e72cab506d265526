"""Trials: each case, as often as wanted, by each variant of the graph; and which are done."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic_core import to_json

from coordgate.evals.cases import Case
from coordgate.labels import Label

Variant = Literal["guarded", "bare"]
"""Which graph: as it is guarded, or what it does without (`mode="observe"`)."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One case, asked once more."""

    case: Case
    """What is asked."""
    repetition: int
    """The how manyeth time, from 0."""
    variant: Variant
    """Which graph is asked."""

    @property
    def key(self) -> tuple[str, int, str]:
        """What tells it from the others."""
        return (self.case.id, self.repetition, self.variant)

    def seed(self, seed: int) -> int:
        """Return the seed of its run: of both variants the same."""
        text = f"{seed}/{self.case.id}/{self.repetition}"
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4])


def trials_of(cases: Sequence[Case], runs: int, variants: Sequence[Variant]) -> list[Trial]:
    """Return all trials; those that are compared stand beside each other."""
    return [
        Trial(case, repetition, variant)
        for repetition in range(runs)
        for case in cases
        for variant in variants
    ]


def fingerprint(app: str, scorer: str, cases: Iterable[Case], *settings: object) -> str:
    """Return what tells an experiment from others: its graph's file, scorer, cases and settings."""
    digest = hashlib.sha256(repr(settings).encode())
    for target in (app, scorer):
        digest.update(target.encode())
        path = Path(target.rpartition(":")[0])
        if path.suffix == ".py" and path.is_file():
            digest.update(path.read_bytes())
    for case in cases:
        digest.update(to_json([case.id, case.input, case.expected], serialize_unknown=True))
    return digest.hexdigest()[:8]


def experiment_of(
    mark: str, labels: Sequence[Label], wanted: Sequence[Trial]
) -> tuple[str, list[Trial]]:
    """Return the experiment to go on with, and which trials it still lacks.

    It is the latest one of the same fingerprint if that is not complete, and else a new one.
    """
    latest = 0
    done: set[tuple[str | None, int | None, str | None]] = set()
    for label in labels:
        found = re.fullmatch(rf"{mark}-(\d+)", label.experiment or "")
        if found is None or label.node is not None:
            continue
        if int(found[1]) > latest:
            latest = int(found[1])
            done.clear()
        done.add((label.case, label.repetition, label.variant))
    left = [trial for trial in wanted if trial.key not in done]
    if latest and left:
        return f"{mark}-{latest}", left
    return f"{mark}-{latest + 1}", list(wanted)
