"""Reroute: a node that is given up is left for another one, and for nothing else."""

import asyncio
from typing import Any

import pytest
from flows import State, bad, both, ends, good, graph, run, step, thread
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START
from langgraph.types import Command, Send

from coordgate import (
    ConfigurationError,
    Contract,
    NodeGuard,
    Policy,
    Reroute,
    Retry,
    Verdict,
    gate,
    guard,
)
from coordgate.testing import RecordingTracer

AWAY = {"write": NodeGuard(gates=[good], policy=Policy(Reroute("mend")))}


@both
def test_control_goes_there_and_not_along_a_static_edge(how: str) -> None:
    """The rejected draft is not written, the edge is not taken, and the record says where to."""
    tracer = RecordingTracer()
    builder = graph("write", "send", "mend", write=bad("write")).add_edge("write", "send")
    policy = Policy(Retry(1), Reroute("mend"))
    app = guard(builder, {"write": NodeGuard(gates=[good], policy=policy)}, tracer=tracer).compile()
    result = run(app, how, {"draft": "old"})
    assert result["draft"] == "old"
    assert result["ran"] == ["mend"]
    assert ends(tracer) == [("write", "rerouted", ("mend",)), ("mend", "accepted", ())]
    assert [(a.rung, a.outcome) for a in tracer.attempts("write")] == [
        ("first", "rejected"),
        ("retry", "rejected"),
        ("reroute:mend", "rerouted"),
    ]
    left, reached = tracer.transitions
    assert left.writes is None
    assert reached.producers == ("write",)


@both
def test_conditional_edges_and_gotos_of_the_rejected_output_are_not_taken(how: str) -> None:
    """Neither the router is asked, nor does the Command's goto or its update count."""
    asked: list[str] = []

    def route(state: State) -> str:
        asked.append("route")
        return "send"

    def command(state: State) -> Command[Any]:
        return Command(goto=["send", Send("send", {})], update={"draft": "bad", "ran": ["write"]})

    routed = graph("write", "send", "mend", write=bad("write"))
    routed.add_conditional_edges("write", route, ["send"])
    commanded = graph("write", "send", "mend", write=command)
    for builder in (routed, commanded):
        result = run(guard(builder, AWAY).compile(), how)
        assert result["ran"] == ["mend"]
    assert asked == []


@both
def test_a_node_that_raises_is_left_too(how: str) -> None:
    """An exception leads to the other node, which is told of it."""

    def fail(state: State) -> Any:
        raise ConnectionError("down")

    app = guard(graph("write", "mend", write=fail), AWAY).compile()
    assert run(app, how)["told"] == ["mend: ConnectionError: down (write)"]


@both
def test_a_node_that_was_handed_a_bad_input_is_left_too(how: str) -> None:
    """What the node does not accept need not end the run; the node itself does not run."""
    spec = NodeGuard(Contract(accepts={"draft": str}), policy=Policy(Retry(3), Reroute("mend")))
    app = guard(graph("write", "mend", write=bad("write")), {"write": spec}).compile()
    result = run(app, how)
    assert result["ran"] == ["mend"]
    assert result["told"] == ["mend: draft: is required, and missing (write)"]


@both
def test_the_other_node_is_told_why(how: str) -> None:
    """It gets the last reasons, those before as history, who says so, and no rejected value."""
    told: list[Any] = []
    tries = iter(["first", "second"])

    @gate
    def never(output: Any) -> Verdict:
        return Verdict.reject(f"{output['draft']} is not good")

    def write(state: State) -> dict[str, Any]:
        return {"draft": next(tries)}

    def mend(state: State, feedback: Any = None) -> dict[str, Any]:
        told.append(feedback)
        return {"ran": ["mend"]}

    spec = NodeGuard(gates=[never], policy=Policy(Retry(1), Reroute("mend")))
    app = guard(graph("write", "mend", "last", write=write, mend=mend), {"write": spec}).compile()
    run(app, how)
    (feedback,) = told
    assert feedback.reasons == ("never: second is not good",)
    assert feedback.history == (("never: first is not good",),)
    assert (feedback.by, feedback.rejected, feedback.attempt) == (("write",), None, 1)


@both
def test_only_the_node_that_was_gone_to_is_told(how: str) -> None:
    """The node after it is told nothing, nor is the same node when it runs again later."""
    builder = graph("write", "mend", "last", write=bad("write")).add_edge("mend", "last")
    builder.add_conditional_edges(
        "last", lambda state: "mend" if state["ran"].count("last") < 2 else END, ["mend", END]
    )
    result = run(guard(builder, AWAY).compile(), how)
    assert result["ran"] == ["mend", "last", "mend", "last"]
    assert result["told"] == ["mend: good: is not good (write)"]


@both
def test_a_retry_of_the_other_node_keeps_what_it_was_told_as_history(how: str) -> None:
    """Its own reasons come first; why it was gone to stays known."""
    told: list[Any] = []

    def mend(state: State, feedback: Any = None) -> dict[str, Any]:
        told.append(feedback)
        return {"draft": "bad" if len(told) == 1 else "good"}

    nodes = {**AWAY, "mend": NodeGuard(gates=[good], policy=Policy(Retry(1)))}
    run(guard(graph("write", "mend", write=bad("write"), mend=mend), nodes).compile(), how)
    assert told[1].reasons == ("good: is not good",)
    assert told[1].history == (("good: is not good",),)
    assert (told[1].by, told[1].attempt) == ((), 2)


@both
def test_a_join_is_not_fed(how: str) -> None:
    """A node that waits for the one that was left does not run."""
    builder = graph("write", "other", "both", "mend", write=bad("write"))
    builder.add_edge(START, "other").add_edge(["write", "other"], "both")
    assert sorted(run(guard(builder, AWAY).compile(), how)["ran"]) == ["mend", "other"]


@both
def test_a_join_goes_on_when_the_way_leads_back(how: str) -> None:
    """If the other node hands over to the first again, that one feeds the join once it passes."""
    drafts = iter(["bad", "good"])

    def write(state: State) -> dict[str, Any]:
        return {"draft": next(drafts), "ran": ["write"]}

    builder = graph("write", "other", "both", "mend", write=write).add_edge(START, "other")
    builder.add_edge(["write", "other"], "both").add_edge("mend", "write")
    result = run(guard(builder, AWAY).compile(), how)
    assert sorted(result["ran"][:2]) == ["mend", "other"]
    assert result["ran"][2:] == ["write", "both"]


@both
def test_end_ends_this_way_only(how: str) -> None:
    """Nothing starts after the node; a branch beside it goes on."""
    tracer = RecordingTracer()
    builder = graph("write", "send", "other", "last", write=bad("write")).add_edge("write", "send")
    builder.add_edge(START, "other").add_edge("other", "last")
    nodes = {"write": NodeGuard(gates=[good], policy=Policy(Reroute(END)))}
    assert run(guard(builder, nodes, tracer=tracer).compile(), how)["ran"] == ["other", "last"]
    (left,) = (each for each in tracer.transitions if each.node == "write")
    assert (left.status, left.goto) == ("rerouted", ())
    assert left.attempts[-1].rung == "reroute:__end__"


@both
def test_a_deferred_node_waits_and_is_told(how: str) -> None:
    """A target that waits for all others still hears why it was gone to."""
    builder = graph("write", "a", "b", write=bad("write")).add_edge(START, "a").add_edge("a", "b")
    builder.add_node("mend", step("mend"), defer=True)
    result = run(guard(builder, AWAY).compile(), how)
    assert result["ran"] == ["a", "b", "mend"]
    assert result["told"] == ["mend: good: is not good (write)"]


@both
def test_several_sent_tasks_lead_to_one_run_of_the_other_node(how: str) -> None:
    """Of three tasks by Send two are left: the other node runs once, told by both."""

    def write(state: Any) -> dict[str, Any]:
        return {"draft": state["draft"], "ran": ["write"]}

    @gate
    def known(output: Any) -> Verdict:
        draft = output["draft"]
        return Verdict.accept() if draft == "good" else Verdict.reject(f"{draft} is not good")

    builder = graph("fan", "write", "mend", write=write)
    builder.add_conditional_edges(
        "fan", lambda state: [Send("write", {"draft": each}) for each in ("x", "good", "y")]
    )
    spec = NodeGuard(gates=[known], policy=Policy(Reroute("mend")))
    result = run(guard(builder, {"write": spec}).compile(), how)
    assert result["ran"] == ["fan", "write", "mend"]
    assert result["told"] == ["mend: known: x is not good and known: y is not good (write)"]


@both
def test_a_node_of_a_subgraph_stays_in_it(how: str) -> None:
    """The target is one of the same graph, told why; what is around goes on as ever."""
    inner = graph("write", "send", "mend", write=bad("write")).add_edge("write", "send").compile()
    builder = graph("sub", "last", sub=inner).add_edge("sub", "last")
    nodes = {"sub|write": AWAY["write"]}
    result = run(guard(builder, nodes).compile(checkpointer=InMemorySaver()), how, {}, thread())
    assert result["ran"] == ["mend", "last"]
    assert result["told"] == ["mend: good: is not good (write)"]

    outside = NodeGuard(policy=Policy(Reroute("last")))
    guarded = guard(builder, {"sub|write": outside})
    with pytest.raises(ConfigurationError, match="no node 'last'"):
        guarded.compile()


@both
def test_a_subgraph_is_left_as_a_whole(how: str) -> None:
    """What a rejected subgraph would have handed over is not written."""
    inner = graph("write", write=bad("write")).compile()
    builder = graph("sub", "send", "mend", sub=inner).add_edge("sub", "send")
    assert run(guard(builder, {"sub": AWAY["write"]}).compile(), how)["ran"] == ["mend"]


@both
@pytest.mark.parametrize("mode", ["values", "updates", "tasks", "debug", "custom", "messages"])
def test_streams_show_nothing_of_what_was_rejected(how: str, mode: str) -> None:
    """No stream mode fails, none holds the rejected draft, none the engine's own channel."""
    app: Any = guard(graph("write", "send", "mend", write=bad("write")), AWAY).compile()

    async def collected() -> list[Any]:
        return [chunk async for chunk in app.astream({}, stream_mode=mode)]

    chunks = [*app.stream({}, stream_mode=mode)] if how == "sync" else asyncio.run(collected())
    assert "'bad'" not in repr(chunks)  # an id may hold it, too
    assert "__coordgate__" not in repr(chunks)
