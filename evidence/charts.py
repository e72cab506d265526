"""The charts of the page, as SVG: the same figures give the same file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import matplotlib as mpl

mpl.use("svg")

import matplotlib.pyplot as plt
from pipeline import RATE, STEPS, Measured
from points import ATTEMPTS, DETECTION, FALSE_ALARM, SHARES

from coordgate.audit.intervals import rate
from coordgate.audit.reliability import GateModel, reliability

mpl.rcParams |= {
    "svg.hashsalt": "coordgate",
    "svg.fonttype": "none",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
_COLOURS = {"correct": "#2a7f62", "stopped": "#e0a458", "wrong": "#b3432b"}
_LINES = {2: "#6a7fb5", 3: "#2a7f62"}


def detection(found: Mapping[str, Measured], path: Path) -> None:
    """Draw how often a run is right, by how much of what is wrong the gates detect."""
    figure, axes = plt.subplots(figsize=(7, 4))
    fine = [0.25 + 0.01 * step for step in range(76)]
    for attempts in ATTEMPTS:
        seen = [found[f"detect {each} in {attempts}"] for each in DETECTION]
        rates = [rate(each.correct, each.runs) for each in seen]
        estimates = [each.correct / each.runs for each in seen]
        low = [e - r.low for e, r in zip(estimates, rates, strict=True)]
        high = [r.high - e for e, r in zip(estimates, rates, strict=True)]
        told = f"measured, {attempts} attempts"
        axes.errorbar(
            DETECTION,
            estimates,
            (low, high),
            fmt="o",
            color=_LINES[attempts],
            label=told,
            capsize=3,
        )
        paper = [
            reliability([RATE] * len(STEPS), gates=GateModel(d, FALSE_ALARM, attempts)).end_to_end
            for d in fine
        ]
        axes.plot(fine, paper, color=_LINES[attempts], lw=1, label=f"on paper, {attempts} attempts")
    bare = found["bare"].correct / found["bare"].runs
    axes.axhline(bare, color="#888", ls="--", lw=1)
    axes.text(0.26, bare + 0.003, "bare, measured", color="#555")
    axes.axhline(0.96, color="#888", ls=":", lw=1)
    axes.text(0.26, 0.963, "96%", color="#555")
    axes.set(xlabel="share of wrong outputs that a gate rejects", ylabel="runs that end right")
    axes.legend(frameon=False, loc="lower right")
    _save(figure, path)


def persistent(found: Mapping[str, Measured], path: Path) -> None:
    """Draw what becomes of runs, by how many of the faults come again on every attempt."""
    figure, axes = plt.subplots(figsize=(7, 3.6))
    seen = [found["bare"], *(found[f"persistent {share}"] for share in SHARES)]
    names = ["bare", *(f"{share:.0%}" for share in SHARES)]
    base = [0.0] * len(seen)
    for kind in ("correct", "stopped", "wrong"):
        shares = [getattr(each, kind) / each.runs for each in seen]
        axes.bar(names, shares, bottom=base, color=_COLOURS[kind], label=kind, width=0.6)
        base = [b + s for b, s in zip(base, shares, strict=True)]
    axes.set(
        ylim=(0.75, 1.0),
        xlabel="faults that come again on every attempt",
        ylabel="share of runs, from 75%",
    )
    axes.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, 1.14), ncols=3)
    _save(figure, path)


def _save(figure: plt.Figure, path: Path) -> None:
    figure.savefig(
        path, format="svg", bbox_inches="tight", metadata={"Date": None, "Creator": None}
    )
    plt.close(figure)
    lines = [line.rstrip() for line in path.read_text().splitlines()]
    path.write_text("\n".join(lines) + "\n")
