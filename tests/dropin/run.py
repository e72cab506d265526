"""Run LangGraph's own suite bare and with every node guarded, and name every difference."""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

from comparison import Kind, Unlike, reason_for, unlike, unused, with_repeat
from environment import CHECKOUT, Environment, EnvironmentFailed, prepare
from suite import Outcome, Result, SuiteFailed, Variant, run

REASONS = Path(__file__).resolve().parent / "enforce_differences.toml"
"""Why each test that differs in enforce mode with nothing declared has to."""

REPEATS = 2
"""How often a test that came out unlike is run again, each way."""

REPEATED = 400
"""How many tests are run again at most; where more came out unlike, they are not flaky."""

STRAYS = 3
"""How many tests may fail guarded once and in no repeat: a loaded machine makes a few, a race in
the guard makes many."""

POWER = 0.5
"""The part of the passing tests that a reject-everything gate must make fail, at least."""

BEGAN = time.monotonic()


def main(argv: Sequence[str] | None = None) -> int:
    """Run what the command line asks for; return 1 if the bar is not met, 2 if it cannot run."""
    asked = _arguments(argv)
    home = CHECKOUT / "build" / "dropin"
    home.mkdir(parents=True, exist_ok=True)
    into = asked.keep.resolve() if asked.keep else Path(tempfile.mkdtemp(prefix="run-", dir=home))
    try:
        return _judge(asked, home, into)
    except (EnvironmentFailed, SuiteFailed) as error:
        say(f"cannot run: {error}")
        return 2
    finally:
        if not asked.keep:
            shutil.rmtree(into, ignore_errors=True)


def say(line: str) -> None:
    """Print one line with the seconds since the start, at once."""
    sys.stdout.write(f"[{time.monotonic() - BEGAN:4.0f} s] {line}\n")
    sys.stdout.flush()


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests/dropin/run.py", description=__doc__)
    parser.add_argument(
        "--mode",
        choices=("bare", "observe", "observe-reject", "enforce", "both", "all"),
        default="observe",
        help="bare: only the baseline; observe-reject: observe, with a gate on every node that "
        "passes nothing; both: observe and enforce; all: the three (default: %(default)s)",
    )
    parser.add_argument(
        "--langgraph", metavar="VERSION", help="default: the version in the running environment"
    )
    parser.add_argument(
        "--python", default=sys.executable, metavar="EXE", help="default: the running interpreter"
    )
    parser.add_argument("--workers", type=int, default=2, help="default: %(default)s")
    parser.add_argument(
        "--power", action="store_true", help="also show that a reject-everything gate fails most"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the outcome there")
    parser.add_argument(
        "--keep", type=Path, metavar="DIR", help="keep results, logs and traces in this new folder"
    )
    parser.add_argument(
        "tests", nargs="*", help="pytest ids or files, such as tests/test_state.py (default: all)"
    )
    asked = parser.parse_args(argv)
    if asked.keep and asked.keep.exists() and any(asked.keep.iterdir()):
        parser.error(f"--keep {asked.keep}: the folder is not empty")
    if asked.langgraph is None:
        try:
            asked.langgraph = metadata.version("langgraph")
        except metadata.PackageNotFoundError:
            parser.error("langgraph is not installed here; say --langgraph VERSION")
    return asked


def _judge(asked: argparse.Namespace, home: Path, into: Path) -> int:
    """Run the variants in turn, each compared with the bare run; return the exit code."""
    modes: dict[str, tuple[Variant, ...]] = {
        "bare": (),
        "both": ("observe", "enforce"),
        "all": ("observe", "observe-reject", "enforce"),
    }
    variants: tuple[Variant, ...] = modes.get(asked.mode, (asked.mode,))
    guarded = bool(variants) or asked.power
    environment = prepare(home, asked.python, asked.langgraph, say, guarded=guarded)
    say(f"langgraph {environment.langgraph}, Python {environment.interpreter}, NO_DOCKER=true")
    bare = run(environment, "bare", into / "bare", say, workers=asked.workers, tests=asked.tests)
    _count(bare)
    report: dict[str, Any] = {
        "langgraph": environment.langgraph,
        "python": environment.interpreter,
        "workers": asked.workers,
        "runs": {"bare": _summary(bare)},
        "unlike": {},
    }
    failed = bare.stopped
    for variant in variants:
        outcome = run(
            environment, variant, into / variant, say, workers=asked.workers, tests=asked.tests
        )
        _count(outcome)
        tests = _settle(environment, bare, outcome, into)
        reasons = _reasons() if variant == "enforce" else {}
        failed |= outcome.stopped or _tell(outcome, tests, reasons)
        if not asked.tests and not outcome.guarded.get("graphs"):
            failed = True
            say(f"{variant}: not one graph was guarded; the plugin does not take hold")
        report["runs"][variant] = _summary(outcome)
        report["unlike"][variant] = [
            {**asdict(test), "kind": test.kind, "reason": reason_for(test.test, reasons)}
            for test in tests
        ]
    if asked.power:
        outcome = run(
            environment, "reject", into / "reject", say, workers=asked.workers, tests=asked.tests
        )
        _count(outcome)
        failed |= _weak(bare, outcome)
        report["runs"]["reject"] = _summary(outcome)
    if asked.json:
        asked.json.parent.mkdir(parents=True, exist_ok=True)
        asked.json.write_text(json.dumps(report, indent=1) + "\n")
    if guarded or failed:
        say("the bar is NOT met" if failed else "the bar is met")
    return int(failed)


def _settle(environment: Environment, bare: Outcome, guarded: Outcome, into: Path) -> list[Unlike]:
    """Run the tests that came out unlike again, both ways, to tell the flaky ones.

    First alone. What then passes guarded may have failed for what an earlier test left behind, so
    its whole file is run once more.
    """
    tests = unlike(bare.results, guarded.results)
    ids = [test.test for test in tests if test.test in bare.results]
    if len(ids) > REPEATED:
        say(f"{len(tests)} tests came out unlike: too many to run again")
    if not 0 < len(ids) <= REPEATED:
        return tests

    def again(tests: list[Unlike], chosen: Sequence[str], name: str) -> list[Unlike]:
        results: list[Mapping[str, Result]] = []
        for variant in ("bare", guarded.variant):
            place = into / f"{guarded.variant}-again-{name}-{variant}"
            results.append(run(environment, variant, place, say, workers=1, tests=chosen).results)
        return with_repeat(tests, results[0], results[1])

    say(f"{len(tests)} tests came out unlike; running them again, alone, {REPEATS} times each way")
    for repeat in range(1, REPEATS + 1):
        tests = again(tests, ids, f"alone-{repeat}")
    strays = [test for test in tests if test.kind == "not seen again"]
    if strays:
        files = sorted({test.test.split("::")[0] for test in strays})
        say(f"{len(strays)} of them failed once and not alone; running {', '.join(files)} again")
        settled = {test.test: test for test in again(strays, files, "files")}
        tests = [settled.get(test.test, test) for test in tests]
    return tests


def _count(outcome: Outcome) -> None:
    counts = ", ".join(f"{number} {name}" for name, number in outcome.counts().items())
    guards = ", ".join(f"{number} {name}" for name, number in outcome.guarded.items())
    say(f"{outcome.variant}: {counts} in {outcome.seconds:.0f} s" + (f" ({guards})" * bool(guards)))
    if outcome.stopped:
        say(f"{outcome.variant}: STOPPED, it took too long; tests without a result count as absent")


def _summary(outcome: Outcome) -> dict[str, Any]:
    return {
        **outcome.counts(),
        "seconds": round(outcome.seconds, 1),
        "stopped": outcome.stopped,
        "guarded": dict(outcome.guarded),
    }


def _reasons() -> Mapping[str, str]:
    if not REASONS.exists():
        return {}
    listed = tomllib.loads(REASONS.read_text(encoding="utf-8")).get("differences", {})
    return {str(test): str(reason) for test, reason in listed.items()}


def _tell(outcome: Outcome, tests: Sequence[Unlike], reasons: Mapping[str, str]) -> bool:
    """Print each test that came out unlike; return whether one counts and is not explained."""
    variant = outcome.variant
    unexplained = 0
    for test in tests:
        reason = reason_for(test.test, reasons) if test.counts else None
        unexplained += test.counts and reason is None
        say(f"  {test.kind}: {test.test}")
        outcomes = f"bare {'/'.join(test.bare)}, {variant} {'/'.join(test.guarded)}"
        say(f"    {outcomes}: {test.error[:200]}")
        if reason is not None:
            say(f"    explained: {reason}")
    kinds: Counter[Kind] = Counter(test.kind for test in tests)
    listed = ", ".join(f"{number} {kind}" for kind, number in kinds.items()) or "no difference"
    say(f"{variant} against bare: {listed}; {unexplained} unexplained")
    for name in unused(reasons, tests, outcome.results):
        say(f"  listed in {REASONS.name}, but came out alike: {name}")
    return bool(unexplained) or kinds["not seen again"] > STRAYS


def _weak(bare: Outcome, rejected: Outcome) -> bool:
    """Print how many passing tests the reject-everything gate fails; return whether too few."""
    passing = [test for test, result in bare.results.items() if result.outcome == "passed"]
    caught = [
        test
        for test in passing
        if test in rejected.results and rejected.results[test].outcome != "passed"
    ]
    say(
        f"power: a gate that rejects everything fails {len(caught)} of {len(passing)} passing tests"
    )
    return len(caught) < POWER * len(passing)


if __name__ == "__main__":
    # Ended from outside, it stops its own run of pytest too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main())
