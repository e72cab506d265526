"""One run of LangGraph's suite, bare or guarded, and what came of each test."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from environment import Environment

HERE = Path(__file__).resolve().parent

Variant = Literal["bare", "observe", "observe-reject", "enforce", "reject"]
"""How the graphs run: bare, or guarded with nothing declared, observing or enforcing.

In the other two every node has a gate that passes nothing. Observed, with a policy on top, nothing
may change; enforced, most tests must fail, which shows that the suite exercises the guard.
"""

PER_TEST = 30
"""Seconds after which one test is given up."""

EVERY = 15.0
"""Seconds between two lines of progress."""

HUSHED = ("LANGSMITH_", "LANGCHAIN_", "LANGGRAPH_", "OPENAI_", "OTEL_", "PYTEST_", "COORDGATE_")
"""Prefixes of the environment variables that would change what the tests do."""


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one test."""

    outcome: str
    """`passed`, `failed`, `skipped` or `error`; `error` is a failure around the test itself."""
    seconds: float
    """How long it took, set-up and tear-down included."""
    error: str = ""
    """The line that says what went wrong."""
    trace: str = ""
    """The whole traceback."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one run of the suite."""

    variant: Variant
    """How the graphs ran."""
    results: Mapping[str, Result]
    """By test id."""
    seconds: float
    """By the wall clock."""
    guarded: Mapping[str, int]
    """What the guards did: graphs guarded, records traced; empty for bare."""
    stopped: bool = False
    """True if the run was stopped because it exceeded its time."""

    def counts(self) -> dict[str, int]:
        """Return how many tests had each outcome."""
        seen = Counter(result.outcome for result in self.results.values())
        return {name: seen[name] for name in ("passed", "failed", "skipped", "error")}


class SuiteFailed(Exception):
    """pytest could not run the suite at all; the message holds the end of its output."""


def run(
    environment: Environment,
    variant: Variant,
    into: Path,
    say: Callable[[str], None],
    *,
    workers: int,
    tests: Sequence[str] = (),
    limit: float = 600.0,
) -> Outcome:
    """Run the tests (all of them if none are named) and return what came of each.

    Raises:
        SuiteFailed: not one test ran.
    """
    into.mkdir(parents=True)
    lines = into / "results.jsonl"
    lines.touch()
    chosen = into / "tests.txt"
    chosen.write_text("\n".join(tests or ["tests"]))
    # A file's tests stay in one process and in their order, so that what one leaves behind is seen.
    command = [
        *(str(environment.python), "-m", "pytest", f"@{chosen}", "-p", "record"),
        *(() if variant == "bare" else ("-p", "plugin")),
        *("-o", "addopts=", "--strict-markers", "--snapshot-warn-unused", "-q", "--tb=native"),
        *("-p", "no:cacheprovider", f"--timeout={PER_TEST}"),
        *(("-n", str(workers), "--dist", "loadfile") if workers else ()),
    ]
    began = time.monotonic()
    with (into / "pytest.log").open("w") as log:
        process = subprocess.Popen(  # noqa: S603 - no shell
            command,
            cwd=environment.source,
            env=_variables(variant, into, lines),
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            stopped = _wait(process, lines, began, limit, say, variant)
        finally:
            if process.poll() is None:
                _stop(process)
    seconds = time.monotonic() - began
    results = _read(lines)
    if not results:
        end = "\n".join((into / "pytest.log").read_text(errors="replace").splitlines()[-30:])
        raise SuiteFailed(f"{variant}: no test ran. The end of pytest's output:\n{end}")
    guarded: Counter[str] = Counter()
    for part in into.glob("guarded-*.json"):
        guarded.update(json.loads(part.read_text()))
    return Outcome(variant, results, seconds, dict(guarded), stopped)


def _variables(variant: Variant, into: Path, lines: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(HUSHED)}
    return kept | {
        "NO_DOCKER": "true",
        "LANGSMITH_TRACING": "false",
        "PYTHONPATH": str(HERE),
        "PYTHONDONTWRITEBYTECODE": "1",
        "COORDGATE_DROPIN_VARIANT": variant,
        "COORDGATE_DROPIN_RESULTS": str(lines),
        "COORDGATE_DROPIN_INTO": str(into),
    }


def _wait(
    process: subprocess.Popen[bytes],
    lines: Path,
    began: float,
    limit: float,
    say: Callable[[str], None],
    variant: Variant,
) -> bool:
    """Wait for the run, saying how far it is; return whether it takes too long."""
    while True:
        try:
            process.wait(timeout=EVERY)
        except subprocess.TimeoutExpired:
            spent = time.monotonic() - began
            ended = lines.read_bytes().count(b"\n")
            say(f"{variant}: {ended} tests ended, {spent:.0f} s")
            if spent > limit:
                return True
        else:
            return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Stop a run and its workers: they are in its session, which is its own."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _read(lines: Path) -> dict[str, Result]:
    results: dict[str, Result] = {}
    for line in lines.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        test = entry.pop("id")
        results[test] = Result(**entry)
    return results
