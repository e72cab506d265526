"""Properties of the ladder, over random policies and failures, through real graphs."""

import asyncio
from typing import Any, TypedDict

from hypothesis import given, settings
from hypothesis import strategies as st
from langgraph.graph import START, StateGraph
from langgraph.types import RetryPolicy

from coordgate import (
    Degrade,
    Fallback,
    HandoffError,
    NodeGuard,
    Policy,
    Retry,
    Verdict,
    gate,
    guard,
)
from coordgate.policy import most_attempts
from coordgate.testing import RecordingTracer

SETTINGS = settings(max_examples=150, deadline=None, derandomize=True)


class State(TypedDict, total=False):
    """The state of the graphs here."""

    draft: str


OUTCOMES = st.sampled_from(
    [
        "good",
        "bad",
        "fail",
        "jump retry",
        "jump fallback",
        "jump degrade",
        "violation",
        "raise",
        "transport",
    ]
)


@gate
def judged(output: State) -> Verdict:
    """Do as the output says."""
    said = output["draft"]
    if said == "good":
        return Verdict.accept()
    kind, _, rung = said.partition(" ")
    return Verdict.reject("rejected", otherwise="fail" if kind == "fail" else rung or None)


class Failing:
    """A node that goes through a list of outcomes, the last one over and over."""

    def __init__(self, outcomes: list[str], name: str) -> None:
        self.__name__ = name
        self.outcomes = outcomes
        self.calls = 0

    def __call__(self, state: State) -> Any:
        """Do what is next."""
        outcome = self.outcomes[min(self.calls, len(self.outcomes) - 1)]
        self.calls += 1
        if outcome == "raise":
            raise ValueError("raised")
        if outcome == "transport":
            raise ConnectionError("down")
        return {"draft": 3} if outcome == "violation" else {"draft": outcome}


NODES = st.lists(OUTCOMES, min_size=1, max_size=6)
RUNGS = st.lists(st.one_of(st.integers(1, 3), st.just("fallback")), max_size=4)


@SETTINGS
@given(
    body=NODES,
    spare=NODES,
    rungs=RUNGS,
    degrades=st.booleans(),
    transports=st.integers(0, 3),
    is_async=st.booleans(),
)
def test_every_ladder_is_bounded_and_ends_in_a_stated_outcome(
    body: list[str],
    spare: list[str],
    rungs: list[Any],
    degrades: bool,
    transports: int,
    is_async: bool,
) -> None:
    """Bodies run at most `most_attempts` plus LangGraph's repeats; every end is a stated one."""
    node, stand_in = Failing(body, "write"), Failing(spare, "spare")
    ladder: list[Any] = [
        Fallback(stand_in) if rung == "fallback" else Retry(rung, wait=0.0, jitter=False)
        for rung in rungs
    ]
    if degrades:
        ladder.append(Degrade({"draft": "sorry"}))
    policy = Policy(*ladder)
    builder = StateGraph(State)
    repeats = RetryPolicy(max_attempts=transports, initial_interval=0.0, jitter=False)
    builder.add_node("write", node, retry_policy=repeats if transports else None)
    builder.add_edge(START, "write")
    tracer = RecordingTracer()
    spec = NodeGuard(gates=[judged], policy=policy)
    app = guard(builder, {"write": spec}, tracer=tracer).compile()
    error: Exception | None = None
    result: Any = None
    try:
        result = asyncio.run(app.ainvoke({})) if is_async else app.invoke({})
    except (HandoffError, ValueError, ConnectionError) as raised:
        error = raised

    (run,) = tracer.runs
    (transition,) = tracer.of("write")
    attempts = transition.attempts
    made = len(attempts)
    extra = max(transports - 1, 0)
    assert made <= most_attempts(policy) + extra
    assert node.calls + stand_in.calls + (transition.status == "degraded") == made
    assert [a.number for a in attempts] == list(range(1, made + 1))
    assert attempts[0].rung == "first"
    assert sum(a.rung == "transport" for a in attempts) <= extra
    assert all(a.outcome in {"violated", "rejected", "raised"} for a in attempts[:-1])
    if error is None:
        assert run.status == "completed"
        if transition.status == "degraded":
            assert degrades
            assert result == {"draft": "sorry"}
            assert attempts[-1].rung == "degrade"
        else:
            assert transition.status == "accepted"
            assert result == {"draft": "good"}
        assert attempts[-1].outcome == "accepted"
    else:
        assert (run.status, transition.status) == ("failed", "failed")
        assert attempts[-1].outcome in {"violated", "rejected", "raised"}
        if isinstance(error, HandoffError):
            assert error.node == "write"
            assert error.attempts == made
            assert error.reasons
            assert error.remedy
        if degrades:  # a stated answer is passed by only where a gate asked for another rung
            jumps = {"fail", "jump retry", "jump fallback"}
            assert {*body, *spare} & jumps
