"""The benchmark: `python bench/run.py [--rounds N] [--quick] [--json FILE] [--only SUBJECT]`.

Measured by turns, in shuffled order, in one process; docs/benchmarks.md tells how to read it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import audit
import graphs
import imports
import memory
import parts
import peers
import turns
import view
from measure import Figures, say

SUBJECTS = ("turns", "graphs", "parts", "peers", "imports", "memory", "audit", "view")
"""What is measured, in this order."""

PACKAGES = (
    "coordgate",
    "langgraph",
    "langgraph-checkpoint-sqlite",
    "langchain-core",
    "pydantic",
    "tenacity",
    "stamina",
    "guardrails-ai",
)
"""Whose versions are told, where they are installed."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured."""

    rounds: int
    """Windows of each variant."""
    window: float
    """About how long a window of the bare graph lasts, in seconds."""
    turns: int
    """How many rounds of single runs stand for one."""
    finer: int
    """How many rounds of a few runs stand for one, where parts are told apart."""
    imports: int
    """Fresh processes for each import."""
    runs: int
    """Runs in the process whose memory is watched."""
    audited: int
    """Transitions in the store that is audited."""


FULL = Size(
    rounds=30, window=0.25, turns=100, finer=15, imports=15, runs=100_000, audited=1_000_000
)
QUICK = Size(rounds=5, window=0.02, turns=10, finer=2, imports=2, runs=200, audited=6_000)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure what the command line asks for; return 1 if a bar is missed."""
    asked = _arguments(argv)
    size = QUICK if asked.quick else FULL
    rounds = asked.rounds or size.rounds
    found: Figures = {"machine": machine(), "quick": asked.quick}
    for name, value in found["machine"].items():
        say(f"{name}: {value}")
    home = Path(tempfile.mkdtemp(prefix="coordgate-bench-"))
    subjects: dict[str, Callable[[], Figures]] = {
        "turns": lambda: turns.run(home, rounds=rounds * size.turns),
        "graphs": lambda: graphs.run(home, rounds=rounds, window=size.window),
        "parts": lambda: parts.run(home, rounds=rounds * size.finer),
        "peers": lambda: peers.run(home, rounds=rounds, window=size.window / 5),
        "imports": lambda: imports.run(home, rounds=asked.rounds or size.imports),
        "memory": lambda: memory.run(home, runs=size.runs),
        "audit": lambda: audit.run(home, transitions=size.audited, rounds=min(rounds, 5)),
        "view": lambda: view.run(home, transitions=size.audited, rounds=min(rounds, 20)),
    }
    bars: list[Figures] = []
    try:
        for subject in [asked.only] if asked.only else SUBJECTS:
            found[subject] = subjects[subject]()
            bars += found[subject].get("bars", ())
    finally:
        shutil.rmtree(home, ignore_errors=True)
    found["load at the end"] = _load()
    say(f"\nload at the end: {found['load at the end']}")
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 0 if all(each["met"] for each in bars) else 1


def machine() -> dict[str, str]:
    """Return what the figures depend on."""
    return {
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "system": f"{platform.system()} {platform.machine()}",
        "Python": f"{platform.python_version()} ({platform.python_implementation()})",
        "packages": ", ".join(filter(None, map(_version, PACKAGES))),
        "SQLite": sqlite3.sqlite_version,
        "load": _load(),
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def _version(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return ""


def _load() -> str:
    return " ".join(f"{value:.1f}" for value in os.getloadavg())


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure what coordgate costs.")
    parser.add_argument("--rounds", type=int, help="windows of each variant (default 30)")
    parser.add_argument("--quick", action="store_true", help="a short look; the figures are rough")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures to FILE too")
    parser.add_argument("--only", choices=SUBJECTS, help="measure this subject only")
    return parser.parse_args(argv)


if __name__ == "__main__":
    raise SystemExit(main())
