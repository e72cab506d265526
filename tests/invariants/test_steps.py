"""Invariants where several nodes write in one step, and where graphs pause, nest and observe."""

from __future__ import annotations

import threading
from typing import Annotated, Any

import pytest
from langgraph.cache.memory import InMemoryCache
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.managed import RemainingSteps
from langgraph.types import CachePolicy, Command, RetryPolicy, Send, interrupt
from purse import THREAD, WITHIN, State, both, broken, kept, run, spending
from typing_extensions import TypedDict

from coordgate import (
    Degrade,
    InvariantViolated,
    NodeGuard,
    Policy,
    Retry,
    Tracer,
    guard,
    open_store,
)
from coordgate.gates import check, threshold
from coordgate.record import Transition
from coordgate.stores import MemoryStore


def beside(*nodes: Any, invariants: Any = (WITHIN,), policies: Any = None, **settings: Any) -> Any:
    """Return a guarded graph whose nodes, `a`, `b` and so on, run in one step."""
    builder = StateGraph(State)
    for name, node in zip("abc", nodes, strict=False):
        builder.add_node(name, node).add_edge(START, name)
    guarded = guard(builder, policies, invariants=invariants, **settings)
    return guarded.compile(checkpointer=InMemorySaver())


# Several nodes in one step


@both
def test_writes_that_only_together_break_one_are_blamed_on_all_of_them(how: str) -> None:
    """Each of them is fine alone; a node beside them that wrote another key is not blamed."""
    app = beside(spending(6), spending(6), lambda _: {"note": "x"})
    error = broken(app, {"limit": 10}, how)
    assert (error.nodes, error.keys, error.joint) == (("a", "b"), ("spent",), True)
    assert "nodes 'a' and 'b' together broke invariant 'within', by writing spent" in str(error)
    assert "order the nodes with an edge" in error.remedy
    assert set(kept(app)) <= {None, 0}


@both
def test_a_node_that_breaks_one_by_itself_is_blamed_alone(how: str) -> None:
    """Whoever ends last: the blame does not go to those who merely ran beside it."""
    app = beside(spending(1), spending(11), spending(1))
    assert broken(app, {"limit": 10}, how).nodes == ("b",)


@both
def test_what_a_node_breaks_another_may_mend_in_the_same_step(how: str) -> None:
    """Only the state after the step counts, whichever of them ends first."""
    for amounts in ((12, -5), (-5, 12)):
        assert run(beside(*map(spending, amounts)), {"limit": 10}, how)["spent"] == 7


def test_no_policy_is_asked_about_a_step_of_several() -> None:
    """A retry of the node that happens to end last would punish whoever is slow."""
    nodes = [spending(6, 0), spending(6, 0)]
    policies = {name: NodeGuard(policy=Policy(Retry(1))) for name in "ab"}
    assert broken(beside(*nodes, policies=policies), {"limit": 10}).nodes == ("a", "b")
    assert [node.told for node in nodes] == [[None], [None]]  # type: ignore[attr-defined]


def test_a_resume_does_not_get_past_it() -> None:
    """The node that ended last runs again, and its step is judged again, kept writes and all."""
    app = beside(spending(6, 6), spending(6, 6, 6, 6), spending(0, 0, 0, 0))
    broken(app, {"limit": 10})
    for _ in range(2):
        assert broken(app, None).nodes == ("a", "b")
    assert set(kept(app)) <= {None, 0}
    app.update_state(THREAD, {"limit": 20}, as_node=START)
    assert app.get_state(THREAD).values["limit"] == 20


def test_writes_from_before_an_interrupt_count() -> None:
    """What the nodes beside the one that asked had written is judged with its own."""

    def asks(_: State) -> dict[str, int]:
        return {"spent": interrupt("how much?")}

    app = beside(spending(6), asks)
    run(app, {"limit": 10})
    assert broken(app, Command(resume=6)).nodes == ("a", "b")
    app = beside(spending(6), asks)
    run(app, {"limit": 10})
    assert run(app, Command(resume=4))["spent"] == 10


@both
def test_sent_tasks_are_tasks_of_one_step(how: str) -> None:
    """Workers that `Send` starts are judged when the last of them hands over."""

    class Job(TypedDict):
        amount: int

    def work(job: Any) -> dict[str, int]:
        return {"spent": job["amount"]}

    def app_of(*amounts: int) -> Any:
        builder = StateGraph(State).add_node("work", work, input_schema=Job)
        builder.add_conditional_edges(
            START, lambda _: [Send("work", {"amount": n}) for n in amounts], ["work"]
        )
        return guard(builder, invariants=[WITHIN]).compile(checkpointer=InMemorySaver())

    assert run(app_of(5, 4, 1), {"limit": 10}, how)["spent"] == 10
    assert broken(app_of(5, 4, 2), {"limit": 10}, how).nodes == ("work",)


def test_a_repeat_by_langgraphs_own_policy_hands_over_anew() -> None:
    """What an attempt handed over that failed afterwards does not count."""
    failures = [ConnectionError("routing")]
    again = threading.Event()
    spend = spending(6, 3)

    def first(state: State) -> Any:
        if not failures:
            again.set()
        return spend(state)

    def second(_: State) -> Any:
        assert again.wait(30)
        return {"spent": 6}

    def route(_: State) -> str:
        if failures:
            raise failures.pop()
        return "__end__"

    builder = StateGraph(State)
    builder.add_node("a", first, retry_policy=RetryPolicy(initial_interval=0.0, jitter=False))
    builder.add_node("b", second).add_edge(START, "a").add_edge(START, "b")
    builder.add_conditional_edges("a", route, ["__end__"])
    app = guard(builder, invariants=[WITHIN]).compile(checkpointer=InMemorySaver())
    assert run(app, {"limit": 10})["spent"] == 9


def test_what_a_cache_gives_back_is_judged_at_the_end_of_its_step() -> None:
    """No task runs then that could be asked."""
    builder = StateGraph(State)
    builder.add_node("a", spending(6), cache_policy=CachePolicy(key_func=lambda _: "same"))
    builder.add_edge(START, "a")
    app = guard(builder, invariants=[WITHIN]).compile(
        checkpointer=InMemorySaver(), cache=InMemoryCache()
    )
    assert run(app, {"limit": 10})["spent"] == 6
    assert broken(app, {"note": "again"}).nodes == ("a",)
    assert set(kept(app)) <= {None, 0, 6}


# Graphs in graphs


def test_an_invariant_is_about_the_state_of_its_own_graph() -> None:
    """A subgraph may pass through what its caller may not; what it hands over is judged."""
    inner = StateGraph(State).add_node("a", spending(20, 20)).add_node("b", spending(-15, -5))
    inner.add_edge(START, "a").add_edge("a", "b")

    def outer_of(graph: Any) -> Any:
        outer = StateGraph(State).add_node("sub", graph).add_edge(START, "sub")
        return guard(outer, invariants=[WITHIN]).compile(checkpointer=InMemorySaver())

    app = outer_of(inner.compile())
    assert run(app, {"limit": 10})["spent"] == 5
    assert broken(app, {"note": "again"}).nodes == ("sub",)
    strict = StateGraph(State).add_node("a", spending(20)).add_edge(START, "a")
    assert broken(outer_of(guard(strict, invariants=[WITHIN]).compile()), {"limit": 10}).nodes == (
        "a",
    )


def test_what_a_subgraph_hands_up_by_command_is_judged() -> None:
    """A Command for the parent is an update of the node that the subgraph is."""

    def up(_: State) -> Command[Any]:
        return Command(graph=Command.PARENT, update={"spent": 11}, goto="end")

    inner = StateGraph(State).add_node("up", up).add_edge(START, "up").compile()
    outer = StateGraph(State).add_node("sub", inner).add_node("end", lambda _: None)
    outer.add_edge(START, "sub")
    app = guard(outer, invariants=[WITHIN]).compile(checkpointer=InMemorySaver())
    assert broken(app, {"limit": 10}).nodes == ("sub",)
    assert set(kept(app)) <= {None, 0}


def test_the_policy_of_a_node_around_takes_a_step_that_failed_inside() -> None:
    """To the outer node the violation is an error like any other of its body."""
    inner = StateGraph(State)
    for name in "ab":
        inner.add_node(name, spending(6)).add_edge(START, name)
    strict = guard(inner, invariants=[WITHIN]).compile()
    outer = StateGraph(State).add_node("sub", strict).add_edge(START, "sub")
    declared = {"sub": NodeGuard(policy=Policy(Degrade({"note": "none"})))}
    assert guard(outer, declared).compile().invoke({"limit": 10})["note"] == "none"


def test_values_that_langgraph_manages_are_part_of_the_state() -> None:
    """`RemainingSteps` and its like are counted as in a node."""

    class Counted(TypedDict):
        n: int
        left: RemainingSteps

    seen: list[int] = []

    def look(state: Any) -> bool:
        seen.append(state["left"])
        return True

    def count(state: Counted) -> dict[str, int]:
        seen.append(-state["left"])
        return {"n": 1}

    builder = StateGraph(Counted).add_node("count", count).add_edge(START, "count")
    guard(builder, invariants=[look]).compile().invoke({"n": 0}, {"recursion_limit": 9})
    at_input, in_node, after = seen
    assert -in_node == after == at_input - 1


# The record, and observing


def recorded(store: MemoryStore) -> list[Transition]:
    """Return the transitions of the one run."""
    (found,) = store.runs()
    return list(store.transitions(found.id))


def test_every_verdict_is_in_the_record() -> None:
    """Passed or not, each stands beside the verdicts of the gates, and is called an invariant."""
    store = MemoryStore()
    with Tracer(store) as tracer:
        builder = StateGraph(State).add_node("a", spending(11, 4)).add_edge(START, "a")
        declared = {"a": NodeGuard(gates=[threshold("spent", at_least=1)], policy=Policy(Retry(1)))}
        guard(builder, declared, invariants=[WITHIN], tracer=tracer).compile().invoke({"limit": 10})
    (transition,) = recorded(store)
    assert [each.outcome for each in transition.attempts] == ["rejected", "accepted"]
    assert [
        [(verdict.gate, verdict.passed) for verdict in each.verdicts]
        for each in transition.attempts
    ] == [
        [("threshold(spent, at_least=1)", True), ("invariant within", False)],
        [("threshold(spent, at_least=1)", True), ("invariant within", True)],
    ]


@both
def test_observing_records_it_and_changes_nothing(how: str) -> None:
    """The run goes on; the transition whose hand-over completed the step says who broke it."""
    store = MemoryStore()
    with Tracer(store) as tracer:
        app = beside(spending(6), spending(6), mode="observe", tracer=tracer)
        assert run(app, {"limit": 10}, how)["spent"] == 12
    statuses = sorted(each.status for each in recorded(store))
    assert statuses == ["accepted", "observed"]
    (late,) = [each for each in recorded(store) if each.status == "observed"]
    (reason,) = late.attempts[0].reasons
    assert reason == "invariant within: more is spent than may be (by a and b)"


def test_observing_leaves_the_input_and_updates_by_hand_alone() -> None:
    """What no node does is not stopped, nor does it fail."""
    app = beside(spending(1), mode="observe")
    assert run(app, {"limit": -1})["spent"] == 1
    app.update_state(THREAD, {"spent": 100}, as_node="a")
    assert app.get_state(THREAD).values["spent"] == 101


def test_a_violation_is_shown_on_the_command_line(tmp_path: Any) -> None:
    """The error names invariant, nodes and keys in the run's record."""
    path = tmp_path / "traces.db"
    with Tracer(path) as tracer, pytest.raises(InvariantViolated):
        run(beside(spending(6), spending(6), tracer=tracer), {"limit": 10})
    with open_store(path) as store:
        (failed,) = store.runs()
    assert "nodes 'a' and 'b' together broke invariant 'within'" in str(failed.error)


def test_a_reducer_that_depends_on_order_is_given_the_tasks_in_theirs() -> None:
    """The prospect of a step is what LangGraph will make of it, not the order of arrival."""

    class Line(TypedDict):
        text: Annotated[str, lambda old, new: old + new]

    seen: list[str] = []
    builder = StateGraph(Line)
    for name in "ba":
        builder.add_node(name, lambda _, name=name: {"text": name}).add_edge(START, name)
    remember = check(lambda state: seen.append(state["text"]) is None, "never")
    app = guard(builder, invariants=[remember]).compile()
    assert app.invoke({"text": ""})["text"] == seen[-1] == "ab"
