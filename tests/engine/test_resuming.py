"""Threads that stop and go on: paused, failed, bare first and guarded later."""

import asyncio
import operator
from typing import Annotated, Any, TypedDict

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.types import Command, interrupt

from coordgate import Degrade, GateRejected, NodeGuard, Policy, Retry, feedback, gate, guard
from coordgate.testing import RecordingTracer, scripted

both = pytest.mark.parametrize("how", ["sync", "async"])
CONFIG: Any = {"configurable": {"thread_id": "1"}}


class State(TypedDict, total=False):
    """The state of the graphs here."""

    draft: str
    log: Annotated[list[str], operator.add]


@gate
def good(output: State) -> bool:
    """Pass what begins with good."""
    return output["draft"].startswith("good")


def run(app: Any, how: str, given: Any, **settings: Any) -> Any:
    """Run the thread, sync or async."""
    if how == "sync":
        return app.invoke(given, CONFIG, **settings)
    return asyncio.run(app.ainvoke(given, CONFIG, **settings))


def asking() -> StateGraph[Any, Any, Any, Any]:
    """Return a graph whose middle node asks a person."""

    def ask(state: State) -> State:
        return {"draft": interrupt("what?"), "log": ["ask"]}

    builder = StateGraph(State)
    builder.add_node("before", lambda state: {"log": ["before"]})
    builder.add_node("ask", ask)
    builder.add_node("after", lambda state: {"log": ["after"]})
    builder.add_edge(START, "before")
    builder.add_edge("before", "ask")
    builder.add_edge("ask", "after")
    return builder


NODES = {"ask": NodeGuard(gates=[good], policy=Policy(Degrade({"draft": "sorry"})))}


@both
def test_a_thread_paused_bare_goes_on_guarded_and_back(how: str) -> None:
    """Checkpoints of bare and guarded graphs are the same thing."""
    saver = InMemorySaver()
    bare, guarded = (
        asking().compile(checkpointer=saver),
        guard(asking(), NODES).compile(checkpointer=saver),
    )
    for first, second in ((bare, guarded), (guarded, bare)):
        saver.delete_thread("1")
        assert run(first, how, {})["__interrupt__"][0].value == "what?"
        assert second.get_state(CONFIG).next == ("ask",)
        result = run(second, how, Command(resume="good one"))
        assert result == {"draft": "good one", "log": ["before", "ask", "after"]}


@both
def test_a_thread_paused_bare_is_gated_when_it_goes_on(how: str) -> None:
    """What a person answers to a node goes through the node's gate."""
    saver = InMemorySaver()
    run(asking().compile(checkpointer=saver), how, {})
    app = guard(asking(), NODES).compile(checkpointer=saver)
    result = run(app, how, Command(resume="bad one"))
    assert result == {"draft": "sorry", "log": ["before", "after"]}


@both
def test_a_failed_thread_goes_on_with_a_fresh_ladder(how: str) -> None:
    """Invoked again, the rejected node has all its attempts anew, and no feedback from before."""
    node = scripted(*[{"draft": "bad"}] * 3, {"draft": "good"}, name="write")
    builder = StateGraph(State)
    builder.add_node("write", node)
    builder.add_edge(START, "write")
    spec = NodeGuard(gates=[good], policy=Policy(Retry(1)))
    tracer = RecordingTracer()
    app = guard(builder, {"write": spec}, tracer=tracer).compile(checkpointer=InMemorySaver())
    with pytest.raises(GateRejected):
        run(app, how, {"log": ["x"]})
    assert app.get_state(CONFIG).next == ("write",)
    assert run(app, how, None) == {"draft": "good", "log": ["x"]}
    assert [told is None for told in node.feedbacks] == [True, False, True, False]
    assert [run_.status for run_ in tracer.runs] == ["failed", "completed"]


@both
def test_two_questions_of_one_node_are_answered_in_turn(how: str) -> None:
    """A node that asks twice is resumed twice, and each answer is asked for once."""

    def ask_twice(state: State) -> State:
        return {"draft": f"good {interrupt('first?')} {interrupt('second?')}"}

    builder = StateGraph(State)
    builder.add_node("ask", ask_twice)
    builder.add_edge(START, "ask")
    spec = NodeGuard(gates=[good], policy=Policy(Retry(2)))
    app = guard(builder, {"ask": spec}).compile(checkpointer=InMemorySaver())
    assert run(app, how, {})["__interrupt__"][0].value == "first?"
    assert run(app, how, Command(resume="a"))["__interrupt__"][0].value == "second?"
    assert run(app, how, Command(resume="b"))["draft"] == "good a b"


@both
def test_a_rejected_node_is_not_asked_again_what_was_answered(how: str) -> None:
    """A retry after a resume has the answer still, and asks nobody."""
    asked: list[str] = []

    def ask(state: State) -> State:
        said = interrupt("what?")
        asked.append(said)
        return {"draft": ("good " if feedback() else "bad ") + said}

    builder = StateGraph(State)
    builder.add_node("ask", ask)
    builder.add_edge(START, "ask")
    spec = NodeGuard(gates=[good], policy=Policy(Retry(1)))
    app = guard(builder, {"ask": spec}).compile(checkpointer=InMemorySaver())
    run(app, how, {})
    assert run(app, how, Command(resume="this"))["draft"] == "good this"
    assert asked == ["this", "this"]


@both
@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
def test_nothing_rejected_is_in_any_checkpoint(how: str, durability: str) -> None:
    """Whatever the durability, the history holds what shipped and no attempt before it."""
    node = scripted({"draft": "rejected", "log": ["rejected"]}, {"draft": "good", "log": ["good"]})
    builder = StateGraph(State)
    builder.add_node("write", node)
    builder.add_edge(START, "write")
    spec = NodeGuard(gates=[good], policy=Policy(Retry(1)))
    app = guard(builder, {"write": spec}).compile(checkpointer=InMemorySaver())
    assert run(app, how, {}, durability=durability)["log"] == ["good"]
    for snapshot in app.get_state_history(CONFIG):
        assert "rejected" not in str(snapshot.values)
        assert "rejected" not in str(snapshot.tasks)


@both
def test_time_travel_goes_through_the_gates(how: str) -> None:
    """A run forked from an old checkpoint is guarded like the first."""
    node = scripted({"draft": "good 1"}, {"draft": "bad"}, {"draft": "good 2"}, name="write")
    builder = StateGraph(State)
    builder.add_node("write", node)
    builder.add_edge(START, "write")
    spec = NodeGuard(gates=[good], policy=Policy(Retry(1)))
    app = guard(builder, {"write": spec}).compile(checkpointer=InMemorySaver())
    run(app, how, {"log": ["x"]})
    before = next(s for s in app.get_state_history(CONFIG) if s.next == ("write",))
    assert app.invoke(None, before.config)["draft"] == "good 2"
    assert node.calls == 3
