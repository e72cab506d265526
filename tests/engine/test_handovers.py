"""Who handed over to whom, and where control went, over all shapes of graphs."""

from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.func import entrypoint, task
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, Send
from recorded_graphs import CONFIG, State, both, line, run, says, statuses

from coordgate import (
    ContractViolation,
    NodeGuard,
    Policy,
    Retry,
    guard,
)
from coordgate.testing import RecordingTracer, scripted


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
def test_a_goto_to_no_node_that_is_handed_up_is_the_subgraphs_failure(how: str) -> None:
    """A handed-up goto to a node that is none fails with a cure, and is recorded as failed."""

    def up(state: State) -> Command[Any]:
        return Command(graph=Command.PARENT, goto="bb")

    tracer = RecordingTracer()
    builder = StateGraph(State)
    builder.add_node("sub", line("x", x=up).compile(), destinations=("b",))
    builder.add_node("b", says("b"))
    builder.add_edge(START, "sub")
    with pytest.raises(ContractViolation, match=r"(?s)did you mean 'b'\?.*Remedy: "):
        run(guard(builder, tracer=tracer).compile(), how)
    last = tracer.transitions[-1]
    assert (last.node, last.status, [a.outcome for a in last.attempts]) == (
        "sub",
        "failed",
        ["violated"],
    )


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


@both
def test_each_round_has_its_own_producers_only(how: str) -> None:
    """A node that is reached twice, from two nodes, names each time the one that it came from."""
    tracer = RecordingTracer()
    builder = line("a", "c")
    builder.add_node("b", says("b"))
    builder.add_edge("b", "c")
    builder.add_conditional_edges("c", lambda s: END if "b" in s["log"] else "b", ["b", END])
    run(guard(builder, tracer=tracer).compile(), how)
    assert [(t.node, t.producers) for t in tracer.transitions] == [
        ("a", ()),
        ("c", ("a",)),
        ("b", ("c",)),
        ("c", ("b",)),
    ]


@both
def test_a_router_to_nowhere_is_a_violation_of_the_node(how: str) -> None:
    """A conditional edge that names no node would end a bare run in silence; here it is told."""
    builder = line("a")
    builder.add_node("next", says("next"))
    builder.add_conditional_edges("a", lambda state: "nxet")
    assert run(builder.compile(), how) == {"log": ["a"]}
    tracer = RecordingTracer()
    with pytest.raises(ContractViolation, match=r"no such node; did you mean 'next'\?") as caught:
        run(guard(builder, tracer=tracer).compile(), how)
    assert (caught.value.node, caught.value.direction) == ("a", "route")
    assert [t.status for t in tracer.transitions] == ["failed"]
