"""Feedback reaches nothing but the attempt that it is for."""

import asyncio
from typing import Any

import pytest
from langgraph.graph import START, StateGraph
from langgraph.types import Command, Send
from told_nodes import ONCE, State, both, heard, one, run, told

from coordgate import (
    Degrade,
    Fallback,
    Feedback,
    GateRejected,
    NodeGuard,
    Policy,
    Retry,
    feedback,
    gated,
    guard,
)
from coordgate.testing import scripted


@both
def test_it_does_not_leak_to_the_next_node(how: str) -> None:
    """The node after a repeated one hears nothing."""
    after = scripted({"later": []}, name="after")

    def build(route: bool) -> Any:
        builder = StateGraph(State)
        builder.add_node("write", lambda state: heard())
        builder.add_node("after", after)
        builder.add_edge(START, "write")
        if route:
            builder.add_conditional_edges("write", lambda state: "after", ["after"])
        else:
            builder.add_edge("write", "after")
        return guard(
            builder, {"write": ONCE, "after": NodeGuard(policy=Policy(Retry(1)))}
        ).compile()

    run(build(route=False), how)
    assert after.feedbacks == [None]
    after = scripted({"later": []}, name="after")
    run(build(route=True), how)
    assert after.feedbacks == [None]


@both
def test_it_does_not_leak_to_the_next_run_or_the_caller(how: str) -> None:
    """After a run with retries, passed or failed, `feedback()` is None again, and so it begins."""
    calls = scripted({"told": False}, {"told": True}, {"told": True}, name="write")
    app = one(calls)
    run(app, how)
    run(app, how)
    assert [told is None for told in calls.feedbacks] == [True, False, True]
    assert feedback() is None
    failing = one(scripted({"told": False}, {"told": False}, name="write"))
    with pytest.raises(GateRejected):
        run(failing, how)
    assert feedback() is None


@both
def test_it_does_not_leak_while_streaming(how: str) -> None:
    """Between the chunks of a stream the caller hears nothing."""
    app = one(lambda state: heard())
    seen: list[Any] = []
    if how == "sync":
        for _ in app.stream({"draft": "x"}, stream_mode=["updates", "custom", "values"]):
            seen.append(feedback())

    async def watch() -> None:
        async for _ in app.astream({"draft": "x"}, stream_mode=["updates", "custom", "values"]):
            seen.append(feedback())

    if how == "async":
        asyncio.run(watch())
    assert len(seen) >= 3
    assert set(seen) == {None}


@both
def test_it_does_not_leak_to_a_sibling(how: str) -> None:
    """Of two parallel branches, the one that is not repeated hears nothing."""
    left = scripted({"told": False}, {"told": True}, name="left")
    right = scripted({"draft": "r"}, name="right")
    builder = StateGraph(State)
    builder.add_node("left", left)
    builder.add_node("right", right)
    builder.add_edge(START, "left")
    builder.add_edge(START, "right")
    run(guard(builder, {"left": ONCE, "right": NodeGuard(policy=Policy(Retry(1)))}).compile(), how)
    assert [told is None for told in left.feedbacks] == [True, False]
    assert right.feedbacks == [None]


@both
def test_a_loop_hears_only_of_its_own_round(how: str) -> None:
    """A node that is run again by an edge starts without feedback from its last round."""
    node = scripted(
        *[Command(update={"told": round_ % 2 == 1}, goto="write") for round_ in range(4)],
        Command(update={"told": True}, goto="__end__"),
        name="write",
    )
    builder = StateGraph(State)
    builder.add_node("write", node, destinations=("write", "__end__"))
    builder.add_edge(START, "write")
    run(guard(builder, {"write": ONCE}).compile(), how)
    assert [told is None for told in node.feedbacks] == [True, False, True, False, True]


@both
def test_a_fallback_takes_feedback(how: str) -> None:
    """A fallback hears why it stands in, by parameter and by call."""
    spare = scripted({"told": True}, name="spare")
    run(
        one(scripted({"told": False}), NodeGuard(gates=[told], policy=Policy(Fallback(spare)))), how
    )
    (heard_by_spare,) = spare.feedbacks
    assert heard_by_spare == Feedback(("told: say why",), {"told": False}, 2)
    spec = NodeGuard(gates=[told], policy=Policy(Fallback(lambda state: heard())))
    assert run(one(scripted({"told": False}), spec), how)["told"] is True


@both
def test_a_send_sibling_hears_nothing(how: str) -> None:
    """Of several tasks of one node, only the rejected one hears why."""
    seen: list[tuple[str, bool]] = []

    def write(state: State) -> State:
        seen.append((state["draft"], feedback() is not None))
        return {"told": state["draft"] != "b" or feedback() is not None}

    builder = StateGraph(State)
    builder.add_node("write", write)
    builder.add_conditional_edges(START, lambda s: [Send("write", {"draft": d}) for d in "abc"])
    spec = NodeGuard(gates=[told], policy=Policy(Retry(1)))
    with pytest.raises(Exception, match="Can receive only one value per step"):
        run(guard(builder, {"write": spec}).compile(), how)
    assert sorted(seen) == [("a", False), ("b", False), ("b", True), ("c", False)]


def test_outside_of_any_graph_there_is_none() -> None:
    """A gated function called by itself gets no feedback, unless its test passes some."""

    @gated(gates=[told])
    def write(state: State, feedback: Feedback | None = None) -> State:
        return {"told": feedback is not None}

    assert feedback() is None
    assert write({}) == {"told": False}
    assert write({}, Feedback(("no",), None, 2)) == {"told": True}


def test_it_reads_as_lines_for_a_prompt() -> None:
    """`str(feedback)` is one line for each reason."""
    assert str(Feedback(("too short", "no source"), None, 2)) == "- too short\n- no source"


@both
def test_a_degraded_answer_ends_the_ladder_for_the_next_node(how: str) -> None:
    """After Degrade the next node hears nothing either."""
    after = scripted({"later": []}, name="after")
    builder = StateGraph(State)
    builder.add_node("write", scripted({"told": False}))
    builder.add_node("after", after)
    builder.add_edge(START, "write")
    builder.add_edge("write", "after")
    spec = NodeGuard(gates=[told], policy=Policy(Degrade({"draft": "sorry"})))
    assert run(guard(builder, {"write": spec}).compile(), how)["draft"] == "sorry"
    assert after.feedbacks == [None]
