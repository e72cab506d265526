"""`guard`: what comes out of it, and what it leaves as it was."""

from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.func import entrypoint
from langgraph.graph import START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from small_graphs import State, both, graph_of, never, run, write

from coordgate import (
    GateRejected,
    NodeGuard,
    Policy,
    Retry,
    gated,
    guard,
)
from coordgate.testing import RecordingTracer, scripted


def test_same_type_in_same_type_out() -> None:
    """A builder gives a builder, a compiled graph a compiled graph, an entrypoint a Pregel."""

    class OwnGraph(StateGraph[Any, Any, Any, Any]):
        pass

    @entrypoint()
    def flow(given: int) -> int:
        """Return what is given."""
        return given

    own = OwnGraph(State)
    assert isinstance(guard(graph_of()), StateGraph)
    assert isinstance(guard(own), OwnGraph)
    assert isinstance(guard(graph_of().compile()), CompiledStateGraph)
    assert isinstance(guard(graph_of()).compile(), CompiledStateGraph)
    assert isinstance(guard(flow), type(flow))
    assert not isinstance(guard(flow), CompiledStateGraph)
    assert type(guard(graph_of())).__name__ == "StateGraph"
    assert type(guard(graph_of().compile())).__name__ == "CompiledStateGraph"


def test_the_graph_looks_as_it_did() -> None:
    """Name, schemas, drawing, config and node shapes are those of the graph given."""
    bare = graph_of().compile(name="drafting", checkpointer=InMemorySaver())
    app = guard(bare, {"write": NodeGuard(gates=[never], policy=Policy(Retry(1)))})
    assert app.get_name() == "drafting"
    assert app.get_graph().draw_mermaid() == bare.get_graph().draw_mermaid()
    assert app.get_input_jsonschema() == bare.get_input_jsonschema()
    assert app.get_output_jsonschema() == bare.get_output_jsonschema()
    assert app.nodes.keys() == bare.nodes.keys()
    assert app.nodes["write"].bound is bare.nodes["write"].bound
    assert app.checkpointer is bare.checkpointer


def test_the_graph_given_is_left_as_it_was() -> None:
    """Guarding changes neither the builder nor the compiled graph that it was given."""
    builder = graph_of(scripted({"draft": "a"}, {"draft": "b"}, {"draft": "c"}, {"draft": "d"}))
    compiled = builder.compile()
    nodes = {"write": NodeGuard(gates=[never])}
    executables = {name: node.node for name, node in compiled.nodes.items()}
    for target in (builder, compiled):
        with pytest.raises(GateRejected):
            run(guard(target, nodes) if target is compiled else guard(builder, nodes).compile())
    assert run(compiled) == {"draft": "c"}
    assert run(builder.compile()) == {"draft": "d"}
    assert {name: node.node for name, node in compiled.nodes.items()} == executables


def test_what_is_added_to_a_guarded_builder_is_guarded_and_stays_there() -> None:
    """Nodes added after `guard` are guarded; the first builder does not get them."""
    bare = graph_of()
    builder = guard(bare, {"write": NodeGuard(policy=Policy(Retry(1)))})

    @gated(gates=[never])
    def later(state: State) -> State:
        return {"draft": "later"}

    builder.add_node(later)
    builder.add_edge("write", "later")
    with pytest.raises(GateRejected, match="'later'"):
        run(builder.compile())
    assert "later" not in bare.nodes
    assert bare.edges == {(START, "write")}
    assert run(bare.compile()) == {"draft": "x"}


def test_an_edge_added_to_the_bare_builder_does_not_reach_the_guarded_one() -> None:
    """After `guard` both builders go their own ways."""
    bare = graph_of()
    builder = guard(bare)
    bare.add_node("more", write)
    bare.add_edge("write", "more")
    assert "more" not in builder.nodes
    assert run(builder.compile()) == {"draft": "x"}


def test_a_guarded_builder_compiles_twice() -> None:
    """Each compile gives a guarded graph of its own."""
    builder = guard(graph_of(), {"write": NodeGuard(gates=[never])})
    for _ in range(2):
        with pytest.raises(GateRejected):
            run(builder.compile())


def test_with_config_and_copy_keep_the_guard() -> None:
    """LangGraph's own copies of a guarded graph are guarded."""
    app = guard(graph_of().compile(), {"write": NodeGuard(gates=[never])})
    for each in (app.with_config({"tags": ["x"]}), app.copy({"debug": False}), app | (lambda x: x)):
        with pytest.raises(GateRejected):
            run(each)


@both
def test_guarding_twice_is_guarding_once(how: str) -> None:
    """Neither attempts nor records double, whatever is guarded twice."""
    nodes = {"write": NodeGuard(gates=[never], policy=Policy(Retry(2)))}
    for target in ("builder", "compiled", "builder then compiled"):
        tracer = RecordingTracer()
        node = scripted(*[{"draft": "x"}] * 9, name="write")
        builder = graph_of(node)
        if target == "builder":
            app = guard(guard(builder, nodes, tracer=tracer), nodes, tracer=tracer).compile()
        elif target == "compiled":
            app = guard(guard(builder.compile(), nodes, tracer=tracer), nodes, tracer=tracer)
        else:
            app = guard(guard(builder, nodes, tracer=tracer).compile(), nodes, tracer=tracer)
        with pytest.raises(GateRejected) as caught:
            run(app, how)
        assert (node.calls, caught.value.attempts) == (3, 3)
        assert len(tracer.runs) == 1
        assert [len(t.attempts) for t in tracer.transitions] == [3]


def test_the_second_guard_is_laid_over_the_first() -> None:
    """What is given the second time wins, and what it leaves open stays."""
    tracer = RecordingTracer()
    node = scripted(*[{"draft": "x"}] * 9, name="write")
    first = guard(graph_of(node).compile(), {"write": NodeGuard(gates=[never])}, tracer=tracer)
    second = guard(first, {"write": NodeGuard(policy=Policy(Retry(1)))})
    with pytest.raises(GateRejected):
        run(second)
    assert node.calls == 2
    assert len(tracer.runs) == 1
    observed = guard(first, mode="observe")
    assert run(observed) == {"draft": "x"}
    assert run(guard(observed, mode="observe")) == {"draft": "x"}
    with pytest.raises(GateRejected):
        run(first)


def test_a_subgraph_guarded_by_itself_stays_guarded_once_inside_a_guarded_parent() -> None:
    """A guarded graph as a node of a guarded graph: its nodes keep their guard, and one record."""
    tracer, inner_tracer = RecordingTracer(), RecordingTracer()
    node = scripted(*[{"draft": "x"}] * 9, name="write")
    nodes = {"write": NodeGuard(gates=[never], policy=Policy(Retry(1)))}
    inner = guard(graph_of(node).compile(), nodes, tracer=inner_tracer)
    outer = StateGraph(State)
    outer.add_node("sub", inner)
    outer.add_edge(START, "sub")
    with pytest.raises(GateRejected, match="'write'"):
        run(guard(outer, tracer=tracer).compile())
    assert node.calls == 2
    assert [(t.node, len(t.attempts)) for t in tracer.transitions] == [("write", 2), ("sub", 1)]
    assert inner_tracer.transitions == []


def test_a_subgraph_guarded_before_stays_the_one_it_was() -> None:
    """`get_subgraphs` finds the very graph that was put in, where it checks for itself."""
    inner = guard(graph_of().compile())
    outer = guard(graph_of(inner).compile())
    assert [found for _, found in outer.get_subgraphs()] == [inner]
