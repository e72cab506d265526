"""What a server must show of runs: told by the record, which the exporter does not make."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from peer_servers import Shown, parsed

from coordgate.record import Attempt, Transition
from coordgate.stores import MemoryStore

ANYTHING = object()
"""Stands for a value that the record does not hold, and that must not be empty."""


@dataclass(frozen=True, slots=True)
class Expected:
    """A span that a server must show."""

    name: str
    """Its name, or the beginning of it."""
    kind: str
    """What it must be taken for."""
    given: Any
    """What it was given; `ANYTHING` for anything that is not empty."""
    gave: Any
    """What it gave, likewise."""


def expected(store: MemoryStore, given: Any, gave: Any) -> Iterator[Expected]:
    """Yield what must be shown of the one run in a store, with its input and its result."""
    (run,) = store.runs()
    yield Expected(f"invoke_workflow {run.graph}", "CHAIN", given, gave)
    for transition in store.transitions(run.id):
        reads, writes = parsed(transition.reads), parsed(transition.writes)
        ended = {"status": transition.status, "goto": list(transition.goto)}
        yield Expected(f"node {transition.node}", "CHAIN", reads, writes or ended)
        for attempt in transition.attempts:
            yield from _attempt(transition, attempt)


def _attempt(transition: Transition, attempt: Attempt) -> Iterator[Expected]:
    output = parsed(attempt.output)
    ended = {"outcome": attempt.outcome, "reasons": list(attempt.reasons)}
    reads = parsed(transition.reads)
    yield Expected(f"attempt {attempt.rung}", "CHAIN", reads, output or ended)
    for verdict in attempt.verdicts:
        said = {"passed": verdict.passed, "score": verdict.score, "reason": verdict.reason}
        kind, _, called = verdict.gate.partition(":")
        about = ANYTHING if kind in {"tool", "route"} else output
        yield Expected(f"gate {verdict.gate}", "GUARDRAIL", about, said)
        if kind == "tool":
            yield Expected(f"execute_tool {called}", "TOOL", {"order": 4471}, ANYTHING)
    for _ in attempt.calls:
        yield Expected("chat", "LLM", ANYTHING, ANYTHING)


@dataclass(frozen=True, slots=True)
class Row:
    """What a server shows of the spans of one kind."""

    kind: str
    """The kind."""
    spans: int
    """How many there must be."""
    right_kind: int
    """How many are shown as of that kind."""
    right_input: int
    """How many of these have their input."""
    right_output: int
    """How many of these have their output."""


def rows(wanted: Sequence[Expected], shown: Sequence[Shown]) -> tuple[list[Row], list[str]]:
    """Return what is right, by kind, and everything that is not."""
    left = list(shown)
    counts = {each.kind: [0, 0, 0, 0] for each in wanted}
    faults: list[str] = []
    for each in wanted:
        count = counts[each.kind]
        count[0] += 1
        found = max(left, key=lambda span: _likeness(each, span), default=None)
        if found is None or not found.name.startswith(each.name):
            faults.append(f"{each.name}: not shown")
            continue
        left.remove(found)
        checks = (
            (found.kind == each.kind, f"kind {found.kind!r} instead of {each.kind!r}"),
            (_same(each.given, found.given), f"input {_short(found.given)}"),
            (_same(each.gave, found.gave), f"output {_short(found.gave)}"),
        )
        for place, (right, fault) in enumerate(checks, 1):
            count[place] += right
            if not right:
                faults.append(f"{each.name}: {fault}")
    faults += [f"{span.name}: shown, and nothing of the kind was recorded" for span in left]
    return [Row(kind, *count) for kind, count in counts.items()], faults


def _likeness(wanted: Expected, span: Shown) -> int:
    if not span.name.startswith(wanted.name):
        return -1
    exact = span.name == wanted.name
    return 4 * exact + 2 * _same(wanted.gave, span.gave) + _same(wanted.given, span.given)


def _same(wanted: Any, shown: Any) -> bool:
    if wanted is ANYTHING:
        return shown not in (None, "", [], {})
    return json.dumps(wanted, sort_keys=True) == json.dumps(shown, sort_keys=True)


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else f"{text[:80]}…"
