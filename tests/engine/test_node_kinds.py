"""Every kind of node: guarded it gives what it gives bare, and a gate can reject and repeat it."""

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, NamedTuple, TypedDict

import pytest
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime
from langgraph.store.base import BaseStore
from langgraph.store.memory import InMemoryStore
from langgraph.types import StreamWriter

from coordgate import Feedback, GateRejected, NodeGuard, Policy, Retry, feedback, gate, guard
from coordgate.testing import ScriptedModel


class State(TypedDict, total=False):
    """The state of every graph here."""

    topic: str
    draft: str


def answer(topic: str) -> str:
    """Return what every node here says: more, once it is told why."""
    return f"{topic} at length" if feedback() else f"{topic}"


def function(state: State) -> State:
    """Write a draft."""
    return {"draft": answer(state["topic"])}


def asking(state: State, feedback: Feedback | None = None) -> State:
    """Write a draft, asking for feedback by parameter."""
    return {"draft": f"{state['topic']} at length" if feedback else state["topic"]}


async def coroutine(state: State) -> State:
    """Write a draft, async."""
    await asyncio.sleep(0)
    return {"draft": answer(state["topic"])}


def generator(state: State) -> Iterator[State]:
    """Write a draft, as a generator."""
    yield {"draft": answer(state["topic"])}


async def async_generator(state: State) -> AsyncIterator[State]:
    """Write a draft, as an async generator."""
    await asyncio.sleep(0)
    yield {"draft": answer(state["topic"])}


class Instance:
    """A node that is an object."""

    def __call__(self, state: State) -> State:
        """Write a draft."""
        return {"draft": answer(state["topic"])}

    def method(self, state: State) -> State:
        """Write a draft."""
        return {"draft": answer(state["topic"])}


class AsyncInstance:
    """A node that is an object with an async call."""

    async def __call__(self, state: State) -> State:
        """Write a draft."""
        return {"draft": answer(state["topic"])}


def with_prefix(state: State, prefix: str) -> State:
    """Write a draft with something before it."""
    return {"draft": prefix + answer(state["topic"])}


def taking_config(state: State, config: RunnableConfig) -> State:
    """Write a draft, using the config."""
    return {"draft": answer(state["topic"]) + config["configurable"]["thread_id"]}


def taking_writer(state: State, writer: StreamWriter) -> State:
    """Write a draft, streaming."""
    writer("said")
    return {"draft": answer(state["topic"])}


def taking_store(state: State, store: BaseStore) -> State:
    """Write a draft, using the store."""
    store.put(("seen",), state["topic"], {"yes": True})
    found = store.get(("seen",), state["topic"])
    return {"draft": answer(state["topic"]) + str(found.value if found else None)}


def taking_runtime(state: State, runtime: Runtime[Any]) -> State:
    """Write a draft, using the runtime."""
    assert runtime.store is not None
    return {"draft": answer(state["topic"])}


def taking_everything(
    state: State,
    config: RunnableConfig,
    *,
    store: BaseStore,
    writer: StreamWriter,
    feedback: Feedback | None = None,
) -> State:
    """Write a draft, with all that can be injected."""
    writer(len(config["configurable"]))
    store.put(("seen",), "x", {})
    return {"draft": f"{state['topic']} at length" if feedback else state["topic"]}


def sequence() -> Any:
    """Return a chain of prompt, model and parser."""

    def text(state: State) -> str:
        return answer(state["topic"])

    def model(prompt: Any) -> Any:
        return ScriptedModel(prompt.to_messages()[-1].content).invoke(prompt)

    prompt = ChatPromptTemplate.from_messages([("human", "{text}")])
    into = RunnableLambda(lambda state: {"text": text(state)})
    return into | prompt | model | StrOutputParser() | (lambda said: {"draft": said})


def subgraph() -> Any:
    """Return a compiled graph."""
    inner = StateGraph(State)
    inner.add_node("write", function)
    inner.add_edge(START, "write")
    return inner.compile()


class Kind(NamedTuple):
    """One kind of node."""

    make: Callable[[], Any]
    is_async: bool = False


KINDS = {
    "function": Kind(lambda: function),
    "function taking feedback": Kind(lambda: asking),
    "async function": Kind(lambda: coroutine, is_async=True),
    "generator": Kind(lambda: generator),
    "async generator": Kind(lambda: async_generator, is_async=True),
    "RunnableLambda": Kind(lambda: RunnableLambda(function)),
    "async RunnableLambda": Kind(lambda: RunnableLambda(coroutine), is_async=True),
    "RunnableLambda, both": Kind(lambda: RunnableLambda(function, coroutine)),
    "RunnableSequence": Kind(sequence),
    "instance": Kind(Instance),
    "async instance": Kind(AsyncInstance, is_async=True),
    "bound method": Kind(lambda: Instance().method),
    "partial": Kind(lambda: functools.partial(with_prefix, prefix="On ")),
    "lambda": Kind(lambda: lambda state: {"draft": answer(state["topic"])}),
    "subgraph": Kind(subgraph),
    "function calling a subgraph": Kind(lambda: lambda state: subgraph().invoke(state)),
    "config": Kind(lambda: taking_config),
    "writer": Kind(lambda: taking_writer),
    "store": Kind(lambda: taking_store),
    "runtime": Kind(lambda: taking_runtime),
    "everything": Kind(lambda: taking_everything),
}
RUN_AS = [
    pytest.param(kind, how, id=f"{name}, {how}")
    for name, kind in KINDS.items()
    for how in ("sync", "async")
    if how == "async" or not kind.is_async
]


@gate
def at_length(output: State) -> bool:
    """Pass what is long."""
    return (
        output["draft"].endswith(("at length", "at length1", "}"))
        and "at length" in output["draft"]
    )


@gate
def anything(output: State, state: State) -> bool:
    """Pass everything that there is."""
    return bool(output["draft"] and state["topic"])


def graph_of(node: Any) -> StateGraph[Any, Any, Any, Any]:
    """Return a graph of the node and one after it."""
    builder = StateGraph(State)
    builder.add_node("work", node)
    builder.add_node("after", lambda state: {"topic": state["topic"] + "!"})
    builder.add_edge(START, "work")
    builder.add_edge("work", "after")
    builder.add_edge("after", END)
    return builder


def run(app: Any, how: str) -> Any:
    """Run a graph, sync or async."""
    config = {"configurable": {"thread_id": "1"}}
    if how == "sync":
        return app.invoke({"topic": "owls"}, config)
    return asyncio.run(app.ainvoke({"topic": "owls"}, config))


def compiled(builder: Any) -> Any:
    """Compile with checkpointer and store."""
    return builder.compile(checkpointer=InMemorySaver(), store=InMemoryStore())


@pytest.mark.parametrize(("kind", "how"), RUN_AS)
def test_a_node_that_passes_gives_what_it_gives_bare(kind: Kind, how: str) -> None:
    """Gates that pass change nothing in what a graph returns."""
    nodes = {"work": NodeGuard(gates=[anything], policy=Policy(Retry(1)))}
    bare = run(compiled(graph_of(kind.make())), how)
    assert run(compiled(guard(graph_of(kind.make()), nodes)), how) == bare
    assert run(guard(compiled(graph_of(kind.make())), nodes), how) == bare


@pytest.mark.parametrize(("kind", "how"), RUN_AS)
def test_a_node_that_is_rejected_fails_by_the_name_of_the_gate(kind: Kind, how: str) -> None:
    """Without a policy the run fails, and the error names node and gate."""
    app = guard(compiled(graph_of(kind.make())), {"work": NodeGuard(gates=[at_length])})
    with pytest.raises(GateRejected) as caught:
        run(app, how)
    assert (caught.value.node, caught.value.gate) == ("work", "at_length")
    state = app.get_state({"configurable": {"thread_id": "1"}})
    assert "draft" not in state.values


@pytest.mark.parametrize(("kind", "how"), RUN_AS)
def test_a_node_that_is_rejected_is_repeated_with_feedback(kind: Kind, how: str) -> None:
    """`Retry` runs every kind of node again, and what runs below it can ask why."""
    nodes = {"work": NodeGuard(gates=[at_length], policy=Policy(Retry(1)))}
    result = run(guard(compiled(graph_of(kind.make())), nodes), how)
    assert "owls at length" in result["draft"]
    assert result["topic"] == "owls!"


@pytest.mark.parametrize("how", ["sync", "async"])
def test_a_node_inside_a_subgraph_is_guarded_by_its_path(how: str) -> None:
    """`"sub|inner"` guards a node inside a subgraph, and names it in errors."""
    nodes = {"work|write": NodeGuard(gates=[at_length], policy=Policy(Retry(1)))}
    assert run(guard(compiled(graph_of(subgraph())), nodes), how)["draft"] == "owls at length"
    strict = {"work|write": NodeGuard(gates=[at_length])}
    with pytest.raises(GateRejected, match="'write' was rejected by gate 'at_length'"):
        run(guard(compiled(graph_of(subgraph())), strict), how)


@pytest.mark.parametrize("how", ["sync", "async"])
def test_a_node_two_subgraphs_deep_is_guarded_by_its_path(how: str) -> None:
    """The path goes down as far as there are subgraphs."""
    middle = StateGraph(State)
    middle.add_node("sub", subgraph())
    middle.add_edge(START, "sub")
    nodes = {"work|sub|write": NodeGuard(gates=[at_length], policy=Policy(Retry(1)))}
    result = run(guard(compiled(graph_of(middle.compile())), nodes), how)
    assert result["draft"] == "owls at length"


def test_an_async_node_run_sync_fails_as_it_does_bare() -> None:
    """A graph that bare LangGraph cannot run sync is refused in the same words."""
    with pytest.raises(TypeError) as bare:
        run(compiled(graph_of(coroutine)), "sync")
    with pytest.raises(TypeError) as guarded:
        run(guard(compiled(graph_of(coroutine))), "sync")
    assert str(guarded.value) == str(bare.value)
