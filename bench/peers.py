"""Subject 2: what a guarded node adds to a call, next to what other libraries add."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import stamina
import tenacity
from langchain_core.runnables import RunnableLambda
from measure import Case, Figures, calls_for, measure, say, shown, table
from pipeline import STAGES, Draft, Update, bare, declaration, draft, guarded

from coordgate import Tracer

guardrails: Any = import_module("guardrails") if find_spec("guardrails") else None
"""Guardrails where it is installed; it is never needed."""

STAGE = next(stage for stage in STAGES if stage.body is draft)
"""The node: the one that writes the draft."""

STATE: Any = {"passages": [0, 4]}
"""What it is handed."""

DIRECT, GRAPH, RUNNABLE = "the function itself", "bare one-node graph", "RunnableLambda"
"""What is measured without anything added."""


def run(home: Path, *, rounds: int, window: float) -> Figures:
    """Measure each way to call the node, and print what it adds to the call without it."""
    with Tracer(home / "peers.db") as tracer:
        ways = _ways(tracer)
        answers = {name: call()["draft"] for name, (call, _) in ways.items()}
        cases = [
            Case(
                name,
                call,
                calls=calls_for(window, call),
                settle=tracer.flush if name == "coordgate" else lambda: None,
            )
            for name, (call, _) in ways.items()
        ]
        taken = measure(cases, rounds=rounds, calls=1)
    say(f"\none node, next to other libraries ({rounds} rounds; µs per call, sync)")
    found: Figures = {"answers": answers, "variants": {}}
    rows: list[tuple[str, ...]] = []
    for name, (_, without) in ways.items():
        series = taken[name]
        figures = series.figures(None)
        if without is None:
            rows.append((name, f"{figures['wall_us']['median']:.2f}", "", "", ""))
        else:
            base = taken[without]
            wall, cpu = series.excess(base), series.excess(base, "cpu")
            figures |= {"over": without, "added_us": wall.figures(), "added_cpu_us": cpu.figures()}
            rows.append(
                (
                    name,
                    f"{figures['wall_us']['median']:.2f}",
                    shown(wall, 2),
                    shown(cpu, 2),
                    without,
                )
            )
        found["variants"][name] = figures
    table(("", "call", "added", "added CPU", "to"), rows)
    if guardrails is None:
        say("Guardrails is not installed; pip install guardrails-ai to have it in the table")
    return found


Call = Callable[[], Any]


def _ways(tracer: Tracer) -> dict[str, tuple[Call, str | None]]:
    """Return the calls by name, each with the name of the call that lacks what it adds."""
    traced = guarded(stages=[STAGE], declared=declaration, tracer=tracer)
    untraced = guarded(stages=[STAGE], declared=declaration)
    plain = bare(stages=[STAGE])
    runnable = RunnableLambda(draft)
    repeated = runnable.with_retry(stop_after_attempt=3, wait_exponential_jitter=False)
    with_tenacity = tenacity.retry(stop=tenacity.stop_after_attempt(3), reraise=True)(draft)
    with_stamina = stamina.retry(on=ValueError, attempts=3)(draft)

    def validated() -> Update:
        update = draft(STATE)
        Draft.model_validate(update)
        return update

    ways: dict[str, tuple[Call, str | None]] = {
        DIRECT: (lambda: draft(STATE), None),
        GRAPH: (lambda: plain.invoke(STATE), None),
        RUNNABLE: (lambda: runnable.invoke(STATE), None),
        "coordgate": (lambda: traced.invoke(STATE), GRAPH),
        "coordgate, no tracer": (lambda: untraced.invoke(STATE), GRAPH),
        "pydantic alone": (validated, DIRECT),
        "tenacity": (lambda: with_tenacity(STATE), DIRECT),
        "stamina": (lambda: with_stamina(STATE), DIRECT),
        "LangChain with_retry": (lambda: repeated.invoke(STATE), RUNNABLE),
    }
    if guardrails is not None:
        ways["Guardrails parse"] = (_guardrails(), DIRECT)
    return ways


def _guardrails() -> Call:
    """Return the call through Guardrails, which takes what a model wrote: JSON text."""
    parser = guardrails.Guard.for_pydantic(Draft)
    parser.configure(allow_metrics_collection=False)

    def parsed() -> Update:
        outcome = parser.parse(json.dumps(draft(STATE)), num_reasks=0)
        update: Update = outcome.validated_output
        return update

    return parsed
