"""Records for the tests, made by hand and made raw, and real processes to make them in."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from coordgate.capture import RawAttempt, RawTransition
from coordgate.gate import Judgement, Verdict
from coordgate.process import identity
from coordgate.tracer import Attempt, Call, GateVerdict, Run, RunId, Transition

NOW = time.time()


def a_run(id: str = "run-1", **changes: object) -> Run:
    """Return a run of this process."""
    fields: dict[str, object] = {
        "id": id,
        "graph": "brief",
        "thread": None,
        "mode": "enforce",
        "status": "completed",
        "started": NOW,
        "ended": NOW + 2.5,
        "process": identity(),
    }
    return Run(**(fields | changes))  # type: ignore[arg-type]


def a_transition(run: str = "run-1", number: int = 1, **changes: object) -> Transition:
    """Return a transition whose first attempt a gate rejected."""
    fields: dict[str, object] = {
        "run": RunId(run),
        "number": number,
        "thread": None,
        "namespace": "",
        "step": number,
        "node": "draft",
        "status": "accepted",
        "started": NOW + number,
        "seconds": 0.5,
        "producers": ("retrieve",),
        "goto": ("verify",),
        "reads": '{"question":"why"}',
        "writes": '{"draft":"because [1]"}',
        "attempts": (
            Attempt(
                number=1,
                rung="first",
                outcome="rejected",
                seconds=0.2,
                reasons=("cites_sources: no sentence cites a source",),
                output='{"draft":"because"}',
                verdicts=(
                    GateVerdict("not_empty", passed=True, seconds=0.001),
                    GateVerdict("cites_sources", False, 0.0, "no sentence cites a source"),
                ),
                model="some-model",
                tokens_in=812,
                tokens_out=90,
                cost=0.0012,
                calls=(
                    Call("some-model", "stop", 800, 85, '{"cache_read": 512}', 0.0012, 0.15),
                    Call(None, tokens_in=12, tokens_out=5, gate="polite", error="TimeoutError"),
                ),
            ),
            Attempt(2, "retry", "accepted", 0.3, output='{"draft":"because [1]"}'),
        ),
    }
    return Transition(**(fields | changes))  # type: ignore[arg-type]


def a_capture(run: str = "run-1", number: int = 1, **values: object) -> RawTransition:
    """Return a raw transition with one accepted attempt, as the engine would make it."""
    raw = RawTransition(run, None, "", number, "draft", NOW + number, ("retrieve",))
    raw.number = number
    raw.seconds = 0.5
    raw.goto = ("verify",)
    raw.reads = values.get("reads", {"question": "why"})
    raw.writes = values.get("writes", {"draft": "because"})
    attempt = RawAttempt(1, "first")
    attempt.output = raw.writes
    attempt.judgements = [Judgement("not_empty", Verdict.accept(), 0.001)]
    raw.attempts.append(attempt)
    return raw


def python(script: str, *arguments: object, **options: object) -> subprocess.Popen[str]:
    """Start a real Python process that runs `script`; it may import this module."""
    return subprocess.Popen(  # noqa: S603 - the scripts are the tests' own
        [sys.executable, "-c", script, *map(str, arguments)],
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=Path(__file__).parent,
        **options,  # type: ignore[call-overload]
    )
