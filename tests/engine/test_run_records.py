"""The record of a run: its status, who handed over to whom, and where control went."""

import asyncio
import operator
import threading
from typing import Annotated, Any, TypedDict

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.func import entrypoint, task
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, Send, interrupt

from coordgate import (
    Contract,
    Degrade,
    Feedback,
    GateRejected,
    NodeGuard,
    Policy,
    Retry,
    gate,
    guard,
)
from coordgate.testing import NEVER, RecordingTracer, scripted


class State(TypedDict, total=False):
    """The state of the graphs here."""

    draft: str
    log: Annotated[list[str], operator.add]


def says(name: str) -> Any:
    """Return a node that logs its name."""

    def node(state: State) -> State:
        return {"log": [name]}

    node.__name__ = name
    return node


def line(*names: str, **nodes: Any) -> StateGraph[Any, Any, Any, Any]:
    """Return a graph of nodes in a row."""
    builder = StateGraph(State)
    for name in names:
        builder.add_node(name, nodes.get(name) or says(name))
    for before, after in zip((START, *names), names, strict=False):
        builder.add_edge(before, after)
    return builder


CONFIG: Any = {"configurable": {"thread_id": "t"}}
both = pytest.mark.parametrize("how", ["sync", "async"])


def run(app: Any, how: str, given: Any = None, config: Any = None, **settings: Any) -> Any:
    """Run a graph, sync or async."""
    given = {} if given is None else given
    if how == "sync":
        return app.invoke(given, config, **settings)
    return asyncio.run(app.ainvoke(given, config, **settings))


def statuses(tracer: RecordingTracer) -> list[str]:
    """Return how the runs ended."""
    return [run_.status for run_ in tracer.runs]


# How a run ends


@both
def test_a_run_that_ends_is_completed(how: str) -> None:
    """A completed run has a graph, a thread, a mode, a beginning and an end."""
    tracer = RecordingTracer()
    app = guard(line("a"), tracer=tracer).compile(checkpointer=InMemorySaver(), name="row")
    run(app, how, config=CONFIG)
    (record,) = tracer.runs
    assert (record.graph, record.thread, record.mode) == ("row", "t", "enforce")
    assert (record.status, record.error) == ("completed", None)
    assert record.ended is not None
    assert record.ended >= record.started
    assert tracer.transitions[0].run == record.id
    assert tracer.transitions[0].thread == "t"


@both
def test_a_run_that_raises_is_failed(how: str) -> None:
    """A failed run tells what ended it, and so does its last transition."""
    tracer = RecordingTracer()
    app = guard(line("a", "b", b=scripted(ValueError("boom"))), tracer=tracer).compile()
    with pytest.raises(ValueError, match="boom"):
        run(app, how)
    (record,) = tracer.runs
    assert (record.status, record.error) == ("failed", "ValueError: boom")
    assert [(t.node, t.status) for t in tracer.transitions] == [("a", "accepted"), ("b", "failed")]


@both
def test_a_run_that_is_rejected_is_failed(how: str) -> None:
    """The error of a rejected run is in its record."""
    tracer = RecordingTracer()
    app = guard(line("a"), {"a": NodeGuard(gates=[lambda output: False])}, tracer=tracer).compile()
    with pytest.raises(GateRejected):
        run(app, how)
    (record,) = tracer.runs
    assert record.status == "failed"
    assert "GateRejected: node 'a'" in (record.error or "")


@both
def test_a_run_that_waits_for_a_person_is_interrupted(how: str) -> None:
    """`interrupt()` ends a run as interrupted; resuming it is a run of its own."""
    tracer = RecordingTracer()
    builder = line("a", "ask", "b", ask=lambda state: {"draft": interrupt("ok?")})
    app = guard(builder, tracer=tracer).compile(checkpointer=InMemorySaver())
    run(app, how, config=CONFIG)
    assert statuses(tracer) == ["interrupted"]
    assert run(app, how, Command(resume="yes"), CONFIG)["draft"] == "yes"
    assert statuses(tracer) == ["interrupted", "completed"]
    assert [(t.node, t.status) for t in tracer.transitions] == [
        ("a", "accepted"),
        ("ask", "interrupted"),
        ("ask", "accepted"),
        ("b", "accepted"),
    ]


@both
def test_an_interrupt_inside_a_subgraph_interrupts_the_run(how: str) -> None:
    """A pause deep below is a pause of the whole."""
    tracer = RecordingTracer()
    inner = line("ask", ask=lambda state: {"draft": interrupt("ok?")}).compile()
    app = guard(line("sub", sub=inner), tracer=tracer).compile(checkpointer=InMemorySaver())
    run(app, how, config=CONFIG)
    assert statuses(tracer) == ["interrupted"]
    run(app, how, Command(resume="yes"), CONFIG)
    assert statuses(tracer) == ["interrupted", "completed"]
    assert [(t.node, t.status) for t in tracer.transitions] == [
        ("ask", "interrupted"),
        ("sub", "interrupted"),
        ("ask", "accepted"),
        ("sub", "accepted"),
    ]


@both
@pytest.mark.parametrize("when", ["interrupt_before", "interrupt_after"])
@pytest.mark.parametrize("given", ["compile", "call"])
def test_a_stop_before_or_after_a_node_interrupts_the_run(how: str, when: str, given: str) -> None:
    """Static breakpoints end a run as interrupted while there is more to do, and only then."""
    tracer = RecordingTracer()
    stops: Any = {when: ["b"]}
    compiling = stops if given == "compile" else {}
    app = guard(line("a", "b", "c"), tracer=tracer).compile(
        checkpointer=InMemorySaver(), **compiling
    )
    calling = stops if given == "call" else {}
    run(app, how, config=CONFIG, **calling)
    assert statuses(tracer) == ["interrupted"]
    app.invoke(None, CONFIG)
    assert statuses(tracer) == ["interrupted", "completed"]


@both
def test_a_breakpoint_that_is_not_reached_does_not_interrupt(how: str) -> None:
    """A run to its end is completed, whatever breakpoints there are."""
    tracer = RecordingTracer()
    app = guard(line("a", "b"), tracer=tracer).compile(
        checkpointer=InMemorySaver(), interrupt_after=["b"]
    )
    run(app, how, config=CONFIG)
    assert statuses(tracer) == ["completed"]


def test_a_stream_closed_early_is_cancelled() -> None:
    """Whoever stops reading ends the run as cancelled."""
    tracer = RecordingTracer()
    app = guard(line("a", "b"), tracer=tracer).compile()
    flow: Any = app.stream({})
    next(flow)
    flow.close()
    assert statuses(tracer) == ["cancelled"]


def test_an_async_stream_closed_early_is_cancelled() -> None:
    """The same, async."""
    tracer = RecordingTracer()
    app = guard(line("a", "b"), tracer=tracer).compile()

    async def read_one() -> None:
        flow: Any = app.astream({})
        await anext(flow)
        await flow.aclose()

    asyncio.run(read_one())
    assert statuses(tracer) == ["cancelled"]


def test_a_stream_that_is_never_read_is_no_run() -> None:
    """Where nothing has run, nothing is recorded, and nothing is left running."""
    tracer = RecordingTracer()
    app = guard(line("a"), tracer=tracer).compile()
    flow: Any = app.stream({})
    flow.close()
    assert tracer.runs == []


@pytest.mark.parametrize("streaming", [False, True])
def test_a_cancelled_task_cancels_the_run(streaming: bool) -> None:
    """Asyncio's cancellation goes through, and the open transition ends with its run."""
    tracer = RecordingTracer()
    started = asyncio.Event()

    async def hang(state: State) -> State:
        started.set()
        await asyncio.Event().wait()
        return {}

    nodes = {"b": NodeGuard(policy=Policy(Retry(3), Degrade({"draft": "never"})))}
    app = guard(line("a", "b", b=hang), nodes, tracer=tracer).compile()

    async def work() -> None:
        if streaming:
            async for _ in app.astream({}):
                pass
        else:
            await app.ainvoke({})

    async def cancel() -> None:
        running = asyncio.create_task(work())
        await started.wait()
        running.cancel()
        await running

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cancel())
    assert statuses(tracer) == ["cancelled"]
    assert [(t.node, t.status) for t in tracer.transitions] == [
        ("a", "accepted"),
        ("b", "cancelled"),
    ]


def test_a_timeout_around_a_run_cancels_it() -> None:
    """`asyncio.timeout` around a run cancels it, and not only its node."""
    tracer = RecordingTracer()
    nodes = {"a": NodeGuard(policy=Policy(Degrade({"draft": "never"})))}
    app = guard(line("a", a=scripted(NEVER, kind="async")), nodes, tracer=tracer).compile()

    async def work() -> None:
        async with asyncio.timeout(0.05):
            await app.ainvoke({})

    with pytest.raises(TimeoutError):
        asyncio.run(work())
    assert statuses(tracer) == ["cancelled"]


def test_a_keyboard_interrupt_cancels_the_run() -> None:
    """Ctrl-C passes through, and the run is cancelled, not failed."""
    tracer = RecordingTracer()
    nodes = {"a": NodeGuard(policy=Policy(Retry(3), Degrade({"draft": "never"})))}
    node = scripted(KeyboardInterrupt(), name="a")
    app = guard(line("a", a=node), nodes, tracer=tracer).compile()
    with pytest.raises(KeyboardInterrupt):
        app.invoke({})
    assert node.calls == 1
    assert statuses(tracer) == ["cancelled"]
    assert [t.status for t in tracer.transitions] == ["cancelled"]


@both
def test_a_recursion_limit_fails_the_run(how: str) -> None:
    """A loop without end fails in LangGraph's words, and is recorded as failed."""
    tracer = RecordingTracer()
    builder = line("a")
    builder.add_edge("a", "a")
    with pytest.raises(RecursionError):
        run(guard(builder, tracer=tracer).compile(), how, config={"recursion_limit": 3})
    assert statuses(tracer) == ["failed"]
    assert len(tracer.transitions) == 3


# Who handed over to whom


def handovers(tracer: RecordingTracer) -> list[tuple[str, tuple[str, ...], tuple[str, ...]]]:
    """Return each transition's node, producers and targets."""
    return [(t.node, t.producers, t.goto) for t in tracer.transitions]


@both
def test_a_row_hands_over_along_its_edges(how: str) -> None:
    """Each node has the one before it as its producer, and goes to the next."""
    tracer = RecordingTracer()
    run(guard(line("a", "b", "c"), tracer=tracer).compile(), how)
    assert handovers(tracer) == [("a", (), ("b",)), ("b", ("a",), ("c",)), ("c", ("b",), ())]
    assert [t.number for t in tracer.transitions] == [1, 2, 3]
    assert [t.step for t in tracer.transitions] == [1, 2, 3]


@both
def test_branches_and_joins_name_all_their_producers(how: str) -> None:
    """A join has all that it waited for as producers, and a fan-out all its targets."""
    tracer = RecordingTracer()
    builder = line("a")
    for name in ("b", "c", "d"):
        builder.add_node(name, says(name))
    builder.add_edge("a", "b")
    builder.add_edge("a", "c")
    builder.add_edge(["b", "c"], "d")
    run(guard(builder, tracer=tracer).compile(), how)
    by_node = {node: (set(producers), set(goto)) for node, producers, goto in handovers(tracer)}
    assert by_node == {
        "a": (set(), {"b", "c"}),
        "b": ({"a"}, {"d"}),
        "c": ({"a"}, {"d"}),
        "d": ({"b", "c"}, set()),
    }


@both
def test_a_conditional_edge_names_where_control_went(how: str) -> None:
    """Of a router's targets, the one taken is recorded, and END as no target."""
    tracer = RecordingTracer()
    builder = line("a")
    builder.add_node("b", says("b"))
    builder.add_node("c", says("c"))
    builder.add_conditional_edges("a", lambda state: "c", ["b", "c"])
    builder.add_conditional_edges("c", lambda state: END, ["b", END])
    run(guard(builder, tracer=tracer).compile(), how)
    assert handovers(tracer) == [("a", (), ("c",)), ("c", ("a",), ())]


@both
def test_a_command_names_where_control_went(how: str) -> None:
    """`Command(goto=...)` is a hand-over like an edge, by name and by Send."""
    tracer = RecordingTracer()
    builder = StateGraph(State)
    sends = [Send("c", {"draft": "1"}), Send("c", {"draft": "2"})]
    builder.add_node("a", lambda state: Command(goto=["b", *sends]), destinations=("b", "c"))
    builder.add_node("b", says("b"))
    builder.add_node("c", lambda state: {"log": [state["draft"]]})
    builder.add_edge(START, "a")
    run(guard(builder, tracer=tracer).compile(), how)
    by_node = [(node, producers) for node, producers, _ in handovers(tracer)]
    assert sorted(by_node) == [("a", ()), ("b", ("a",)), ("c", ("a",)), ("c", ("a",))]
    assert set(tracer.of("a")[0].goto) == {"b", "c"}


@both
def test_a_loop_names_the_node_that_came_round(how: str) -> None:
    """In a loop, each round has the producer of that round."""
    tracer = RecordingTracer()
    builder = line("a", "b")
    builder.add_conditional_edges("b", lambda s: END if len(s["log"]) > 3 else "a", ["a", END])
    run(guard(builder, tracer=tracer).compile(), how)
    assert handovers(tracer) == [
        ("a", (), ("b",)),
        ("b", ("a",), ("a",)),
        ("a", ("b",), ("b",)),
        ("b", ("a",), ()),
    ]


@both
def test_producers_after_a_resume_are_known_as_far_as_they_can_be(how: str) -> None:
    """A resumed run knows the producers of what runs in it."""
    tracer = RecordingTracer()
    builder = line("a", "b", "c")
    app = guard(builder, tracer=tracer).compile(
        checkpointer=InMemorySaver(), interrupt_before=["b"]
    )
    run(app, how, config=CONFIG)
    app.invoke(None, CONFIG)
    assert [(t.node, t.producers) for t in tracer.of("c")] == [("c", ("b",))]


@both
def test_a_retried_node_keeps_its_producers(how: str) -> None:
    """However often it is repeated, its producers are those of the first attempt."""
    tracer = RecordingTracer()
    node = scripted({"draft": "bad"}, {"draft": "good"}, name="b")
    nodes = {
        "b": NodeGuard(gates=[lambda output: output["draft"] == "good"], policy=Policy(Retry(1)))
    }
    run(guard(line("a", "b", "c", b=node), nodes, tracer=tracer).compile(), how)
    assert handovers(tracer) == [("a", (), ("b",)), ("b", ("a",), ("c",)), ("c", ("b",), ())]
    (transition,) = tracer.of("b")
    assert [(a.number, a.rung, a.outcome) for a in transition.attempts] == [
        (1, "first", "rejected"),
        (2, "retry", "accepted"),
    ]
    assert transition.writes == '{"draft":"good"}'
    assert transition.attempts[0].output == '{"draft":"bad"}'


@both
def test_a_failed_attempt_leaves_no_trace_in_who_handed_over(how: str) -> None:
    """An attempt whose router failed has handed over to nobody."""
    tracer = RecordingTracer()
    routes = iter([RuntimeError("router"), "c"])

    def route(state: State) -> str:
        target = next(routes)
        if isinstance(target, Exception):
            raise target
        return str(target)

    builder = line("a")
    builder.add_node("c", says("c"))
    builder.add_conditional_edges("a", route, ["c"])
    nodes = {"a": NodeGuard(policy=Policy(Retry(1, wait=0, jitter=False)))}
    assert run(guard(builder, nodes, tracer=tracer).compile(), how) == {"log": ["a", "c"]}
    assert [(t.node, t.producers, len(t.attempts)) for t in tracer.transitions] == [
        ("a", (), 2),
        ("c", ("a",), 1),
    ]


# Nested graphs


@both
def test_a_subgraph_is_part_of_the_run(how: str) -> None:
    """Nodes of a subgraph have their place in one run, under their namespace."""
    tracer = RecordingTracer()
    app = guard(line("a", "sub", "b", sub=line("x", "y").compile()), tracer=tracer).compile()
    run(app, how)
    assert len(tracer.runs) == 1
    assert handovers(tracer) == [
        ("a", (), ("sub",)),
        ("x", (), ("y",)),
        ("y", ("x",), ()),
        ("sub", ("a",), ("b",)),
        ("b", ("sub",), ()),
    ]
    x = tracer.of("x")[0]
    assert x.namespace.startswith("sub:")
    assert "|x:" in x.namespace
    assert "|" not in tracer.of("a")[0].namespace


@both
def test_nested_guarded_graphs_are_one_run(how: str) -> None:
    """A guarded graph that a node of a guarded graph calls records into the run around it."""
    tracer, other = RecordingTracer(), RecordingTracer()
    inner = guard(line("x"), tracer=other).compile()

    def call(state: State) -> State:
        return {"log": inner.invoke({})["log"]}

    run(guard(line("a", a=call), tracer=tracer).compile(), how)
    assert len(tracer.runs) == 1
    assert [t.node for t in tracer.transitions] == ["x", "a"]
    assert other.runs == []


@both
def test_two_runs_in_a_row_are_two_runs(how: str) -> None:
    """Runs of one graph after each other have their own ids and transitions."""
    tracer = RecordingTracer()
    app = guard(line("a"), tracer=tracer).compile()
    run(app, how)
    run(app, how)
    first, second = tracer.runs
    assert first.id != second.id
    assert [t.run for t in tracer.transitions] == [first.id, second.id]
    assert [t.number for t in tracer.transitions] == [1, 1]


@both
def test_a_command_to_the_parent_is_handed_up(how: str) -> None:
    """A subgraph's Command to its parent: both nodes are recorded, and where control went."""

    def up(state: State) -> Command[Any]:
        return Command(graph=Command.PARENT, update={"log": ["up"]}, goto="b")

    tracer = RecordingTracer()
    builder = StateGraph(State)
    builder.add_node("sub", line("x", x=up).compile(), destinations=("b",))
    builder.add_node("b", says("b"))
    builder.add_edge(START, "sub")
    assert run(guard(builder, tracer=tracer).compile(), how) == {"log": ["up", "b"]}
    assert [(t.node, t.status, t.producers, t.goto) for t in tracer.transitions] == [
        ("x", "handed_up", (), ()),
        ("sub", "accepted", (), ("b",)),
        ("b", "accepted", ("sub",), ()),
    ]
    assert statuses(tracer) == ["completed"]


@both
def test_what_is_handed_up_is_gated_by_the_node_that_is_the_subgraph(how: str) -> None:
    """A Command to the parent must pass the contract and gates of the subgraph's own node."""

    def up(state: State) -> Command[Any]:
        return Command(graph=Command.PARENT, update={"draft": 3}, goto="b")

    builder = StateGraph(State)
    builder.add_node("sub", line("x", x=up).compile(), destinations=("b",))
    builder.add_node("b", says("b"))
    builder.add_edge(START, "sub")
    with pytest.raises(Exception, match="draft: must be str"):
        run(guard(builder).compile(), how)


@both
def test_an_entrypoint_is_a_run_of_one_transition(how: str) -> None:
    """An entrypoint is recorded as one node; its tasks are its own business."""
    tracer = RecordingTracer()

    @task
    def double(value: int) -> int:
        return value * 2

    @entrypoint()
    def flow(given: int) -> int:
        """Double."""
        return double(given).result()

    assert run(guard(flow, tracer=tracer), how, 4) == 8
    assert [(t.node, t.status) for t in tracer.transitions] == [("flow", "accepted")]
    assert statuses(tracer) == ["completed"]


# What a transition holds


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
