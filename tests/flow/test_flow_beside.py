"""Reroutes, send-backs and marks beside people, budgets, invariants, drawings and settings."""

import operator
from pathlib import Path
from typing import Annotated, Any

import pytest
from flows import State, bad, both, ends, good, graph, run, thread
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.types import Command
from pydantic import Field
from typing_extensions import TypedDict

from coordgate import (
    Budget,
    ConfigurationError,
    Contract,
    ContractViolation,
    Degrade,
    Escalate,
    InvariantViolated,
    NodeGuard,
    Policy,
    Reject,
    Reroute,
    Retry,
    SendBack,
    Verdict,
    feedback,
    gate,
    guard,
)
from coordgate.drawing import draw
from coordgate.testing import RecordingTracer

FACTS = Contract(accepts={"facts": Annotated[str, Field(min_length=1)]})


def find(state: State) -> dict[str, Any]:
    """Find nothing, until told."""
    return {"facts": "" if feedback() is None else "It rains.", "ran": ["find"]}


@both
def test_a_person_may_be_asked_before_the_producer(how: str) -> None:
    """A bad input that a person does not take is sent back, in another process too."""
    saver = InMemorySaver()
    nodes = {"use": NodeGuard(FACTS, policy=Policy(Escalate("editor"), SendBack()))}

    def app() -> Any:
        builder = graph("find", "use", find=find).add_edge("find", "use")
        return guard(builder, nodes).compile(checkpointer=saver)

    asked = run(app(), how, {}, thread())["__interrupt__"][0].value
    assert list(asked["answers"]) == ["edit", "reject"]
    result = run(app(), how, Command(resume=Reject("no facts in it")), thread())
    assert result["ran"] == ["find", "find", "use"]


@both
def test_a_person_may_be_asked_once_the_producer_has_been(how: str) -> None:
    """The question comes after the bound, and not before."""
    nodes = {"use": NodeGuard(FACTS, policy=Policy(SendBack(), Escalate("editor")))}
    builder = graph("find", "use", find=lambda state: {"facts": "", "ran": ["find"]})
    app = guard(builder.add_edge("find", "use"), nodes).compile(checkpointer=InMemorySaver())
    paused = run(app, how, {}, thread())
    assert paused["ran"] == ["find", "find"]
    assert paused["__interrupt__"][0].value["to"] == "editor"


@both
def test_a_spent_budget_leaves_a_way_out_and_no_way_back(how: str) -> None:
    """Rerouting to the end runs nothing; a producer would have to be paid for."""
    spent = Budget(attempts=2)
    builder = graph("find", "use", find=lambda state: {"facts": "", "ran": ["find"]})
    nodes = {"use": NodeGuard(FACTS, policy=Policy(SendBack(times=5), Degrade({"draft": "?"})))}
    app = guard(builder.add_edge("find", "use"), nodes, budget=spent).compile()
    result = run(app, how)
    assert (result["ran"], result["draft"]) == (["find", "find"], "?")

    away = {"write": NodeGuard(gates=[good], policy=Policy(Retry(5), Reroute("__end__")))}
    app = guard(graph("write", write=bad("write")), away, budget=spent).compile()
    assert run(app, how, {"facts": "It rains."})["ran"] == []


@both
def test_an_invariant_is_judged_beside_a_node_that_is_left(how: str) -> None:
    """What the other node of the step writes is judged, though this one hands over nothing."""

    def no_draft(state: State) -> bool:
        return "draft" not in state

    builder = graph("write", "other", "mend", write=bad("write"), other=lambda s: {"draft": "good"})
    builder.add_edge(START, "other")
    away = {"write": NodeGuard(gates=[good], policy=Policy(Reroute("mend")))}
    with pytest.raises(InvariantViolated, match="no_draft"):
        run(guard(builder, away, invariants=[no_draft]).compile(), how)
    allowed = graph("write", "other", "mend", write=bad("write")).add_edge(START, "other")
    result = run(guard(allowed, away, invariants=[no_draft]).compile(), how)
    assert sorted(result["ran"]) == ["mend", "other"]


@both
def test_an_invariant_sees_the_mark(how: str) -> None:
    """What must hold of an answer unless it is a stated one can be said."""

    class Marked(TypedDict, total=False):
        draft: str
        by: Annotated[list[str], operator.add]

    def sourced(state: Marked) -> bool:
        return "source" in state["draft"] or bool(state["by"])

    @gate
    def never(output: Any) -> Verdict:
        return Verdict.reject("never")

    def app(**mark: Any) -> Any:
        builder = StateGraph(Marked).add_node("write", lambda state: {"draft": "a source"})
        policy = Policy(Degrade({"draft": "?"}, **mark))
        builder.add_edge(START, "write")
        return guard(
            builder, {"write": NodeGuard(gates=[never], policy=policy)}, invariants=[sourced]
        )

    assert run(app(mark="by").compile(), how) == {"draft": "?", "by": ["write"]}
    with pytest.raises(InvariantViolated, match="sourced"):
        run(app().compile(), how)


@both
def test_a_loop_through_two_consumers_is_recorded_as_it_went(how: str) -> None:
    """Each send-back is a transition of its own, with the producers of each run."""
    tracer = RecordingTracer()
    builder = graph("find", "a", "b", find=find).add_edge("find", "a").add_edge("find", "b")
    nodes = {name: NodeGuard(FACTS, policy=Policy(SendBack())) for name in ("a", "b")}
    run(guard(builder, nodes, tracer=tracer).compile(), how)
    assert sorted((node, status, tuple(sorted(goto))) for node, status, goto in ends(tracer)) == [
        ("a", "accepted", ()),
        ("a", "sent_back", ("find",)),
        ("b", "accepted", ()),
        ("b", "sent_back", ("find",)),
        ("find", "accepted", ("a", "b")),
        ("find", "accepted", ("a", "b")),
    ]
    again = [each for each in tracer.transitions if each.node == "find"][1]
    assert sorted(again.producers) == ["a", "b"]


def test_a_drawing_says_where_control_goes() -> None:
    """The ladder is drawn in words."""
    policy = Policy(SendBack(), SendBack("find"), Reroute("mend"))
    builder = graph("find", "use", "mend").add_edge("find", "use")
    drawn = str(draw(guard(builder, {"use": NodeGuard(FACTS, policy=policy)}).compile()))
    assert "send back to the producer, then send back to find, then go to mend" in drawn


@pytest.mark.parametrize("schema", [State, dict])
def test_a_graph_is_drawn_by_langgraph_as_it_was(schema: Any) -> None:
    """What the engine adds to the graph's start and channels is no edge and no node."""
    builder = StateGraph(schema).add_node("find", find).add_node("mend", find)
    builder.add_edge(START, "find").add_conditional_edges("find", lambda state: "mend", ["mend"])
    app = guard(builder, {"find": NodeGuard(policy=Policy(Reroute("mend")))}).compile()
    assert app.get_graph().draw_mermaid() == builder.compile().get_graph().draw_mermaid()
    assert app.get_input_jsonschema() == builder.compile().get_input_jsonschema()
    assert app.get_output_jsonschema() == builder.compile().get_output_jsonschema()


@pytest.mark.parametrize(
    ("written", "rung"),
    [
        ("{ send_back = true }", SendBack()),
        ("{ send_back = true, times = 2 }", SendBack(times=2)),
        ('{ send_back = "find" }', SendBack("find")),
        ('{ reroute = "mend", times = 3 }', Reroute("mend", times=3)),
    ],
)
def test_toml_knows_the_rungs(written: str, rung: Any, tmp_path: Path) -> None:
    """A settings file makes the same ladder."""
    settings = tmp_path / "coordgate.toml"
    settings.write_text(
        f'[nodes.use]\ngates = [{{ use = "not_empty", args = ["draft"] }}]\npolicy = [{written}]\n'
    )
    builder = graph("find", "use", "mend").add_edge("find", "use")
    app: Any = guard(builder, str(settings)).compile()
    assert app.coordgate.nodes["use"].policy == Policy(rung)


@pytest.mark.parametrize(
    "written", ["{ send_back = false }", "{ send_back = 2 }", "{ reroute = 1 }"]
)
def test_toml_refuses_what_it_does_not_know(written: str, tmp_path: Path) -> None:
    """Neither a switch that is off, nor a number, is a rung."""
    settings = tmp_path / "coordgate.toml"
    settings.write_text(f"[nodes.use]\npolicy = [{written}]\n")
    with pytest.raises(ConfigurationError, match="is no rung"):
        guard(graph("use"), str(settings))


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        (lambda: NodeGuard(FACTS, policy=Policy(SendBack("fnd"))), "did you mean 'find'"),
        (lambda: NodeGuard(FACTS, policy=Policy(SendBack("use"))), "run again in its place"),
        (lambda: NodeGuard(FACTS, policy=Policy(SendBack("__end__"))), "no node '__end__'"),
        (lambda: NodeGuard(policy=Policy(SendBack())), "does not say what it accepts"),
        (lambda: SendBack(2), "how often it may be sent back is SendBack"),  # type: ignore[arg-type]
        (lambda: SendBack(times=0), "give a number, 1 or more"),
    ],
)
def test_a_way_back_that_cannot_be_is_an_error_at_build(spec: Any, told: str) -> None:
    """A node that does not exist, the node itself, and a rung that can never apply."""
    with pytest.raises(ConfigurationError, match=told):
        guard(graph("find", "use").add_edge("find", "use"), {"use": spec()}).compile()


@both
def test_an_observed_bad_input_is_not_sent_back(how: str) -> None:
    """In observe mode the node runs on what it was handed, and the record says what was wrong."""
    tracer = RecordingTracer()
    builder = graph("find", "use", find=find).add_edge("find", "use")
    nodes = {"use": NodeGuard(FACTS, policy=Policy(SendBack()))}
    result = run(guard(builder, nodes, mode="observe", tracer=tracer).compile(), how)
    assert result["ran"] == ["find", "use"]
    assert [status for _, status, _ in ends(tracer)] == ["accepted", "observed"]


@both
def test_without_a_way_back_the_error_is_that_of_the_input(how: str) -> None:
    """The node that handed over is named, and the remedy."""
    builder = graph("find", "use", find=lambda state: {"facts": ""}).add_edge("find", "use")
    with pytest.raises(ContractViolation, match="handed a bad input by 'find'") as failed:
        run(guard(builder, {"use": NodeGuard(FACTS)}).compile(), how)
    assert "SendBack()" in failed.value.remedy
