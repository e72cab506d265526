"""The pipeline that is measured: six steps, each wrong at a stated rate, and gates that are too."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, TypedDict

from langgraph.graph import START, StateGraph

from coordgate import CoordgateError, Gate, NodeGuard, Policy, Retry, Verdict, feedback, gate, guard
from coordgate.testing.faults import AnyFault, WrongValue, with_faults

STEPS = ("retrieve", "select", "reason", "draft", "cite", "format")
"""The six steps, in order."""

RATE = 0.97
"""How often a step is right, given a right input."""


class State(TypedDict, total=False):
    """What the steps hand on: a number that each changes in its own way."""

    task: int
    value: int


def after(value: int, position: int) -> int:
    """Return what a step makes of a right input; no two inputs give the same."""
    return (31 * value + position + 1) % 1_000_003


def truth(task: int, position: int) -> int:
    """Return what is right after a step of a task."""
    value = task
    for each in range(position + 1):
        value = after(value, each)
    return value


@dataclass(frozen=True, slots=True)
class Checker:
    """A gate of stated imperfection: it knows what is right, and errs at these rates."""

    detection: float
    """How often it rejects an output that is wrong."""
    false_alarm: float = 0.0
    """How often it rejects an output that is right."""
    name: str = "checker"
    """Checkers of one name err on the same outputs: they share their blind spots."""
    blind: bool = False
    """Whether it errs on the same outputs of a task at every attempt."""

    def of(self, position: int) -> Gate:
        """Return the gate on one step."""

        def check(output: Any, state: Any) -> Verdict:
            told = feedback()
            attempt = 1 if told is None or self.blind else told.attempt
            key = f"{self.name}/{state['task']}/{position}/{attempt}"
            wrong = output["value"] != truth(state["task"], position)
            rejects = Random(key).random() < (self.detection if wrong else self.false_alarm)  # noqa: S311 - chance
            return Verdict.reject("it looks wrong") if rejects else Verdict.accept()

        return gate(name=self.name)(check)


@dataclass(frozen=True, slots=True)
class Point:
    """One thing to measure: which faults, behind which gates, with how many attempts."""

    name: str
    """What it is called."""
    faults: Mapping[str, Sequence[AnyFault]] = field(
        default_factory=lambda: dict.fromkeys(STEPS, (WrongValue(1 - RATE, key="value"),))
    )
    """What goes wrong at each step."""
    checkers: Sequence[Checker] = ()
    """The gates on every step, or on the whole; none for the bare pipeline."""
    attempts: int = 1
    """How often a step, or the whole, runs at most."""
    whole: bool = False
    """Whether the gates stand after the last step, and a repeat runs all six steps."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What came of one point."""

    runs: int
    """How many runs were made."""
    correct: int
    """How many gave the right answer."""
    wrong: int
    """How many gave a wrong one, and said nothing."""
    stopped: int
    """How many a gate stopped."""
    calls: int
    """How often a step ran, over all runs."""


def pipeline(calls: Iterator[int]) -> Any:
    """Return the six steps as a builder; each run of a step takes one of `calls`."""
    builder: Any = StateGraph(State)

    def step(position: int) -> Any:
        def body(state: State) -> State:
            next(calls)
            return {"value": after(state["value"], position)}

        return body

    steps = [(name, step(position)) for position, name in enumerate(STEPS)]
    return builder.add_sequence(steps).add_edge(START, STEPS[0])


def built(point: Point, calls: Iterator[int], seed: int) -> Any:
    """Return the compiled graph of a point."""
    faulty = with_faults(pipeline(calls), point.faults, seed=seed)
    if not point.checkers:
        return faulty.compile()
    policy = Policy(Retry(point.attempts - 1)) if point.attempts > 1 else None
    if point.whole:
        outer: Any = StateGraph(State)
        outer.add_node("pipeline", faulty.compile()).add_edge(START, "pipeline")
        gates = [each.of(len(STEPS) - 1) for each in point.checkers]
        return guard(outer, {"pipeline": NodeGuard(gates=gates, policy=policy)}).compile()
    nodes = {
        name: NodeGuard(gates=[each.of(position) for each in point.checkers], policy=policy)
        for position, name in enumerate(STEPS)
    }
    return guard(faulty, nodes).compile()


def measure(point: Point, runs: int, seed: int) -> Measured:
    """Run a point so often, and count what came of it."""
    calls = itertools.count()
    app = built(point, calls, seed)
    correct = wrong = stopped = 0
    for task in range(runs):
        given = {"task": task, "value": task}
        try:
            answer = app.invoke(given, {"configurable": {"seed": task}})["value"]
        except CoordgateError:
            stopped += 1
            continue
        right = answer == truth(task, len(STEPS) - 1)
        correct += right
        wrong += not right
    return Measured(runs, correct, wrong, stopped, next(calls))
