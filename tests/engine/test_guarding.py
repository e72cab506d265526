"""`guard` and `@gated`: what they take, what they leave as it was, and what they refuse."""

import asyncio
import functools
import inspect
import operator
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import pytest
from langchain_core.runnables import RunnableLambda
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.func import entrypoint
from langgraph.graph import START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import RetryPolicy
from pydantic import BaseModel
from typing_extensions import TypedDict

from coordgate import (
    ConfigurationError,
    Contract,
    CoordgateError,
    Degrade,
    Fallback,
    Feedback,
    GateRejected,
    NodeGuard,
    Policy,
    Retry,
    UngatedError,
    Verdict,
    feedback,
    gate,
    gated,
    guard,
)
from coordgate.testing import RecordingTracer, scripted


class State(TypedDict, total=False):
    """The state of the graphs here."""

    draft: str
    count: int


def write(state: State) -> State:
    """Write a draft."""
    return {"draft": "x"}


@gate
def never(output: State) -> bool:
    """Pass nothing."""
    return False


def graph_of(node: Any = write, **settings: Any) -> StateGraph[Any, Any, Any, Any]:
    """Return a graph of one node."""
    builder = StateGraph(State)
    builder.add_node("write", node, **settings)
    builder.add_edge(START, "write")
    return builder


both = pytest.mark.parametrize("how", ["sync", "async"])


def run(app: Any, how: str = "sync", given: Any = None) -> Any:
    """Run a graph, sync or async."""
    given = {} if given is None else given
    return app.invoke(given) if how == "sync" else asyncio.run(app.ainvoke(given))


# What comes out


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


# Gated functions


@gated(gates=[never])
def documented(state: State, *, feedback: Feedback | None = None) -> State:
    """Say something."""
    return {"draft": "said"}


def test_a_gated_function_keeps_what_it_is() -> None:
    """Signature, annotations, name, docstring, module and type stay."""
    assert documented.__name__ == "documented"
    assert documented.__doc__ == "Say something."
    assert documented.__module__ == __name__
    assert list(inspect.signature(documented).parameters) == ["state", "feedback"]
    assert get_type_hints(documented)["return"] is State
    assert inspect.isfunction(documented)
    assert documented({}) == {"draft": "said"}


def test_a_gated_function_keeps_its_kind_and_is_called_directly() -> None:
    """Sync stays sync, async async, a generator a generator, and each can be tested by itself."""

    @gated(gates=[never])
    async def coroutine(state: State) -> State:
        return {"draft": "a"}

    @gated(gates=[never])
    def generator(state: State) -> Any:
        yield {"draft": "b"}
        return 3

    @gated(gates=[never])
    async def async_generator(state: State) -> Any:
        yield {"draft": "c"}

    async def all_of(flow: Any) -> list[Any]:
        return [item async for item in flow]

    assert inspect.iscoroutinefunction(coroutine)
    assert asyncio.run(coroutine({})) == {"draft": "a"}
    assert inspect.isgeneratorfunction(generator)
    assert list(generator({})) == [{"draft": "b"}]
    assert inspect.isasyncgenfunction(async_generator)
    assert asyncio.run(all_of(async_generator({}))) == [{"draft": "c"}]


@both
@pytest.mark.parametrize("kind", ["function", "coroutine", "generator", "async generator"])
def test_a_gated_node_in_an_unguarded_graph_is_refused(how: str, kind: str) -> None:
    """It never runs ungated in silence; the error names the one-line cure."""
    ran: list[int] = []

    def function(state: State) -> State:
        ran.append(1)
        return {"draft": "x"}

    async def coroutine(state: State) -> State:
        ran.append(1)
        return {"draft": "x"}

    def generator(state: State) -> Any:
        ran.append(1)
        yield {"draft": "x"}

    async def async_generator(state: State) -> Any:
        ran.append(1)
        yield {"draft": "x"}

    nodes: dict[str, Any] = {
        "function": function,
        "coroutine": coroutine,
        "generator": generator,
        "async generator": async_generator,
    }
    if how == "sync" and "async" in kind + str(inspect.iscoroutinefunction(nodes[kind])):
        how = "async"
    if kind == "coroutine":
        how = "async"
    app = graph_of(gated(gates=[never])(nodes[kind])).compile()
    with pytest.raises(UngatedError, match=r"guard\(app\)"):
        run(app, how)
    assert ran == []


@both
def test_a_gated_node_with_arguments_bound_is_refused_ungated_and_gated_guarded(how: str) -> None:
    """A `functools.partial` or a Runnable around a gated function keeps what it declares."""

    def two(state: State, extra: str) -> State:
        return {"draft": extra}

    gated_two = gated(gates=[never])(two)
    for node in (functools.partial(gated_two, extra="x"), RunnableLambda(documented)):
        with pytest.raises(UngatedError):
            run(graph_of(node).compile(), how)
        with pytest.raises(GateRejected):
            run(guard(graph_of(node)).compile(), how)


@both
def test_a_gated_method_and_a_gated_call_are_gated(how: str) -> None:
    """`@gated` on a method, or on a class's `__call__`, holds for the nodes made of it."""

    class Writer:
        @gated(gates=[never])
        def method(self, state: State) -> State:
            return {"draft": "x"}

    class Caller:
        @gated(gates=[never])
        def __call__(self, state: State) -> State:
            return {"draft": "x"}

    for node in (Writer().method, Caller()):
        with pytest.raises(UngatedError):
            run(graph_of(node).compile(), how)
        with pytest.raises(GateRejected):
            run(guard(graph_of(node)).compile(), how)


@both
def test_a_gated_node_in_an_unguarded_subgraph_of_a_guarded_graph_is_refused(how: str) -> None:
    """A graph that a guarded node calls is not guarded by that, and says so."""
    inner = graph_of(documented).compile()
    with pytest.raises(UngatedError):
        run(guard(graph_of(lambda state: inner.invoke(state))).compile(), how)


@both
def test_a_gated_node_in_a_subgraph_of_a_guarded_graph_is_guarded(how: str) -> None:
    """A subgraph that is a node is guarded with its parent."""
    inner = graph_of(documented).compile()
    outer = StateGraph(State)
    outer.add_node("sub", inner)
    outer.add_edge(START, "sub")
    with pytest.raises(GateRejected, match="'write' was rejected by gate 'never'"):
        run(guard(outer).compile(), how)
    with pytest.raises(GateRejected, match="'write' was rejected by gate 'never'"):
        run(guard(outer.compile()), how)
    with pytest.raises(UngatedError):
        run(outer.compile(), how)


@both
def test_a_gated_function_called_by_a_guarded_node_is_a_plain_function(how: str) -> None:
    """Called as a function from another guarded node's body, it is not a node."""
    assert run(guard(graph_of(lambda state: documented(state))).compile(), how) == {"draft": "said"}


def test_gated_without_arguments_checks_against_the_state() -> None:
    """A bare `@gated` asks for a guard, and for nothing but the state's own annotations."""

    @gated
    def wrong(state: State) -> Any:
        return {"draft": 3}

    with pytest.raises(UngatedError):
        run(graph_of(wrong).compile())
    with pytest.raises(CoordgateError, match="draft"):
        run(guard(graph_of(wrong)).compile())


def test_guard_adds_to_what_is_gated() -> None:
    """`guard(nodes=)` goes over the decorator where it says something, and leaves the rest."""

    @gated(gates=[never])
    def declared(state: State) -> State:
        return {"draft": "x"}

    policy = Policy(Degrade({"draft": "sorry"}))
    app = guard(graph_of(declared), {"write": NodeGuard(policy=policy)}).compile()
    assert run(app) == {"draft": "sorry"}
    other = gate(lambda output: True)
    app = guard(graph_of(declared), {"write": NodeGuard(gates=[other])}).compile()
    assert run(app) == {"draft": "x"}


# Bad input to coordgate itself


def refused(match: str) -> Any:
    """Expect a ConfigurationError."""
    return pytest.raises(ConfigurationError, match=match)


@pytest.mark.parametrize("target", [None, 3, "graph", write, RunnableLambda(write), State, {}])
def test_what_is_no_graph_cannot_be_guarded(target: Any) -> None:
    """`guard` says what it takes."""
    with refused("give a StateGraph, a compiled graph or an @entrypoint"):
        guard(target)


def test_an_unknown_mode_is_refused() -> None:
    """The mode is one of two."""
    with refused("use 'enforce' or 'observe'"):
        guard(graph_of(), mode="warn")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("wirte", r"no node 'wirte'; did you mean 'write'\?"),
        ("write|inner", "is no compiled graph, so it has no node 'inner' inside"),
        ("nowhere|inner", "no node 'nowhere'"),
        ("__start__", "no node '__start__'"),
    ],
)
def test_a_declaration_for_an_unknown_node_is_refused(name: str, says: str) -> None:
    """The name is checked when the graph is built, and the nearest one is named."""
    with refused(says):
        guard(graph_of().compile(), {name: NodeGuard()})
    with refused(says):
        guard(graph_of(), {name: NodeGuard()}).compile()


def test_a_declaration_for_an_unknown_node_of_a_subgraph_is_refused() -> None:
    """The path is checked all the way down."""
    outer = StateGraph(State)
    outer.add_node("sub", graph_of().compile())
    outer.add_edge(START, "sub")
    with refused(r"no node 'wirte'; did you mean 'write'\?"):
        guard(outer.compile(), {"sub|wirte": NodeGuard()})


def test_a_declaration_that_is_no_node_guard_is_refused() -> None:
    """The values of `nodes` are NodeGuards."""
    with refused("give a NodeGuard"):
        guard(graph_of(), {"write": [never]})  # type: ignore[dict-item]


def test_an_unreadable_settings_file_is_refused(tmp_path: Path) -> None:
    """A missing file, and one that is no TOML, are named."""
    with refused("missing.toml"):
        guard(graph_of(), tmp_path / "missing.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("nodes = [")
    with refused("cannot be read as TOML"):
        guard(graph_of(), broken)


@pytest.mark.parametrize(
    "shape",
    [
        lambda: None,
        lambda output, state, more: True,
        lambda *, output: True,
        "max_length",
        3,
        None,
        Verdict,
        BaseModel,
    ],
)
def test_a_gate_of_the_wrong_shape_is_refused(shape: Any) -> None:
    """A gate takes (output, state) or (output), and is refused when it is declared."""
    with refused(r"\(output, state\)"):
        NodeGuard(gates=[shape])
    with refused(r"\(output, state\)"):
        gated(gates=[shape])(write)


@pytest.mark.parametrize(
    "shape",
    [
        lambda output: True,
        lambda output, state: True,
        lambda output, state=None: True,
        lambda *args: True,
        lambda output, /, state, *, flag=False: True,
        lambda output, limit=3: True,
        functools.partial(lambda limit, output: True, 3),
        bool,
    ],
)
def test_a_gate_of_the_right_shape_is_taken(shape: Any) -> None:
    """Anything that can be called so is a gate."""
    if shape is bool:
        shape = gate(bool)
    spec = NodeGuard(gates=[shape])
    assert run(guard(graph_of(), {"write": spec}).compile()) == {"draft": "x"}


@pytest.mark.parametrize("gates", [never, "never", 3, {never}])
def test_gates_that_are_no_list_are_refused(gates: Any) -> None:
    """One gate alone, or a string, is no list of gates."""
    with refused("give a list of gates"):
        NodeGuard(gates=gates)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"contract": State}, r"use Contract\("),
        ({"policy": Retry(1)}, r"use Policy\(Retry"),
        ({"policy": [Retry(1)]}, r"use Policy\(Retry"),
        ({"effects": "some"}, "effects='some'"),
        ({"stream": "drop"}, "stream='drop'"),
        ({"effects": "external", "policy": Policy(Retry(1))}, "drop Retry, or declare"),
        ({"gates": [gate(otherwise="degrade")(lambda output: True)]}, "jumps to 'degrade'"),
        (
            {
                "gates": [gate(otherwise="fallback")(lambda output: True)],
                "policy": Policy(Retry(1)),
            },
            "jumps to 'fallback', which is not on the node's policy",
        ),
    ],
)
def test_a_node_guard_that_cannot_work_is_refused(settings: Any, says: str) -> None:
    """Each part is checked when it is declared, here and on the decorator."""
    with refused(says):
        NodeGuard(**settings)
    if "contract" not in settings:
        with refused(says):
            gated(**settings)


def test_a_jump_that_no_rung_answers_is_refused_once_both_halves_are_known() -> None:
    """Gate on the decorator, policy on the guard: what they are together is checked, too."""
    jumping = NodeGuard(
        gates=[gate(otherwise="degrade")(lambda output: False)],
        policy=Policy(Degrade({"draft": ""})),
    )
    app = guard(graph_of(), {"write": jumping})
    with refused("jumps to 'degrade'"):
        guard(app, {"write": NodeGuard(policy=Policy(Retry(1)))}).compile()


@pytest.mark.parametrize("rung", ["panic", "ship", "RETRY"])
def test_a_jump_to_no_rung_is_refused(rung: Any) -> None:
    """`otherwise` names a rung."""
    with refused("is not a rung"):
        gate(otherwise=rung)(lambda output: True)
    with refused("is not a rung"):
        Verdict.reject("no", otherwise=rung)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Retry(0), "1 or more"),
        (lambda: Retry(-1), "1 or more"),
        (lambda: Retry(True), "1 or more"),
        (lambda: Retry(1.5), "1 or more"),  # type: ignore[arg-type]
        (lambda: Retry(1, wait=-1), "seconds from 0"),
        (lambda: Retry(1, backoff=0.5), "backoff is 1 or more"),
        (lambda: Fallback(None), "give a node function or a Runnable"),
        (lambda: Fallback({"draft": "x"}), "give a node function or a Runnable"),
        (lambda: Degrade("sorry"), "give the update as a dict"),  # type: ignore[arg-type]
        (lambda: Policy(Degrade({}), Retry(1)), "would never be reached"),
        (lambda: Policy(Degrade({}), Degrade({})), "would never be reached"),
        (lambda: Policy(3), "is not a rung"),  # type: ignore[arg-type]
        (lambda: Policy(Retry), "is not a rung"),  # type: ignore[arg-type]
        (lambda: gate(timeout=0)(lambda output: True), "seconds above 0"),
        (lambda: gate(3), "a gate is a function"),  # type: ignore[call-overload]
        (lambda: Contract(returns="Draft"), "give a type"),
        (lambda: Contract(accepts=["draft"]), "give a type"),
    ],
)
def test_a_part_that_cannot_work_is_refused(make: Any, says: str) -> None:
    """Rungs, policies, gates and contracts are checked when they are made."""
    with refused(says):
        make()


@pytest.mark.parametrize(
    ("update", "says"),
    [
        ({"draft": 3}, "draft: .*string"),
        ({"darft": "x"}, "did you mean 'draft'"),
        ({"count": "many"}, "count"),
    ],
)
def test_a_degrade_value_that_breaks_the_contract_is_refused(update: Any, says: str) -> None:
    """A stated answer is checked when the guard is built, also where the contract is inferred."""
    spec = NodeGuard(policy=Policy(Degrade(update)))
    with refused(says):
        guard(graph_of().compile(), {"write": spec})


def test_a_degrade_value_that_breaks_a_declared_contract_is_refused() -> None:
    """A missing key of a declared contract is seen, too."""
    contract = Contract(returns={"draft": str, "count": int})
    spec = NodeGuard(contract=contract, policy=Policy(Degrade({"draft": "x"})))
    with refused("count: is required, and missing"):
        guard(graph_of().compile(), {"write": spec})


@pytest.mark.parametrize(
    ("contract", "says"),
    [
        (Contract(returns={"darft": str}), r"not a key of the state; did you mean 'draft'\?"),
        (Contract(accepts={"cuont": int}), r"not handed; did you mean 'count'\?"),
        (Contract(returns=str), "does not say which state keys"),
        (Contract(returns={"draft": 3}), "draft"),
    ],
)
def test_a_contract_that_cannot_be_kept_is_refused(contract: Contract, says: str) -> None:
    """Unknown keys and types without keys are refused when the guard is built."""
    with refused(says):
        guard(graph_of().compile(), {"write": NodeGuard(contract=contract)})


def test_two_retry_engines_on_one_node_are_refused() -> None:
    """A library's retry inside and `Retry` outside would multiply."""
    spec = NodeGuard(policy=Policy(Retry(1)))
    runnable = RunnableLambda(write).with_retry()
    for node in (runnable, runnable | (lambda output: output)):
        with refused("two retry engines on one node"):
            guard(graph_of(node).compile(), {"write": spec})
    guard(graph_of(runnable).compile(), {"write": NodeGuard(gates=[never])})


def test_an_external_node_with_a_retry_policy_of_langgraphs_is_refused() -> None:
    """`effects="external"` and LangGraph's RetryPolicy contradict each other, default or own."""
    spec = NodeGuard(effects="external")
    with refused("retry policy contradict"):
        guard(graph_of(retry_policy=RetryPolicy()).compile(), {"write": spec})
    builder = graph_of()
    builder.set_node_defaults(retry_policy=RetryPolicy())
    with refused("retry policy contradict"):
        guard(builder.compile(), {"write": spec})


@pytest.mark.parametrize(
    "thing",
    [RunnableLambda(write), functools.partial(write), scripted({}), State, 3],
)
def test_only_functions_are_decorated(thing: Any) -> None:
    """For anything else the error names `guard(nodes=...)`."""
    with refused(r"use guard\(graph, nodes="):
        gated(gates=[never])(thing)


def test_what_no_contract_can_check_is_named_once() -> None:
    """`coordgate.unchecked` names the keys, with the reason."""

    def keep(old, new):  # type: ignore[no-untyped-def]
        return new

    class Odd(TypedDict, total=False):
        kept: Annotated[list[str], keep]
        added: Annotated[list[str], operator.add]
        draft: str

    builder = StateGraph(Odd)
    builder.add_node("a", lambda state: {"kept": 3})
    builder.add_node("b", lambda state: {"draft": "x"})
    builder.add_edge(START, "a")
    builder.add_edge("a", "b")
    app = guard(builder.compile())
    (named,) = app.coordgate.unchecked  # type: ignore[attr-defined]
    assert named.startswith("kept: ")
    assert "'keep'" in named
    assert run(app)["kept"] == 3


def test_the_error_of_a_bad_declaration_names_the_node() -> None:
    """Whoever reads it knows where to look."""
    spec = NodeGuard(policy=Policy(Degrade({"draft": 3})))
    with refused("node 'write'"):
        guard(graph_of().compile(), {"write": spec})


@both
def test_feedback_as_a_parameter_needs_no_default(how: str) -> None:
    """A guarded node may take `feedback` without a default, and is run by itself unguarded."""

    def asks(state: State, feedback: Feedback | None) -> State:
        return {"draft": str(feedback)}

    assert run(guard(graph_of(asks)).compile(), how) == {"draft": "None"}
    assert feedback() is None
