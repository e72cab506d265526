"""`mode="observe"`: nothing that a caller can see changes, and every verdict is recorded."""

import asyncio
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.messages import AnyMessage, HumanMessage, RemoveMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.errors import InvalidUpdateError
from langgraph.graph import START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import Command, RetryPolicy, interrupt

from coordgate import Contract, Degrade, Fallback, NodeGuard, Policy, Retry, feedback, gate, guard
from coordgate.testing import RecordingTracer, ScriptedModel, scripted


class State(TypedDict, total=False):
    """The state of the graphs here."""

    draft: str
    count: int


@gate
def never(output: State) -> bool:
    """Pass nothing."""
    return False


@gate
def broken(output: State) -> bool:
    """Raise."""
    raise ValueError("no key")


@gate(timeout=5.0)
async def slow(output: State) -> bool:
    """Pass nothing, as a slow gate."""
    return False


EVERYTHING = NodeGuard(
    gates=[never, broken, slow],
    policy=Policy(
        Retry(3), Fallback(lambda state: {"draft": "spare"}), Degrade({"draft": "sorry"})
    ),
)
both = pytest.mark.parametrize("how", ["sync", "async"])


def run(app: Any, how: str, given: Any = None) -> Any:
    """Run a graph, sync or async."""
    given = {} if given is None else given
    return app.invoke(given) if how == "sync" else asyncio.run(app.ainvoke(given))


def graph_of(node: Any, **settings: Any) -> StateGraph[Any, Any, Any, Any]:
    """Return a graph of the node and one after it."""
    builder = StateGraph(State)
    builder.add_node("write", node, **settings)
    builder.add_node("after", lambda state: {"count": 1})
    builder.add_edge(START, "write")
    builder.add_edge("write", "after")
    return builder


def observed(
    node: Any, spec: NodeGuard = EVERYTHING, **settings: Any
) -> tuple[Any, RecordingTracer]:
    """Return that graph, observed, and its tracer."""
    tracer = RecordingTracer()
    nodes = {"write": spec}
    builder = graph_of(node, **settings)
    return guard(builder, nodes, mode="observe", tracer=tracer).compile(), tracer


@both
def test_what_would_be_rejected_ships_and_is_recorded(how: str) -> None:
    """The node runs once, its output ships, and the record holds every gate's verdict."""
    node = scripted({"draft": "x"}, name="write")
    app, tracer = observed(node)
    assert run(app, how) == {"draft": "x", "count": 1}
    assert node.calls == 1
    (transition,) = tracer.of("write")
    assert transition.status == "observed"
    (attempt,) = transition.attempts
    assert attempt.outcome == "rejected"
    assert [(v.gate, v.passed) for v in attempt.verdicts] == [
        ("never", False),
        ("broken", False),
        ("slow", False),
    ]
    assert "ValueError" in attempt.verdicts[1].reason
    assert [t.status for t in tracer.of("after")] == ["accepted"]
    assert [(r.status, r.mode) for r in tracer.runs] == [("completed", "observe")]


@both
def test_every_quick_gate_is_asked(how: str) -> None:
    """A rejection by the first gate does not spare the others: each verdict is wanted."""
    passing = gate(name="passing")(lambda output: True)
    app, tracer = observed(scripted({"draft": "x"}), NodeGuard(gates=[never, passing, broken]))
    assert run(app, how)["draft"] == "x"
    (attempt,) = tracer.attempts("write")
    assert [(v.gate, v.passed) for v in attempt.verdicts] == [
        ("never", False),
        ("passing", True),
        ("broken", False),
    ]


@both
def test_a_violation_ships_unparsed_and_is_recorded(how: str) -> None:
    """What breaks or would change under the contract ships as the node returned it."""
    contract = Contract(returns={"draft": str, "count": int})
    app, tracer = observed(scripted({"draft": "x", "count": "5"}), NodeGuard(contract=contract))
    bare = graph_of(scripted({"draft": "x", "count": "5"})).compile()
    assert list(app.stream({})) == list(bare.stream({}))
    assert [t.status for t in tracer.of("write")] == ["accepted"]
    app, tracer = observed(scripted({"draft": 3}), NodeGuard(contract=contract))
    assert run(app, how) == {"draft": 3, "count": 1}
    (transition,) = tracer.of("write")
    assert transition.status == "observed"
    assert transition.attempts[0].outcome == "violated"
    assert "count: is required, and missing" in transition.attempts[0].reasons
    assert transition.writes == '{"draft":3}'


@both
def test_undeclared_keys_and_routes_are_recorded_and_do_what_they_do_bare(how: str) -> None:
    """A dropped key and a goto beside a static edge are written down, and change nothing."""

    def node(state: State) -> Command[Any]:
        return Command(update={"draft": "x", "darft": "y"}, goto="__end__")

    app, tracer = observed(node, NodeGuard(), destinations=("__end__",))
    assert run(app, how) == run(graph_of(node, destinations=("__end__",)).compile(), how)
    (transition,) = tracer.of("write")
    assert transition.status == "observed"
    assert any("did you mean 'draft'" in r for r in transition.attempts[0].reasons)
    assert any("static edge" in r for r in transition.attempts[0].reasons)


@both
def test_a_bad_input_is_recorded_and_the_node_runs(how: str) -> None:
    """`accepts` that is not kept stops nothing."""
    app, tracer = observed(
        scripted({"draft": "x"}), NodeGuard(contract=Contract(accepts={"count": int}))
    )
    assert run(app, how) == {"draft": "x", "count": 1}
    (transition,) = tracer.of("write")
    assert transition.status == "observed"
    assert "count: is required, and missing" in transition.attempts[0].reasons


@both
def test_errors_come_out_as_they_do_bare(how: str) -> None:
    """An exception is not retried by the policy, keeps its notes, and is recorded."""
    node = scripted(*[ValueError("boom")] * 4, name="write")
    app, tracer = observed(node)
    with pytest.raises(ValueError, match="boom") as guarded:
        run(app, how)
    assert node.calls == 1
    with pytest.raises(ValueError, match="boom") as bare:
        run(graph_of(scripted(ValueError("boom"))).compile(), how)
    assert len(guarded.value.__notes__) == len(bare.value.__notes__)
    (transition,) = tracer.of("write")
    assert (transition.status, transition.attempts[0].error) == ("failed", "ValueError: boom")
    assert [run_.status for run_ in tracer.runs] == ["failed"]


@both
def test_an_output_that_langgraph_refuses_is_refused_in_its_words(how: str) -> None:
    """What is no update raises LangGraph's own error."""
    app, tracer = observed(scripted("text"))
    with pytest.raises(InvalidUpdateError) as guarded:
        run(app, how)
    with pytest.raises(InvalidUpdateError) as bare:
        run(graph_of(scripted("text")).compile(), how)
    assert str(guarded.value) == str(bare.value)
    assert [t.status for t in tracer.of("write")] == ["failed"]


@both
def test_langgraphs_retries_run_as_they_do_bare(how: str) -> None:
    """A RetryPolicy of LangGraph's works on, and each attempt is recorded."""
    node = scripted(ConnectionError("a"), ConnectionError("b"), {"draft": "x"}, name="write")
    policy = RetryPolicy(max_attempts=3, initial_interval=0.0, jitter=False)
    app, tracer = observed(node, retry_policy=policy)
    assert run(app, how)["draft"] == "x"
    (transition,) = tracer.of("write")
    assert [a.outcome for a in transition.attempts] == ["raised", "raised", "rejected"]
    assert transition.status == "observed"
    node = scripted(*[ConnectionError("a")] * 3, name="write")
    app, tracer = observed(node, retry_policy=policy)
    with pytest.raises(ConnectionError):
        run(app, how)
    (transition,) = tracer.of("write")
    assert (transition.status, len(transition.attempts)) == ("failed", 3)


@both
def test_no_feedback_is_given(how: str) -> None:
    """In observe mode a node hears nothing, since nothing is repeated."""
    seen: list[Any] = []
    app, _ = observed(lambda state: seen.append(feedback()) or {"draft": "x"})
    run(app, how)
    assert seen == [None]


class Chat(TypedDict):
    """A conversation."""

    messages: Annotated[list[AnyMessage], add_messages]


@pytest.mark.parametrize("stream", ["announce", "hold"])
def test_streams_say_what_they_say_bare(stream: Any) -> None:
    """Nothing is held, announced or taken back."""

    def chunks(mode: str | None) -> list[Any]:
        model = ScriptedModel("one two three")
        builder = StateGraph(Chat)
        builder.add_node("chat", lambda state: {"messages": model.invoke(state["messages"])})
        builder.add_edge(START, "chat")
        spec = NodeGuard(gates=[never], policy=Policy(Retry(1)), stream=stream)
        app: Any = builder.compile()
        if mode == "observe":
            app = guard(app, {"chat": spec}, mode="observe")
        flow = app.stream({"messages": [HumanMessage("x")]}, stream_mode=["messages", "custom"])
        return [
            (kind, chunk[0].text if kind == "messages" else chunk, type(chunk[0]).__name__)
            for kind, chunk in flow
        ]

    assert chunks("observe") == chunks(None)
    assert RemoveMessage.__name__ not in {kind for _, _, kind in chunks("observe")}


def test_an_interrupt_is_an_interrupt() -> None:
    """A pause and its resume go as they go bare, and are recorded as such."""

    def ask(state: State) -> State:
        return {"draft": interrupt("what?")}

    tracer = RecordingTracer()
    app = guard(graph_of(ask), {"write": EVERYTHING}, mode="observe", tracer=tracer).compile(
        checkpointer=InMemorySaver()
    )
    config: Any = {"configurable": {"thread_id": "1"}}
    assert app.invoke({}, config)["__interrupt__"][0].value == "what?"
    assert app.invoke(Command(resume="this"), config) == {"draft": "this", "count": 1}
    assert [r.status for r in tracer.runs] == ["interrupted", "completed"]
    assert [t.status for t in tracer.of("write")] == ["interrupted", "observed"]


def test_observing_builds_where_enforcing_would_be_refused() -> None:
    """The first day of a retrofit does not begin with an error about two retry engines."""
    builder = graph_of(scripted({"draft": "x"}), retry_policy=RetryPolicy())
    nodes = {"write": NodeGuard(effects="external")}
    assert run(guard(builder, nodes, mode="observe").compile(), "sync")["draft"] == "x"


@both
def test_a_node_inside_a_subgraph_is_observed(how: str) -> None:
    """The mode goes down into subgraphs."""
    tracer = RecordingTracer()
    outer = StateGraph(State)
    outer.add_node("sub", graph_of(scripted({"draft": "x"})).compile())
    outer.add_edge(START, "sub")
    app = guard(outer, {"sub|write": EVERYTHING}, mode="observe", tracer=tracer).compile()
    assert run(app, how) == {"draft": "x", "count": 1}
    assert [(t.node, t.status) for t in tracer.transitions] == [
        ("write", "observed"),
        ("after", "accepted"),
        ("sub", "accepted"),
    ]
