"""Every way to run a graph, and what streams out of it: bare and guarded say the same."""

import asyncio
import operator
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.runnables import Runnable
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.config import get_stream_writer
from langgraph.graph import START, StateGraph
from langgraph.types import Interrupt, interrupt

from coordgate import GateRejected, NodeGuard, Policy, Retry, feedback, gate, guard
from coordgate.testing import RecordingTracer, ScriptedModel

MODES = ["values", "updates", "custom", "messages", "debug", "tasks", "checkpoints"]


class Draft(TypedDict, total=False):
    """A state without ids in it."""

    topic: str
    draft: str
    log: Annotated[list[str], operator.add]


@gate
def anything(output: Any) -> bool:
    """Pass whatever there is."""
    return bool(output)


def drafting() -> StateGraph[Any, Any, Any, Any]:
    """Return a graph with a model, a writer, a router, a reducer and a subgraph."""

    def write(state: Draft) -> Draft:
        get_stream_writer()({"writing": state["topic"]})
        said = ScriptedModel("one two three").invoke(state["topic"])
        return {"draft": said.text, "log": ["write"]}

    inner = StateGraph(Draft)
    inner.add_node("polish", lambda state: {"draft": state["draft"] + ".", "log": ["polish"]})
    inner.add_edge(START, "polish")
    builder = StateGraph(Draft)
    builder.add_node("write", write)
    builder.add_node("sub", inner.compile())
    builder.add_conditional_edges("write", lambda state: "sub", ["sub"])
    builder.add_edge(START, "write")
    return builder


NODES = {
    "write": NodeGuard(gates=[anything], policy=Policy(Retry(1))),
    "sub|polish": NodeGuard(gates=[anything]),
}


IDS = {
    "id",
    "checkpoint_id",
    "checkpoint_ns",
    "langgraph_checkpoint_ns",
    "timestamp",
    "ts",
    "run_id",
}


IDS |= {"parent_ids", "checkpoint_map", "langgraph_checkpoint_map", "v"}


def plain(value: Any) -> Any:
    """Return `value` without what differs from run to run: ids and times."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items() if key not in IDS}
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    if isinstance(value, Interrupt):
        return ("interrupt", value.value)
    if hasattr(value, "model_dump"):
        return {"type": type(value).__name__, **plain(value.model_dump())}
    if isinstance(value, str) and (":" in value or value.count("-") == 4):
        return value.partition(":")[0] if ":" in value else "id"
    return value


def compiled(*, guarded: bool, **settings: Any) -> Any:
    """Return that graph with a checkpointer, guarded or bare."""
    builder = drafting()
    saver = InMemorySaver()
    return (guard(builder, NODES, **settings) if guarded else builder).compile(checkpointer=saver)


CONFIG = {"configurable": {"thread_id": "1"}}


GIVEN = {"topic": "owls"}


async def collected(flow: Any) -> list[Any]:
    """Read an async stream to its end."""
    return [chunk async for chunk in flow]


@pytest.mark.parametrize("mode", [*MODES, MODES])
@pytest.mark.parametrize("subgraphs", [False, True])
@pytest.mark.parametrize("tracer", [False, True])
def test_a_stream_is_what_it_is_bare(mode: Any, subgraphs: bool, tracer: bool) -> None:
    """In every mode, sync and async, a guarded graph streams the chunks of the bare one."""
    settings = {"tracer": RecordingTracer()} if tracer else {}

    def stream(*, guarded: bool) -> Any:
        app = compiled(guarded=guarded, **(settings if guarded else {}))
        return plain(list(app.stream(GIVEN, CONFIG, stream_mode=mode, subgraphs=subgraphs)))

    def astream(*, guarded: bool) -> Any:
        app = compiled(guarded=guarded, **(settings if guarded else {}))
        flow = app.astream(GIVEN, CONFIG, stream_mode=mode, subgraphs=subgraphs)
        return plain(asyncio.run(collected(flow)))

    assert stream(guarded=True) == stream(guarded=False)
    assert astream(guarded=True) == astream(guarded=False)


@pytest.mark.parametrize("mode", MODES)
def test_the_second_version_of_streams_and_results_is_what_it_is_bare(mode: Any) -> None:
    """`version="v2"` gives the same parts and outputs, sync and async."""

    def everything(*, guarded: bool) -> Any:
        app = compiled(guarded=guarded)
        stream = list(app.stream(GIVEN, CONFIG, stream_mode=mode, version="v2"))
        flow = compiled(guarded=guarded).astream(GIVEN, CONFIG, stream_mode=mode, version="v2")
        result = compiled(guarded=guarded).invoke(GIVEN, CONFIG, version="v2")
        return plain([stream, asyncio.run(collected(flow)), [result.value, result.interrupts]])

    assert everything(guarded=True) == everything(guarded=False)


def test_a_run_that_stops_shows_the_same_interrupts_in_every_stream() -> None:
    """An interrupt streams as it does bare."""

    def chunks(*, guarded: bool) -> Any:
        builder = StateGraph(Draft)
        builder.add_node("ask", lambda state: {"draft": interrupt("what?")})
        builder.add_edge(START, "ask")
        app = (guard(builder) if guarded else builder).compile(checkpointer=InMemorySaver())
        return plain(list(app.stream(GIVEN, CONFIG, stream_mode=MODES)))

    bare = chunks(guarded=False)
    assert "what?" in str(bare)
    assert chunks(guarded=True) == bare


def test_astream_events_are_what_they_are_bare() -> None:
    """`astream_events` names the same runs in the same order, with the same data."""

    def events(*, guarded: bool) -> Any:
        app = compiled(guarded=guarded, **({"tracer": RecordingTracer()} if guarded else {}))
        return plain(asyncio.run(collected(app.astream_events(GIVEN, CONFIG, version="v2"))))

    bare = events(guarded=False)
    assert [each["event"] for each in bare].count("on_chat_model_stream") >= 3
    assert events(guarded=True) == bare


def test_invoke_and_batch_give_what_they_give_bare() -> None:
    """`invoke`, `ainvoke`, `batch` and `abatch` return the same."""

    def everything(app: Runnable[Any, Any]) -> list[Any]:
        many = [{"topic": "a"}, {"topic": "b"}]
        return [
            app.invoke(GIVEN),
            asyncio.run(app.ainvoke(GIVEN)),
            app.batch(many),
            asyncio.run(app.abatch(many)),
        ]

    bare = everything(drafting().compile())
    assert bare[0] == {
        "topic": "owls",
        "draft": "one two three.",
        "log": ["write", "write", "polish"],
    }
    assert everything(guard(drafting(), NODES).compile()) == bare
    assert everything(guard(drafting().compile(), NODES)) == bare


def test_batch_repeats_only_what_was_rejected() -> None:
    """In a batch one run's rejection does not touch the others."""

    def write(state: Draft) -> Draft:
        return {"draft": state["topic"] + ("!" if feedback() else "")}

    @gate
    def not_b(output: Draft) -> bool:
        return output["draft"] != "b"

    builder = StateGraph(Draft)
    builder.add_node("write", write)
    builder.add_edge(START, "write")
    nodes = {"write": NodeGuard(gates=[not_b], policy=Policy(Retry(1)))}
    app = guard(builder, nodes).compile()
    many = [{"topic": "a"}, {"topic": "b"}, {"topic": "c"}]
    assert [each["draft"] for each in app.batch(many)] == ["a", "b!", "c"]
    assert [each["draft"] for each in asyncio.run(app.abatch(many))] == ["a", "b!", "c"]
    alone = guard(builder, {"write": NodeGuard(gates=[not_b])}).compile()
    results = alone.batch(many, return_exceptions=True)
    assert [type(each) for each in results] == [dict, GateRejected, dict]
