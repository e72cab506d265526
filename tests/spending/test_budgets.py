"""Budgets: what a run may spend, over nodes, subgraphs, fallbacks and repeats."""

import asyncio
from typing import Any

import pytest
from callers import Caller
from langchain_core.messages import AIMessage
from langgraph.graph import START, StateGraph
from langgraph.types import Command, RetryPolicy, Send
from spenders import Clock, Spender, State, graph

from coordgate import (
    Budget,
    BudgetExceeded,
    ConfigurationError,
    CoordgateError,
    Degrade,
    Edit,
    Escalate,
    Fallback,
    GateRejected,
    NodeGuard,
    Policy,
    Prices,
    Retry,
    Verdict,
    gate,
    guard,
)
from coordgate.testing import RecordingTracer, ScriptedModel

SORRY = Degrade({"draft": "sorry"})


@gate
def good(output: State) -> Verdict:
    """Pass what says good."""
    return Verdict.accept() if output["draft"] == "good" else Verdict.reject("is not good")


def gated(*rungs: Any) -> NodeGuard:
    """Return a guard that takes only what is good."""
    return NodeGuard(gates=[good], policy=Policy(*rungs) if rungs else None)


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        ({}, "say what is limited"),
        ({"attempts": -1}, r"attempts=-1\): give a number from 0"),
        ({"attempts": 1.5}, "attempts=1.5"),
        ({"tokens": True}, "tokens=True"),
        ({"usd": -0.01}, "give an amount from 0"),
        ({"usd": float("nan")}, "usd=nan"),
        ({"seconds": float("inf")}, "seconds=inf"),
        ({"seconds": "10"}, "seconds='10'"),
    ],
)
def test_a_budget_that_means_nothing_is_refused(limits: Any, says: str) -> None:
    """At least one limit is given, and each is a number from 0."""
    with pytest.raises(ConfigurationError, match=says):
        Budget(**limits)


def test_only_a_budget_is_a_budget() -> None:
    """`guard(budget=10)` is refused where it is written."""
    with pytest.raises(ConfigurationError, match=r"use Budget\("):
        guard(graph(Spender("write")), budget=10)  # type: ignore[arg-type]


def test_attempts_count_over_all_nodes(caller: Caller) -> None:
    """First runs, retries, fallbacks and LangGraph's own repeats are one sum; then no body runs."""
    one = Spender("one", "bad", "bad")
    two = Spender("two", ConnectionError("reset"))
    other = Spender("other", "bad")
    three = Spender("three")
    builder = graph(caller.node(one))
    builder.add_node(
        "two",
        caller.node(two),
        retry_policy=RetryPolicy(max_attempts=2, initial_interval=0.0, jitter=False),
    )
    builder.add_node("three", caller.node(three))
    builder.add_edge("one", "two").add_edge("two", "three")
    nodes = {"one": gated(Retry(1), Fallback(caller.node(other)), SORRY)}
    app = guard(builder, nodes, budget=Budget(attempts=5)).compile(checkpointer=caller.saver)
    with pytest.raises(BudgetExceeded) as caught:
        caller.invoke(app, {})
    assert [each.calls for each in (one, other, two, three)] == [2, 1, 2, 0]
    error = caught.value
    assert isinstance(error, CoordgateError)
    assert error.node == "three"
    assert error.over == ("attempts 5 of 5",)
    assert {name: each.attempts for name, each in error.nodes.items()} == {"one": 3, "two": 2}
    assert "one: 3 attempts, 0 tokens" in str(error)
    assert "Remedy: raise the budget" in str(error)


@pytest.mark.parametrize(
    ("limits", "over"),
    [
        ({"tokens": 200}, "tokens 200 of 200"),
        ({"usd": 0.3}, "usd 0.4 of 0.3"),
        ({"tokens": 10_000, "usd": 0.4}, "usd 0.4 of 0.4"),
    ],
)
def test_tokens_and_dollars_are_those_of_all_attempts(
    caller: Caller, limits: Any, over: str
) -> None:
    """Rejected attempts have spent too; the attempt that crosses the limit is not stopped."""
    write = Spender("write", "bad", "bad", "bad", tokens=100, usd=0.2)
    tracer = RecordingTracer()
    app = guard(graph(caller.node(write)), {"write": gated(Retry(5), SORRY)}, tracer=tracer)
    made = guard(app, budget=Budget(**limits)).compile(checkpointer=caller.saver)
    assert caller.invoke(made, {})["draft"] == "sorry"
    assert write.calls == 2
    attempts = tracer.attempts("write")
    assert [each.rung for each in attempts] == ["first", "retry", "degrade"]


def test_what_cannot_be_afforded_says_what_was_spent(caller: Caller) -> None:
    """Where only rungs that spend are left, the error is the budget's, not the gate's."""
    write = Spender("write", "bad", "bad", tokens=10)
    app = guard(graph(caller.node(write)), {"write": gated(Retry(5))}, budget=Budget(attempts=2))
    with pytest.raises(BudgetExceeded, match=r"write: 2 attempts, 20 tokens"):
        caller.invoke(app.compile(checkpointer=caller.saver), {})
    assert write.calls == 2


def test_a_ladder_that_has_ended_says_why_it_has(caller: Caller) -> None:
    """With no rung left at all, the error is that of the node."""
    write = Spender("write", "bad", "bad")
    app = guard(graph(caller.node(write)), {"write": gated(Retry(1))}, budget=Budget(attempts=2))
    with pytest.raises(GateRejected):
        caller.invoke(app.compile(checkpointer=caller.saver), {})


def test_a_person_can_be_asked_when_all_is_spent(caller: Caller) -> None:
    """Escalate spends nothing; the person is not offered another run, and can still answer."""
    write = Spender("write", "bad", "bad")
    nodes = {"write": gated(Retry(3), Escalate("editor"))}
    app = guard(graph(caller.node(write)), nodes, budget=Budget(attempts=2))
    made = app.compile(checkpointer=caller.saver)
    asked = caller.invoke(made, {})["__interrupt__"][0].value
    assert asked["candidate"]["draft"] == "bad"
    assert list(asked["answers"]) == ["approve", "edit", "reject"]
    assert caller.invoke(made, Command(resume=Edit({"draft": "good"})))["draft"] == "good"
    assert write.calls == 2


def test_a_node_that_never_ran_goes_to_its_free_rungs(caller: Caller) -> None:
    """The first attempt is refused as any other, and the stated answer ships."""
    one, two = Spender("one"), Spender("two")
    nodes = {"two": NodeGuard(policy=Policy(Retry(2), Fallback(Spender("other")), SORRY))}
    app = guard(graph(*map(caller.node, (one, two))), nodes, budget=Budget(attempts=1))
    assert caller.invoke(app.compile(checkpointer=caller.saver), {})["draft"] == "sorry"
    assert two.calls == 0


def test_a_subgraph_spends_from_the_same_budget(caller: Caller) -> None:
    """Its nodes count, the node that it is does not; the outer ladder has its free rungs."""
    inner = graph(*map(caller.node, (Spender("a"), Spender("b"), Spender("c"))))
    builder = StateGraph(State)
    builder.add_node("sub", inner.compile())
    builder.add_edge(START, "sub")
    app = guard(builder, budget=Budget(attempts=2)).compile(checkpointer=caller.saver)
    with pytest.raises(BudgetExceeded) as caught:
        caller.invoke(app, {})
    assert caught.value.node == "sub|c"
    assert list(caught.value.nodes) == ["sub|a", "sub|b"]
    again = guard(app, {"sub": NodeGuard(policy=Policy(Retry(2), SORRY))})
    assert caller.invoke(again, {}, "2")["draft"] == "sorry"


def test_a_graph_that_a_node_calls_spends_from_it_too() -> None:
    """A guarded graph within the run joins it, whether or not the outer one knows of it."""
    inner = guard(graph(Spender("a"), Spender("b"))).compile()

    def call(state: State) -> Any:
        return inner.invoke({})

    app = guard(graph(call), budget=Budget(attempts=2)).compile()
    with pytest.raises(BudgetExceeded) as caught:
        app.invoke({})
    assert {name: each.attempts for name, each in caught.value.nodes.items()} == {
        "call": 1,
        "call|a": 1,
    }


def test_a_budget_within_a_budget_is_refused() -> None:
    """A budget is for a whole run: one on an inner graph would say something else than it does."""
    inner = guard(graph(Spender("a")), budget=Budget(attempts=1)).compile()
    assert inner.invoke({})["draft"] == "good"
    builder = StateGraph(State).add_node("sub", inner).add_edge(START, "sub")
    with pytest.raises(ConfigurationError, match="give it to the outermost graph"):
        guard(builder).compile().invoke({})


def test_parallel_attempts_never_run_more_often_than_allowed(caller: Caller) -> None:
    """Nine siblings that begin at once share a budget of four."""
    write = Spender("write")
    builder = StateGraph(State)
    builder.add_node("write", caller.node(write))
    builder.add_conditional_edges(START, lambda state: [Send("write", state)] * 9, ["write"])
    nodes = {"write": NodeGuard(policy=Policy(Degrade({"ran": ["-"]})))}
    app = guard(builder, nodes, budget=Budget(attempts=4)).compile(checkpointer=caller.saver)
    with pytest.raises(Exception, match="draft"):  # nine values for a key without a reducer
        caller.invoke(app, {})
    assert write.calls == 4


def test_seconds_are_those_of_the_run(caller: Caller) -> None:
    """Time goes on between nodes as well as in them."""
    clock = Clock()
    slow = Spender("slow")

    def wait(state: State) -> Any:
        clock.now += 10
        return {}

    builder = graph(caller.node(wait), caller.node(slow))
    for seconds, calls in ((10.0, 0), (10.1, 1)):
        app = guard(builder, budget=Budget(seconds=seconds, clock=clock))
        made = app.compile(checkpointer=caller.saver)
        if calls:
            caller.invoke(made, {}, "2")
        else:
            with pytest.raises(BudgetExceeded, match="seconds 10 of 10"):
                caller.invoke(made, {}, "1")
        assert slow.calls == calls


def test_each_run_has_its_own(caller: Caller) -> None:
    """The next input of the same thread begins with nothing spent, and so does a batch's each."""
    write = Spender("write")
    app = guard(graph(caller.node(write)), budget=Budget(attempts=1))
    made = app.compile(checkpointer=caller.saver)
    for _ in range(3):
        assert caller.invoke(made, {})["draft"] == "good"
    plain = guard(graph(Spender("write")), budget=Budget(attempts=1)).compile()
    assert [each["draft"] for each in plain.batch([{}, {}, {}])] == ["good"] * 3


@pytest.mark.parametrize("how", ["stream", "astream"])
def test_a_streamed_run_has_the_same_budget(how: str) -> None:
    """Streaming is running."""
    app = guard(graph(Spender("one"), Spender("two")), budget=Budget(attempts=1)).compile()

    async def collected() -> list[Any]:
        return [chunk async for chunk in app.astream({}, stream_mode="updates")]

    with pytest.raises(BudgetExceeded):
        list(app.stream({}, stream_mode="updates")) if how == "stream" else asyncio.run(collected())


def test_observing_records_it_and_stops_nothing() -> None:
    """With `mode="observe"` every body runs; what would not have run is marked `observed`."""
    tracer = RecordingTracer()
    nodes = [Spender(name) for name in ("one", "two", "three")]
    app = guard(graph(*nodes), mode="observe", budget=Budget(attempts=1), tracer=tracer).compile()
    assert app.invoke({})["ran"] == ["one", "two", "three"]
    assert [each.status for each in tracer.transitions] == ["accepted", "observed", "observed"]
    assert tracer.attempts("three")[0].reasons == ("budget spent: attempts 2 of 1",)


def test_a_refused_attempt_stands_in_the_record() -> None:
    """The record says that the budget was spent, and when."""
    tracer = RecordingTracer()
    nodes = {"two": NodeGuard(policy=Policy(SORRY))}
    app = guard(graph(Spender("one"), Spender("two")), nodes, tracer=tracer)
    guard(app, budget=Budget(attempts=1)).compile().invoke({})
    first, second = tracer.attempts("two")
    assert (first.rung, first.outcome) == ("first", "raised")
    assert "the run's budget is spent: attempts 1 of 1" in (first.error or "")
    assert second.rung == "degrade"
    assert tracer.transitions[-1].status == "degraded"


def test_what_models_report_is_what_is_spent(caller: Caller) -> None:
    """Tokens and dollars come from the calls of models, made anywhere below a node."""
    used: Any = {"input_tokens": 700, "output_tokens": 300, "total_tokens": 1000}
    model = ScriptedModel(
        *(AIMessage("good", usage_metadata=used, response_metadata={"model_name": "m"}),) * 9
    )

    def ask(state: State) -> Any:
        return {"draft": model.invoke("a question").text}

    def again(state: State) -> Any:
        return ask(state)

    builder = graph(caller.node(ask), caller.node(again), caller.node(Spender("last")))
    prices = Prices({"m": {"input": 1000.0, "output": 1000.0}})
    for limits in ({"tokens": 1500}, {"usd": 1.5}):
        app = guard(builder, budget=Budget(**limits), prices=prices)
        with pytest.raises(BudgetExceeded) as caught:
            caller.invoke(app.compile(checkpointer=caller.saver), {})
        assert caught.value.node == "last"
        spent = {name: (each.tokens, each.usd) for name, each in caught.value.nodes.items()}
        assert spent == {"ask": (1000, 1.0), "again": (1000, 1.0)}


def test_a_model_without_a_price_is_named(caplog: pytest.LogCaptureFixture) -> None:
    """A budget of dollars cannot bind what costs an unknown amount: one warning says so."""
    app = guard(graph(Spender("one", tokens=9), Spender("two", tokens=9)), budget=Budget(usd=0.01))
    app.compile().invoke({})
    (said,) = [record.getMessage() for record in caplog.records]
    assert "what 'a model' costs is not known" in said


def test_without_tokens_known_only_attempts_are_spent() -> None:
    """A node that calls no model spends no tokens, so a budget of tokens does not bind it."""
    app = guard(graph(Spender("one"), Spender("two")), budget=Budget(tokens=1, usd=0.01))
    assert app.compile().invoke({})["draft"] == "good"
