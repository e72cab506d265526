"""`@gated`: functions stay what they are, and never run ungated in silence."""

import asyncio
import functools
import inspect
from typing import Any, get_type_hints

import pytest
from langchain_core.runnables import RunnableLambda
from langgraph.graph import START, StateGraph
from small_graphs import State, both, graph_of, never, run

from coordgate import (
    CoordgateError,
    Degrade,
    Feedback,
    GateRejected,
    NodeGuard,
    Policy,
    UngatedError,
    gate,
    gated,
    guard,
)


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
