"""What a transition's record holds."""

import threading
from typing import Any, TypedDict

from langgraph.graph import START, StateGraph
from recorded_graphs import State, both, line, run

from coordgate import (
    Contract,
    Degrade,
    Feedback,
    NodeGuard,
    Policy,
    Retry,
    gate,
    guard,
)
from coordgate.testing import RecordingTracer, scripted


@both
def test_a_transition_tells_what_was_read_written_and_said(how: str) -> None:
    """Reads, writes, verdicts and scores stand in the record as text; secrets do not."""

    @gate
    def fine(output: State) -> Any:
        return True

    tracer = RecordingTracer()
    nodes = {"a": NodeGuard(gates=[fine], contract=Contract(returns={"draft": str}))}
    node = scripted({"draft": "key sk-abcdefghijklmnopqrstuvwx"}, name="a")
    app = guard(line("a", a=node), nodes, tracer=tracer).compile()
    run(app, how, {"draft": "before"})
    (transition,) = tracer.of("a")
    assert transition.reads is not None
    assert '"draft":"before"' in transition.reads
    assert transition.writes == '{"draft":"key [redacted]"}'
    assert [(v.gate, v.passed) for v in transition.attempts[0].verdicts] == [("fine", True)]
    assert transition.seconds >= transition.attempts[0].seconds >= 0


def test_reads_are_those_before_the_node_changed_them() -> None:
    """A node that mutates what it is handed does not change what is recorded as read."""

    def mutate(state: State) -> State:
        state["log"].append("mutated")
        state["draft"] = "mutated"
        return {"draft": "new"}

    tracer = RecordingTracer()
    guard(line("a", a=mutate), tracer=tracer).compile().invoke({"draft": "old", "log": ["first"]})
    assert tracer.of("a")[0].reads == '{"draft":"old","log":["first"]}'


@both
def test_writes_are_those_that_shipped(how: str) -> None:
    """A later node that mutates the state in place does not change what is recorded as written."""

    def spoil(state: Any) -> None:
        state["items"].append("spoiled")

    class Items(TypedDict, total=False):
        items: list[str]

    tracer = RecordingTracer()
    builder = StateGraph(Items)
    builder.add_node("a", lambda state: {"items": ["said"]})
    builder.add_node("b", spoil)
    builder.add_edge(START, "a")
    builder.add_edge("a", "b")
    run(guard(builder, tracer=tracer).compile(), how)
    assert tracer.of("a")[0].writes == '{"items":["said"]}'
    assert tracer.of("b")[0].reads == '{"items":["said"]}'


@both
def test_a_rejected_output_is_recorded_as_it_was(how: str) -> None:
    """A retried node that mends its rejected output in place does not change the record of it."""

    class Items(TypedDict, total=False):
        items: list[str]

    def write(state: Items, feedback: Feedback | None = None) -> Items:
        if feedback is None:
            return {"items": ["one"]}
        feedback.rejected["items"].append("two")
        return feedback.rejected  # type: ignore[no-any-return]

    tracer = RecordingTracer()
    builder = StateGraph(Items)
    builder.add_node("a", write)
    builder.add_edge(START, "a")
    spec = NodeGuard(gates=[lambda output: len(output["items"]) > 1], policy=Policy(Retry(1)))
    run(guard(builder, {"a": spec}, tracer=tracer).compile(), how)
    assert [a.output for a in tracer.attempts("a")] == [
        '{"items":["one"]}',
        '{"items":["one","two"]}',
    ]


@both
def test_a_degraded_hand_over_says_so(how: str) -> None:
    """The status tells a stated answer from one that passed."""
    tracer = RecordingTracer()
    spec = NodeGuard(
        gates=[lambda output: False], policy=Policy(Retry(1), Degrade({"draft": "sorry"}))
    )
    node = scripted({"draft": "a"}, {"draft": "b"}, name="a")
    app = guard(line("a", "b", a=node), {"a": spec}, tracer=tracer).compile()
    assert run(app, how)["draft"] == "sorry"
    (transition,) = tracer.of("a")
    assert transition.status == "degraded"
    assert [(a.rung, a.outcome) for a in transition.attempts] == [
        ("first", "rejected"),
        ("retry", "rejected"),
        ("degrade", "accepted"),
    ]
    assert transition.goto == ("b",)


def test_a_guard_without_a_tracer_leaves_no_thread_behind() -> None:
    """Nothing is recorded, and no tracer thread is started, where no tracer was asked for."""
    before = {thread.name for thread in threading.enumerate()}
    guard(line("a", "b")).compile().invoke({})
    after = {thread.name for thread in threading.enumerate()}
    assert "coordgate-tracer" not in after - before
